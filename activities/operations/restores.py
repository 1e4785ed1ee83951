"""The pages of a plan that brings back what the trash keeps: at and below a path, what went last first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from schema.ids import NodeId
from schema.nodes import NodeKind, NodeState
from schema.operations.operation import ItemKind, ItemState, Operation, OperationItem
from schema.operations.planning import Occupant
from schema.operations.restoring import RestorePlanner, Returnable
from schema.operations.selection import PlannedNode
from schema.paths import NodePath, parse
from schema.store import operation_plans as plan_store
from schema.store import past, trash
from schema.store import restores as restore_store
from schema.store.restores import KeptNode
from schema.store.trash import KeptUntil, TrashEntry

if TYPE_CHECKING:
    from schema.store.connection import Connection

_PAGE = 200
_ENTRIES = 50
"""Of the trash in one page: those that are directories to be opened wait in the cursor."""
Cursor = Mapping[str, Any]
Found = Sequence[tuple[PlannedNode, KeptNode]]


async def trash_page(
    connection: Connection, operation: Operation, cursor: Cursor
) -> tuple[list[OperationItem], Cursor]:
    """First what is inside of directories that come back in parts, then what was deleted at the path itself, then all that the
    trash keeps there. The last cursor says that it is the `end`."""
    roots = [parse(path) for path in operation.selection.paths] or [operation.path]
    root = roots[cursor["root"]]
    made = {bytes.fromhex(path): item for path, item in cursor.get("made", {}).items()}
    planner = RestorePlanner(operation, cursor["next"], made, dict(cursor.get("back", {})))
    page = TrashPlan(
        connection, operation, root, planner, list(cursor.get("trees", [])), some=cursor.get("some", False)
    )
    page.handled, page.looked = cursor.get("handled", 0), cursor.get("looked", 0)
    rest: Cursor = {"after": cursor.get("after"), "ended": cursor.get("ended", False)}
    if page.trees:
        await page.inside()
    elif cursor.get("after") is None:
        await page.at_the_path()
        rest = {"after": _written(trash.LAST), "ended": False}
    else:
        rest = await page.kept(_read(cursor["after"]))
    over = rest["ended"] and not page.trees
    if over and not page.some and await plan_store.node_at(connection, operation.mount_id, root) is None:
        planner.items.append(_nothing(root, planner.next_item))
        planner.next_item += 1
    goes_on = {
        "root": cursor["root"], "next": planner.next_item, "trees": page.trees, "some": page.some, "handled": page.handled,
        "looked": page.looked,
        "made": {path.hex(): item for path, item in planner.made.items()},
        "back": planner.back, "blocked": cursor.get("blocked", False) or planner.blocked,
    } | dict(rest)  # fmt: skip
    if over:
        goes_on |= {"root": cursor["root"] + 1, "after": None, "ended": False, "some": False}
        goes_on |= {"end": cursor["root"] + 1 == len(roots)}
    return planner.items, goes_on


class TrashPlan:
    """What a page reads, and the planner that makes its items of it."""

    def __init__(
        self, connection: Connection, operation: Operation, root: NodePath, planner: RestorePlanner, trees: list[Any],
        *, some: bool,
    ) -> None:  # fmt: skip
        self._connection, self._operation, self._root, self._planner = connection, operation, root, planner
        self.trees, self.some = trees, some
        self.looked = 0
        self.handled: int | None = 0
        """The node that was deleted at the path itself; None: what lives there is meant, and no other"""

    async def at_the_path(self) -> None:
        """What was deleted there itself, also along with a directory above: the trash shows only the top of that. Where a file
        lives that has older content, that is what is meant."""
        if not self._root.raw:
            return
        mount = self._operation.mount_id
        lives = await plan_store.node_at(self._connection, mount, self._root)
        gone = await restore_store.gone_at(self._connection, mount, self._root)
        known = await restore_store.kept_now(self._connection, [one.id for one in (lives, gone) if one is not None])
        if gone is None or (lives is not None and (not known[gone.id].with_it or known[lives.id].latest is not None)):
            self.handled = None if lives is not None and lives.kind is not NodeKind.DIRECTORY else 0
            return
        self.handled = gone.id
        await self._add([(_whole(gone, known[gone.id]), known[gone.id])])

    async def kept(self, after: KeptUntil) -> Cursor:
        """The next of what the trash shows."""
        root = await past.root_of(self._connection, self._operation.mount_id)
        assert root is not None
        page = await trash.kept(
            self._connection, self._operation.mount_id, root, self._root, after=after, limit=_ENTRIES
        )
        self.looked += page.looked
        known = await restore_store.kept_now(self._connection, {one.node for one in page.entries})
        counting = [one for one in page.entries if self._counts(one, known[one.node])]
        await self._add([(_shown(one, known[one.node]), known[one.node]) for one in counting])
        return {"after": _written(page.end or after), "ended": page.end is None}

    def _counts(self, one: TrashEntry, now: KeptNode) -> bool:
        """Of each node one entry is the way back: what was deleted with it, or the newest older content."""
        if now.gone:
            at_root = self.handled is None and one.path == self._root
            return one.went_with_it and one.node != self.handled and not at_root
        if now.path is None or one.kind != NodeKind.FILE or one.version != now.latest:
            return False
        return now.path == self._operation.path or now.path.is_below(self._operation.path)

    async def inside(self) -> None:
        """The next of what went along with the first of the directories that are opened."""
        top, path, skip, directory, name = self.trees[0]
        after = bytes.fromhex(directory), bytes.fromhex(name)
        page = await restore_store.buried(self._connection, NodeId(top), after, _PAGE)
        known = await restore_store.kept_now(self._connection, [one.id for one in page.nodes])
        base, skipped = NodePath(bytes.fromhex(path)), bytes.fromhex(skip)
        nodes = [
            _whole(replace(one, path=NodePath(base.as_directory + one.path.raw)), known[one.id]) for one in page.nodes
        ]
        occupants = await self._occupants([_returnable(node, known[node.id]) for node in nodes])
        for node in nodes:
            if skipped and node.path.raw.startswith(skipped):
                continue  # it comes back with its directory
            one = _returnable(node, known[node.id])
            if node.kind is not NodeKind.DIRECTORY:
                self._file(node, one, occupants)
            elif self._operation.selection.narrows:
                if self._operation.selection.takes(node, self._operation.path):
                    self._planner.make(one.path, occupants)
            elif not self._planner.merges(one, occupants):
                self._planner.add(one, occupants)
                skipped = one.path.as_directory
        if page.after is None:
            self.trees.pop(0)
        else:
            self.trees[0] = [top, path, skipped.hex(), *(part.hex() for part in page.after)]

    async def _add(self, found: Found) -> None:
        """What came into the trash by itself."""
        occupants = await self._occupants([_returnable(node, now) for node, now in found])
        for node, now in found:
            one, selection = _returnable(node, now), self._operation.selection
            parts = selection.narrows or self._planner.merges(one, occupants)
            if one.kind is not NodeKind.DIRECTORY:
                self._file(node, one, occupants)
                continue
            self.some = True
            if not parts or one.expired:
                self._planner.add(one, occupants, top=True)
                continue
            if selection.narrows and selection.takes(node, self._operation.path):
                self._planner.make(one.path, occupants)
            self.trees.append([one.node, one.path.raw.hex(), "", "", ""])

    def _file(self, node: PlannedNode, one: Returnable, occupants: Mapping[NodePath, Occupant]) -> None:
        self.some = True
        if self._operation.selection.takes(node, self._operation.path):
            self._planner.add(one, occupants, named=one.path == self._root)

    async def _occupants(self, found: Sequence[Returnable]) -> Mapping[NodePath, Occupant]:
        places = {place for one in found for place in self._planner.places_of(one)}
        return await plan_store.occupants(self._connection, self._operation.mount_id, sorted(places))


def _whole(node: PlannedNode, now: KeptNode) -> PlannedNode:
    """With the totals of all that went with it."""
    return replace(node, size=now.size, nodes=now.nodes)


def _shown(one: TrashEntry, now: KeptNode) -> PlannedNode:
    path = one.path if now.path is None else now.path
    return PlannedNode(
        id=one.node, kind=NodeKind(one.kind), state=NodeState.DELETED, version=one.version, path=path, size=one.size,
        nodes=now.nodes, modified=one.ended,
    )  # fmt: skip


def _returnable(node: PlannedNode, now: KeptNode) -> Returnable:
    return Returnable(
        node=node.id, kind=node.kind, path=node.path, version=now.version, size=node.size, nodes=node.nodes,
        content_version=None if now.gone else now.latest, expired=now.gone and not now.with_it, outdone=now.outdone,
        left=now.left if now.gone else None, parent_left=now.parent_left if now.parent == node.path.parent else None,
    )  # fmt: skip


def _nothing(path: NodePath, item: int) -> OperationItem:
    text = "Nothing lies at this path, and the trash keeps nothing of it. `GET /v1/trash` shows what it keeps."
    return OperationItem(
        item=item, kind=ItemKind.RESTORE, path=path, state=ItemState.FAILED, code="NODE_NOT_FOUND", message=text
    )


def _written(place: KeptUntil) -> list[Any]:
    return [place.until.isoformat(), place.node, place.version]


def _read(written: Sequence[Any]) -> KeptUntil:
    return KeptUntil(datetime.fromisoformat(written[0]), written[1], written[2])
