"""What a commit does to the tree as it is: each change in turn, on what those before it left.

A change that says which content it replaces, and finds another, is a conflict: the project's rule decides. A deletion that finds
another content is left out. What has no place is left out too, and its node hears of it: it plans anew from what is there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schema.sync.changes import ChangeKind, PathChange
from schema.sync.merge import ConflictRule, conflict_name
from schema.sync.trees import EntryKind, TreeEntry, ancestors, parent_of

Reason = str
CHANGED, NO_DIRECTORY, NOT_EMPTY, IN_THE_WAY, REFUSED = (
    "changed",  # another content is there than the change was made on
    "no_directory",  # a file is where a directory is needed
    "not_empty",
    "in_the_way",  # a file where a directory is meant, or the reverse
    "refused",  # a conflict, in a project that decides none by itself
)


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """A change as it went into the tree. `before`: the content that it replaced."""

    kind: ChangeKind
    path: bytes
    entry: TreeEntry | None
    source: bytes | None = None
    before: TreeEntry | None = None


@dataclass(frozen=True, slots=True)
class Conflicting:
    """`loser_here`: the loser is what was committed now; otherwise what stood there."""

    path: bytes
    winner: TreeEntry
    loser: TreeEntry
    loser_here: bool
    kept_as: bytes | None = None


@dataclass(slots=True)
class JudgedCommit:
    applied: list[AppliedChange] = field(default_factory=list)
    left_out: list[tuple[PathChange, Reason]] = field(default_factory=list)
    conflicts: list[Conflicting] = field(default_factory=list)
    tree: dict[bytes, TreeEntry] = field(default_factory=dict)
    """The paths that were looked at, as they are afterwards"""


def touched(changes: Iterable[PathChange]) -> set[bytes]:
    """The paths whose entries have to be known: those of the changes, and the directories above them."""
    paths = {path for change in changes for path in change.paths}
    return paths | {above for path in paths for above in ancestors(path)}


def judge(
    tree: Mapping[bytes, TreeEntry], changes: Iterable[PathChange], rule: ConflictRule, node: str
) -> JudgedCommit:
    """`tree`: the entries of `touched`, and what lies directly in the directories that are deleted."""
    judged = JudgedCommit(tree=dict(tree))
    deleted_directories = []
    for change in changes:
        there = judged.tree.get(change.path)
        if change.kind is ChangeKind.DELETE and there is not None and there.directory:
            deleted_directories.append(change)
        elif change.kind is ChangeKind.DELETE:
            _delete(judged, change, there)
        elif change.kind is ChangeKind.MKDIR:
            _mkdir(judged, change, there)
        elif change.kind is ChangeKind.MOVE:
            _move(judged, change, rule, node)
        else:
            _put(judged, change, rule, node)
    for change in sorted(deleted_directories, key=lambda one: -one.path.count(b"/")):
        _rmdir(judged, change)
    return judged


def other_than_asked(changes: Iterable[PathChange], judged: JudgedCommit) -> set[bytes]:
    """The paths that are not what their changes said: their node has to look at them anew."""
    wanted: dict[bytes, TreeEntry | None] = {}
    for change in changes:
        if change.source is not None:
            wanted[change.source] = None
        wanted[change.path] = None if change.kind is ChangeKind.DELETE else change.entry
    return {path for path, entry in wanted.items() if judged.tree.get(path) != entry}


def _delete(judged: JudgedCommit, change: PathChange, there: TreeEntry | None) -> None:
    if there is None:
        return
    if change.checked and there.sha != change.base:
        judged.left_out.append((change, CHANGED))
        return
    del judged.tree[change.path]
    judged.applied.append(AppliedChange(ChangeKind.DELETE, change.path, None, None, there))


def _rmdir(judged: JudgedCommit, change: PathChange) -> None:
    there = judged.tree.get(change.path)
    if there is None or not there.directory:
        return
    if any(parent_of(path) == change.path for path in judged.tree):
        judged.left_out.append((change, NOT_EMPTY))
        return
    del judged.tree[change.path]
    judged.applied.append(AppliedChange(ChangeKind.DELETE, change.path, None, None, there))


def _mkdir(judged: JudgedCommit, change: PathChange, there: TreeEntry | None) -> None:
    if not _make_parents(judged, change):
        return
    if there is not None and not there.directory:
        judged.left_out.append((change, IN_THE_WAY))
    elif there != change.entry:
        judged.tree[change.path] = change.entry
        judged.applied.append(AppliedChange(ChangeKind.MKDIR, change.path, change.entry, None, there))


def _move(judged: JudgedCommit, change: PathChange, rule: ConflictRule, node: str) -> None:
    """Where either end is not as the node saw it, it is a put and a deletion, each for itself."""
    assert change.source is not None
    source, there = judged.tree.get(change.source), judged.tree.get(change.path)
    if source is None or source.directory or source.sha != change.sha or there is not None:
        _put(judged, PathChange(ChangeKind.PUT, change.path, None, change.sha, change.size, change.mode), rule, node)
        gone = PathChange(ChangeKind.DELETE, change.source, base=change.base, checked=change.checked)
        if source is not None and not source.directory and judged.tree.get(change.path) is not None:
            _delete(judged, gone, source)
        return
    if _make_parents(judged, change):
        del judged.tree[change.source]
        judged.tree[change.path] = change.entry
        judged.applied.append(AppliedChange(ChangeKind.MOVE, change.path, change.entry, change.source, source))


def _put(judged: JudgedCommit, change: PathChange, rule: ConflictRule, node: str) -> None:
    there = judged.tree.get(change.path)
    if there is not None and there.directory:
        judged.left_out.append((change, IN_THE_WAY))
    elif not _make_parents(judged, change) or there == change.entry:
        return
    elif not change.checked or there is None or there.sha in (change.base, change.sha):
        _take(judged, change.path, change.entry, there)
    elif rule is ConflictRule.LAST:
        _take(judged, change.path, change.entry, there)
        judged.conflicts.append(Conflicting(change.path, change.entry, there, loser_here=False))
    elif rule is ConflictRule.KEEP_BOTH:
        aside = conflict_name(change.path, change.sha, node)
        _take(judged, aside, change.entry, judged.tree.get(aside))
        judged.conflicts.append(Conflicting(change.path, there, change.entry, loser_here=True, kept_as=aside))
    else:
        judged.left_out.append((change, REFUSED))
        judged.conflicts.append(Conflicting(change.path, there, change.entry, loser_here=True))


def _take(judged: JudgedCommit, path: bytes, entry: TreeEntry, before: TreeEntry | None) -> None:
    if before != entry:
        judged.tree[path] = entry
        judged.applied.append(AppliedChange(ChangeKind.PUT, path, entry, None, before))


def _make_parents(judged: JudgedCommit, change: PathChange) -> bool:
    """The directories above are made where they are missing. False: a file is in the place of one."""
    for above in ancestors(change.path):
        there = judged.tree.get(above)
        if there is not None and not there.directory:
            judged.left_out.append((change, NO_DIRECTORY))
            return False
        if there is None:
            made = TreeEntry(EntryKind.DIRECTORY, 0o755)
            judged.tree[above] = made
            judged.applied.append(AppliedChange(ChangeKind.MKDIR, above, made))
    return True
