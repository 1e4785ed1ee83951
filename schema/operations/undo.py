"""Undo by selection: everything of a principal, a token, a piece of work, a time, a path, or a list of commands. Pure.

It goes back by the journal, the newest change first. A node goes back to before the latest unbroken run of the selection's
versions, and no further: what another principal did in between is never reached over. Moves, deletions and restores go back one
by one. Changes of content and metadata go back at once, to what was there before the first of them.

A directory in which something else has changed since does not go as a whole (`_around`): what can go from it does.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from schema.commands.command import CommandKind
from schema.ids import MountId, NodeId
from schema.nodes import NodeKind
from schema.operations.operation import ItemKind, ItemState, OperationItem
from schema.operations.undo_changes import (
    Departed,
    JournalChange,
    NodePlace,
    RecordChange,
    RecordRun,
    Replaced,
    Run,
)
from schema.operations.undo_passed import Passed
from schema.paths import NodePath


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoStep:
    """An item, and what has to be asked of the record before it can be planned."""

    item: OperationItem
    entry: int
    appears: NodePlace | None = None
    """Here it brings its node back: nobody else may have put anything there since"""
    content: int | None = None
    """It needs what was kept of this version"""


LEFT = {
    "VERSION_CONFLICT": "Something outside of the selection has changed it since. It is left as it is.",
    "NODE_EXISTS": "Something outside of the selection came to this place since. It is left as it is.",
    "CONTENT_EXPIRED": "What was there before is not kept any more.",
    "NOT_SUPPORTED": "It came from another mount, which this undo is not about. Leave backendMountId out.",
    "CHILDREN_EXIST": "Something outside of the selection lies in it. It is left with what it holds.",
    "NEW_SINCE": "It came here since, and is none of the selection's. It is left, with the directories above it.",
}


def left(item: OperationItem, code: str) -> OperationItem:
    """It does not go, and is listed."""
    return replace(item, state=ItemState.SKIPPED, code=code, message=LEFT[code])


def listed(steps: Iterable[UndoStep], refused: Mapping[int, str]) -> list[OperationItem]:
    """The items of these steps. Of what came from another mount one half does not go without the other."""
    items = [step.item for step in steps]
    codes = dict(refused)
    for item in items:
        pair = (item.item, item.needs)
        if item.needs is not None and (code := next((codes[one] for one in pair if one in codes), None)):
            codes |= {item.item: code, item.needs: code}
    return [left(item, codes[item.item]) if item.item in codes else item for item in items]


@dataclass(slots=True)
class UndoPlanner:
    """Makes the items of one page of changes, the newest first."""

    next_item: int
    runs: Mapping[NodeId, Run]
    mounts: Collection[MountId]
    """Those of the operation, its own first"""
    blocked: Collection[int] = ()
    """Entries below whose directories something outside of the selection has changed since"""
    passed: Passed = field(default_factory=Passed)
    records: Mapping[NodeId, RecordRun] = field(default_factory=dict)
    steps: list[UndoStep] = field(default_factory=list)
    apart: JournalChange | None = None
    """Here the page ends: the tree that this change made is taken back node by node"""

    def add(self, changes: Iterable[JournalChange | RecordChange]) -> None:
        for change in changes:
            if isinstance(change, RecordChange):
                self._unsay(change)
            elif change.entry not in self.passed.entries:
                self._add(change)
            if self.apart is not None:
                return

    def _add(self, written: JournalChange) -> None:
        change = self.passed.placed(written)
        run = self.runs.get(change.node)
        if change.departed is not None:
            self._cross_back(change, change.departed, run)
        elif run is None or not run.has(change.version):
            # Of what another principal came after, the newest change is listed.
            if not change.followed:
                self._leave(change, "VERSION_CONFLICT")
        elif not change.revises:
            if change.appears_with_a_tree and (change.entry in self.blocked or change.place != written.place):
                return self._around(change, run)
            self._put(self._reversed(change), change, self._version(run, change.version))
        elif not change.superseded:
            version = self._version(run, change.version)
            for number, (kind, back) in enumerate(run.revisions()):
                item = self._item(change, kind, change.place, content_version=back)
                self._put(item, change, version + number, content=back if kind is ItemKind.RESTORE else None)
        if change.replaced is not None and run is not None and run.has(change.version):
            self._return(change, change.replaced)

    def _unsay(self, change: RecordChange) -> None:
        """A record goes back at once, to before the first of its unbroken run. Its newest change stands for all of them."""
        run = self.records[change.node]
        if run.last != change.entry:
            return
        item = OperationItem(
            item=0, kind=ItemKind.TAG, path=self.passed.place_of(change.mount, change.path), node_id=change.node,
            node_kind=run.node_kind, content_version=run.before, mount=self._mount(change.mount),
        )  # fmt: skip
        item = self._numbered(item, run.current)
        whole = run.before < change.version
        self.steps.append(UndoStep(item=item if whole else left(item, "VERSION_CONFLICT"), entry=change.entry))

    def _around(self, change: JournalChange, run: Run) -> None:
        """Something else is in the directory now, and stays there with it. A directory that has moved is left where it is, and what
        came before goes back there. One that was deleted and restored is as though neither had been. What was made with all that
        it holds goes node by node."""
        if change.kind is CommandKind.MOVE:
            self._leave(change, "VERSION_CONFLICT")
            self.passed.keep(change)
        elif (deletion := run.deleted_before(change.version)) is not None and change.was == change.at:
            self.passed.entries |= {change.entry, deletion}
        else:
            self.apart = change

    def _leave(self, change: JournalChange, code: str) -> None:
        kind = ItemKind.DESCRIBE if change.kind is CommandKind.DESCRIBE else ItemKind.RESTORE
        item = self._item(change, kind, change.place) if change.revises else self._reversed(change)
        self._put(left(item, code), change, change.version)

    def _return(self, change: JournalChange, gone: Replaced) -> None:
        """The file whose name a move had taken comes back, when the move has gone back."""
        run, version = self.runs.get(gone.node), gone.version + 1
        item = OperationItem(
            item=0, kind=ItemKind.RESTORE, path=change.place, node_id=gone.node, version=version, size=gone.size,
            mount=self._mount(change.mount),
        )  # fmt: skip
        if run is None or not run.has(version):
            self.steps.append(
                UndoStep(item=left(self._numbered(item, version), "VERSION_CONFLICT"), entry=change.entry)
            )
            return
        item = self._numbered(item, self._version(run, version))
        self.steps.append(UndoStep(item=item, entry=change.entry, appears=gone.place, content=gone.version))

    def _cross_back(self, change: JournalChange, gone: Departed, run: Run | None) -> None:
        """What moved to another mount: the node from which it came returns there from the trash, then what appeared here goes."""
        there, buried = self.runs.get(gone.node), gone.version + 1
        if gone.mount not in self.mounts:
            return self._leave(change, "NOT_SUPPORTED")
        whole = run is not None and run.has(change.version) and there is not None and there.has(buried)
        if not whole or change.entry in self.blocked:
            if not change.followed:
                self._leave(change, "VERSION_CONFLICT")
            return None
        assert run is not None and there is not None
        returns = replace(
            self._item(change, ItemKind.RESTORE, change.path), node_id=gone.node, mount=self._mount(gone.mount)
        )
        returns = self._numbered(returns, self._version(there, buried))
        self.steps.append(UndoStep(item=returns, entry=change.entry, appears=gone.place, content=gone.version))
        goes = self._item(change, ItemKind.DELETE, change.place)
        if change.previous is not None and not change.revived:
            goes = self._item(change, ItemKind.RESTORE, change.place, content_version=change.previous)
        goes = self._numbered(replace(goes, needs=returns.item), self._version(run, change.version))
        self.steps.append(UndoStep(item=goes, entry=change.entry, content=goes.content_version))

    def _put(self, item: OperationItem, change: JournalChange, version: int, *, content: int | None = None) -> None:
        restores = item.kind is ItemKind.RESTORE and item.content_version is None
        self.steps.append(
            UndoStep(
                item=self._numbered(item, version),
                entry=change.entry,
                appears=change.was if item.kind is ItemKind.MOVE or restores else None,
                content=change.previous if restores else content,
            )
        )

    def _version(self, run: Run, version: int) -> int:
        return run.version_at(version, self.passed.entries)

    def _numbered(self, item: OperationItem, version: int) -> OperationItem:
        numbered = replace(item, item=self.next_item, version=version)
        self.next_item += 1
        return numbered

    def _reversed(self, change: JournalChange) -> OperationItem:
        """What puts one change of place or life back."""
        if change.kind is CommandKind.MOVE and change.departed is None:
            return self._item(change, ItemKind.MOVE, change.place, target=change.path)
        if change.kind is CommandKind.DELETE:
            return self._item(change, ItemKind.RESTORE, change.path)
        return self._item(change, ItemKind.DELETE, change.place)

    def _item(
        self,
        change: JournalChange,
        kind: ItemKind,
        path: NodePath,
        *,
        target: NodePath | None = None,
        content_version: int | None = None,
    ) -> OperationItem:
        mount = self._mount(change.mount)
        return OperationItem(
            item=0, kind=kind, path=path, target=target, node_id=change.node, node_kind=change.node_kind,
            content_version=content_version, size=change.size, nodes=change.nodes, mount=mount,
            target_mount=mount if target is not None else None,
        )  # fmt: skip

    def _mount(self, mount: MountId) -> MountId | None:
        """As items name it: not at all where it is the operation's own."""
        return None if mount == next(iter(self.mounts)) else mount


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeNode:
    """A node that a command made, or brought back, together with others."""

    node: NodeId
    kind: NodeKind
    version: int
    """Which the command made"""
    name: bytes
    size: int = 0
    gone: bool = False


def taken_apart(
    node: TreeNode, path: NodePath, mount: MountId | None, run: Run | None, without: Collection[int]
) -> OperationItem | None:
    """What takes it away by itself, if nothing else has changed it since; its number is still to come. None: it is gone."""
    item = OperationItem(
        item=0, kind=ItemKind.DELETE, path=path, node_id=node.node, node_kind=node.kind, version=node.version,
        size=node.size, mount=mount,
    )  # fmt: skip
    if run is None or not run.has(node.version):
        return None if node.gone else left(item, "VERSION_CONFLICT")
    return replace(item, version=run.version_at(node.version, without))
