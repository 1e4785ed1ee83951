"""The pages of a plan that makes a subtree what it was at a time: what was there, in the order of the tree; then what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schema.ids import NodeId
from schema.nodes import NodeKind
from schema.operations.operation import ItemKind, ItemState, Operation, OperationItem
from schema.operations.planning import Occupant, alternatives
from schema.operations.rewind import InTheWay, Return, Rewinder, Since, Then
from schema.operations.selection import PlannedNode
from schema.paths import ROOT, NodePath
from schema.store import operation_plans as plan_store
from schema.store import past, past_trees
from schema.store import restores as restore_store
from schema.store.past import PastNode
from schema.store.past_trees import TreePlace

if TYPE_CHECKING:
    from schema.store.connection import Connection

_PAGE = 200
Cursor = Mapping[str, Any]


async def past_page(connection: Connection, operation: Operation, cursor: Cursor) -> tuple[list[OperationItem], Cursor]:
    """The last cursor says that it is the `end`."""
    at, base = operation.options.as_of, cursor.get("base")
    assert at is not None
    if base is None:
        return await _begin(connection, operation, cursor)
    page = RewindPlan(connection, operation, NodeId(base), _rewinder(operation, cursor))
    match cursor["phase"]:
        case "then":
            rest = await page.then(cursor.get("place"))
        case "new":
            rest = await page.new(cursor.get("after"), bytes.fromhex(cursor.get("within", "")))
        case "along":
            rest = await page.along(list(cursor["trees"]), cursor.get("after"))
        case _:
            rest = page.directories(list(cursor["directories"]))
    emptied = [[id, version, path.raw.hex(), moves] for id, version, path, moves in page.rewinder.emptied]
    directories = [*cursor.get("directories", []), *emptied]
    blocked = cursor.get("blocked", False) or page.rewinder.blocked
    going = {
        "base": base, "directories": directories, "blocked": blocked, "looked": cursor.get("looked", 0) + page.looked,
        **_written(page.rewinder), **rest,
    }  # fmt: skip
    return page.rewinder.items, going


async def _begin(connection: Connection, operation: Operation, cursor: Cursor) -> tuple[list[OperationItem], Cursor]:
    """What lay at the path itself."""
    at = operation.options.as_of
    assert at is not None
    base = await past.at_path(connection, operation.mount_id, operation.path, at)
    was = None if base is None else await past.node(connection, base, operation.tenant, at)
    if base is None or was is None:
        text = "Nothing lay at this path at that time. Choose another time, or look at it with `asOf`."
        item = OperationItem(
            item=0,
            kind=ItemKind.RESTORE,
            path=operation.path,
            state=ItemState.FAILED,
            code="NODE_NOT_FOUND",
            message=text,
        )
        return [item], {"next": 1, "end": True, "blocked": True}
    page = RewindPlan(connection, operation, base, Rewinder(operation, cursor["next"]))
    if operation.path != ROOT:
        await page.judge([(b"", was[0])])
    phase = "then" if was[0].kind is NodeKind.DIRECTORY else "directories"
    going = {
        "base": base,
        "phase": phase,
        "directories": [],
        "blocked": page.rewinder.blocked,
        **_written(page.rewinder),
    }
    return page.rewinder.items, going


@dataclass(slots=True)
class RewindPlan:
    connection: Connection
    operation: Operation
    base: NodeId
    rewinder: Rewinder
    looked: int = 0
    """Nodes that this page has met: those that were there, and those that are there now"""

    async def then(self, place: Sequence[Any] | None) -> Cursor:
        """The next of what was there."""
        at = self.operation.options.as_of
        was = None if at is None else await past.node(self.connection, self.base, self.operation.tenant, at)
        assert at is not None and was is not None
        after = None if place is None else TreePlace(bytes.fromhex(place[0]), NodeKind(place[1]), NodeId(place[2]))
        page = await past_trees.page(self.connection, was[0], at, after=after, depth=None, limit=_PAGE)
        self.looked += len(page.nodes)
        await self.judge(page.nodes)
        if not page.more:
            return {"phase": "new"}
        path, last = page.nodes[-1]
        return {"phase": "then", "place": [path.hex(), last.kind, last.id]}

    async def judge(self, nodes: Sequence[tuple[bytes, PastNode]]) -> None:
        """Each of them, in the order of the tree. What lies in the way is looked up anew whenever a directory has moved: names are
        others then."""
        known = await restore_store.since(self.connection, [node for _, node in nodes])
        for relative, node in nodes:
            now, rival = known[node.id]
            path = self._path(relative)
            then = Then(
                id=node.id, path=path, kind=node.kind, version=node.version, size=node.size, sha256=node.sha256,
                metadata=node.metadata, available=node.available,
            )  # fmt: skip
            there, beside = None, dict[NodePath, Occupant]()
            if self.rewinder.place_of(node.id, now) != path:
                there, beside = await self._in_the_way(then, now, rival)
            self.rewinder.add(then, now, there, beside)

    async def _in_the_way(
        self, then: Then, now: Since, rival: tuple[NodeId, Occupant] | None
    ) -> tuple[InTheWay | None, dict[NodePath, Occupant]]:
        renames = self.operation.options.on_conflict == "rename"
        places = [then.path, *(alternatives(then.path) if renames else [])]
        lies = {place: before for place in places if (before := self.rewinder.before(place)) is not None}
        found = await plan_store.occupants(self.connection, self.operation.mount_id, lies.values())
        occupants = {place: found[before] for place, before in lies.items() if before in found}
        along = self.rewinder.made.get(then.path.parent.raw) is not None and rival is not None
        occupant = rival[1] if along and rival is not None else occupants.get(then.path)
        if occupant is None or occupant.node in (None, then.id):
            return None, occupants
        assert occupant.node is not None
        path, was = (await self._were([occupant.node]))[occupant.node]
        lay = None if path is None else self._path(path)
        return InTheWay(occupant=occupant, then=lay, new=not was, along=along), occupants

    async def new(self, after: Sequence[str] | None, within: bytes) -> Cursor:
        """The next of what lies there and did not. Without `removeNew` a new directory is listed, and not what it holds."""
        place = (
            (self.operation.path.as_directory, b"")
            if after is None
            else (bytes.fromhex(after[0]), bytes.fromhex(after[1]))
        )
        found, further = await plan_store.below(
            self.connection, self.operation.mount_id, self.operation.path, place, _PAGE
        )
        self.looked += len(found)
        were = await self._were([one.id for one in found])
        for node in found:
            path, was = were[node.id]
            if path is not None or (
                within and node.path.raw.startswith(within) and not self.operation.options.remove_new
            ):
                continue
            if was:
                self.rewinder.moved_in(node.id, node.version, self.rewinder.now(node.path), node.kind)
            elif await self._new(node, node.version, self.rewinder.now(node.path)):
                within = node.path.as_directory if node.kind is NodeKind.DIRECTORY else within
        if further is not None:
            return {"phase": "new", "after": [part.hex() for part in further], "within": within.hex()}
        return {"phase": "along", "trees": list(range(len(self.rewinder.back)))}

    async def along(self, trees: list[Any], after: Sequence[str] | None) -> Cursor:
        """The next of what comes back with a directory, and was not in it at the time."""
        if not trees:
            return {"phase": "directories"}
        way = self.rewinder.back[trees[0]]
        place = (b"", b"") if after is None else (bytes.fromhex(after[0]), bytes.fromhex(after[1]))
        page = await restore_store.buried(self.connection, way.node, place, _PAGE)
        were = await self._were([one.id for one in page.nodes])
        for node in page.nodes:
            path, was = were[node.id]
            mine = self.rewinder.way_of(way.left, way.lay + b"/" + node.path.raw) is way
            if path is None and not was and mine:
                await self._new(node, node.version + 1, self.rewinder.lands(way, b"/" + node.path.raw))
        if page.after is None:
            return {"phase": "along", "trees": trees[1:]}
        return {"phase": "along", "trees": trees, "after": [part.hex() for part in page.after]}

    def directories(self, directories: list[Any]) -> Cursor:
        """What is left of the directories that go."""
        read = [(NodeId(id), version, NodePath(bytes.fromhex(path)), moves) for id, version, path, moves in directories]
        self.rewinder.remove_empty(read)
        return {"end": True}

    async def _new(self, node: PlannedNode, version: int, path: NodePath) -> bool:
        """False: it is a directory where one was, and holds what that one held."""
        if node.kind is NodeKind.DIRECTORY and await self._was_a_directory(path):
            return False
        version += node.id in self.rewinder.aside
        if node.kind is NodeKind.DIRECTORY and self.operation.options.remove_new:
            self.rewinder.empty(node.id, version, path)
        else:
            self.rewinder.remove(node.id, version, path, node.kind, node.size)
        return True

    async def _was_a_directory(self, path: NodePath) -> bool:
        """One was there, and another one is now: what that one held is in it."""
        at = self.operation.options.as_of
        assert at is not None
        if path != self.operation.path and not path.is_below(self.operation.path):
            return False
        names = path.raw[len(self.operation.path.as_directory) :].split(b"/")
        found = await past.chain(self.connection, self.base, names, at)
        return len(found) > len(names) and found[-1][1] is NodeKind.DIRECTORY

    async def _were(self, nodes: Sequence[NodeId]) -> dict[NodeId, tuple[bytes | None, bool]]:
        at = self.operation.options.as_of
        assert at is not None
        return await restore_store.were(self.connection, nodes, self.base, at)

    def _path(self, relative: bytes) -> NodePath:
        return NodePath(self.operation.path.as_directory + relative) if relative else self.operation.path


def _rewinder(operation: Operation, cursor: Cursor) -> Rewinder:
    return Rewinder(
        operation, cursor["next"],
        made={bytes.fromhex(path): item for path, item in cursor["made"].items()},
        moved=[(bytes.fromhex(source), bytes.fromhex(target)) for source, target in cursor["moved"]],
        aside={int(id): bytes.fromhex(path) for id, path in cursor["aside"].items()},
        back=[Return(left, bytes.fromhex(lay), bytes.fromhex(goes), moves, NodeId(node))
              for left, lay, goes, moves, node in cursor["back"]],
        lost=bytes.fromhex(cursor["lost"]),
    )  # fmt: skip


def _written(rewinder: Rewinder) -> dict[str, Any]:
    return {
        "next": rewinder.next_item, "made": {path.hex(): item for path, item in rewinder.made.items()},
        "moved": [[source.hex(), target.hex()] for source, target in rewinder.moved],
        "aside": {str(id): path.hex() for id, path in rewinder.aside.items()},
        "back": [[one.left, one.lay.hex(), one.goes.hex(), one.moves, one.node] for one in rewinder.back],
        "lost": rewinder.lost.hex(),
    }  # fmt: skip
