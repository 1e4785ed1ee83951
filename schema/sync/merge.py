"""Two trees that grew out of one: the tree that both become. Nothing that was changed on one side only is lost, and of what was
changed on both the loser is named.

A deletion never beats an edit it has not seen. A directory stays for as long as something in it does. Where a file and a directory
want one name, the file moves aside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from schema.paths import NAME_MAX
from schema.sync.trees import Tree, TreeEntry, a_directory, ancestors, name_of, parent_of, shallow_first


class ConflictRule(StrEnum):
    """What becomes of a file that was changed on both sides."""

    LAST = "last"
    """Who commits last wins; the loser is kept in the inbox"""
    KEEP_BOTH = "keep_both"
    """The one that was there first keeps the name, the other one gets a name beside it"""
    REFUSE = "refuse"
    """Neither moves until it is decided"""


@dataclass(frozen=True, slots=True)
class Clash:
    """A path that both sides changed. `loser`: what does not stand there any more; `kept_as`: where it stands now."""

    path: bytes
    local: TreeEntry
    remote: TreeEntry
    loser: TreeEntry | None = None
    kept_as: bytes | None = None


@dataclass(slots=True)
class Merged:
    """`target`: what both sides are to be. `held`: paths at which each side stays as it is."""

    target: dict[bytes, TreeEntry] = field(default_factory=dict)
    clashes: list[Clash] = field(default_factory=list)
    held: set[bytes] = field(default_factory=set)


def merge(local: Tree, remote: Tree, agreed: Tree, rule: ConflictRule, node: str) -> Merged:
    """`agreed`: what both were when they last were one. `node`: names what this node puts aside."""
    merged = Merged()
    aside: dict[bytes, TreeEntry] = {}
    for path in local.keys() | remote.keys():
        here, there, before = local.get(path), remote.get(path), agreed.get(path)
        if (chosen := _chosen(here, there, before)) is not None:
            merged.target[path] = chosen
        elif here is not None and there is not None:
            _clash(merged, aside, path, here, there, rule)
    _keep_parents(merged, aside, local, remote, agreed)
    _put_aside(merged, aside, node)
    return merged


def _chosen(here: TreeEntry | None, there: TreeEntry | None, before: TreeEntry | None) -> TreeEntry | None:
    """What stands at a path in the end. None: nothing does, or both sides say something of their own."""
    if here == there or there == before:
        return here
    if here == before:
        return there
    if here is None or there is None:
        return here or there
    if here.kind is there.kind and here.sha == there.sha:
        return here  # only the permissions differ
    return None


def _clash(
    merged: Merged, aside: dict[bytes, TreeEntry], path: bytes, here: TreeEntry, there: TreeEntry, rule: ConflictRule
) -> None:
    if here.directory or there.directory:
        merged.target[path] = here if here.directory else there
        aside[path] = there if here.directory else here
        merged.clashes.append(Clash(path, here, there))
    elif rule is ConflictRule.LAST:
        merged.target[path] = here
        merged.clashes.append(Clash(path, here, there, loser=there))
    elif rule is ConflictRule.KEEP_BOTH:
        merged.target[path] = there
        aside[path] = here
        merged.clashes.append(Clash(path, here, there))
    else:
        merged.held.add(path)
        merged.clashes.append(Clash(path, here, there))


def _keep_parents(merged: Merged, aside: dict[bytes, TreeEntry], *sides: Tree) -> None:
    """Each directory that something lies in is there. A file in its place moves aside."""
    for path in [*merged.target, *merged.held]:
        for above in ancestors(path):
            there = merged.target.get(above)
            if there is not None and there.directory:
                continue
            if there is not None:
                aside[above] = there
            known = (side.get(above) for side in sides)
            merged.target[above] = next((one for one in known if one is not None and one.directory), a_directory())


def _put_aside(merged: Merged, aside: Mapping[bytes, TreeEntry], node: str) -> None:
    for path in shallow_first(aside):
        entry = aside[path]
        name = _free_name(merged.target, path, entry, node)
        merged.target[name] = entry
        merged.clashes = [_named(clash, path, entry, name) for clash in merged.clashes]


def _named(clash: Clash, path: bytes, entry: TreeEntry, name: bytes) -> Clash:
    if clash.path != path:
        return clash
    return Clash(path, clash.local, clash.remote, entry, name)


def _free_name(target: Tree, path: bytes, entry: TreeEntry, node: str) -> bytes:
    """The same each time for the same content, so that planning once more makes no second copy."""
    count = 0
    while True:
        name = conflict_name(path, entry.sha, node, count)
        if (there := target.get(name)) is None or there == entry:
            return name
        count += 1


def conflict_name(path: bytes, sha: str, node: str, count: int = 0) -> bytes:
    """Beside the path, with the same ending: `report.conflict-<node>-<content>.txt`."""
    folder, name = parent_of(path), name_of(path)
    stem, dot, ending = name.rpartition(b".")
    if not stem or len(ending) > 16:
        stem, dot, ending = name, b"", b""
    mark = f".conflict-{node}-{sha[:8]}{f'-{count}' if count else ''}".encode()
    kept = stem[: NAME_MAX - len(mark) - len(dot + ending)]
    whole = kept + mark + dot + ending
    return folder + b"/" + whole if folder else whole
