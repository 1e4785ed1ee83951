"""Read a tree as it was, page by page: a directory before what it holds, by kind and name. A page costs what it shows, and the way
down to where it begins, however large the tree is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from schema.ids import NodeId
from schema.nodes import NodeKind
from schema.store import past
from schema.store.past import After, PastNode

if TYPE_CHECKING:
    from schema.store.connection import Connection


@dataclass(frozen=True, slots=True)
class TreePlace:
    """The last node of a page: its path below the top of the tree."""

    path: bytes
    kind: NodeKind
    id: NodeId


@dataclass(frozen=True, slots=True)
class TreePage:
    """Paths are counted from the top of the tree."""

    nodes: Sequence[tuple[bytes, PastNode]]
    more: bool


@dataclass(slots=True)
class _Open:
    """A directory that is not read to its end: what was read of it and not shown yet, and after what it goes on."""

    id: NodeId
    path: bytes
    level: int
    after: After
    waiting: list[PastNode] = field(default_factory=list)
    ended: bool = False


async def page(
    connection: Connection, top: PastNode, at: datetime, *, after: TreePlace | None, depth: int | None, limit: int,
    shown: Callable[[bytes], bool] = lambda path: True,
) -> TreePage:  # fmt: skip
    """What lies below the top, down to `depth` levels, and is to be shown."""
    if top.kind is not NodeKind.DIRECTORY:
        return TreePage([], False)
    ways = await _opened(connection, top.id, at, after, depth)
    found: list[tuple[bytes, PastNode]] = []
    while ways and len(found) <= limit:
        directory = ways[-1]
        if not directory.waiting:
            await _read(connection, directory, at, limit + 1 - len(found))
        if not directory.waiting:
            ways.pop()
            continue
        node = directory.waiting.pop(0)
        path = _below(directory.path, node.name)
        if shown(path):
            found.append((path, node))
        if node.kind is NodeKind.DIRECTORY and (depth is None or directory.level < depth):
            ways.append(_Open(node.id, path, directory.level + 1, past.FIRST))
    return TreePage(found[:limit], len(found) > limit)


async def _read(connection: Connection, directory: _Open, at: datetime, limit: int) -> None:
    if directory.ended:
        return
    held = await past.children(connection, directory.id, at, after=directory.after, limit=limit)
    directory.waiting, directory.ended = held, len(held) < limit
    if held:
        directory.after = After(held[-1].kind, held[-1].name, held[-1].id)


async def _opened(
    connection: Connection, top: NodeId, at: datetime, after: TreePlace | None, depth: int | None
) -> list[_Open]:
    """The directories on the way to a place, each after the one below it; and the place itself, where it is one."""
    if after is None:
        return [_Open(top, b"", 1, past.FIRST)]
    names = after.path.split(b"/")
    found = await past.chain(connection, top, names, at)
    ways, path = [], b""
    for level, ((directory, _), name) in enumerate(zip(found, names, strict=False), start=1):
        last = level == len(names)
        kind, id = (
            (after.kind, after.id) if last else (NodeKind.DIRECTORY, found[level][0] if level < len(found) else 0)
        )
        ways.append(_Open(directory, path, level, After(kind, name, id)))
        path = _below(path, name)
    if after.kind is NodeKind.DIRECTORY and len(found) > len(names) and (depth is None or len(names) < depth):
        ways.append(_Open(after.id, path, len(names) + 1, past.FIRST))
    return ways


def _below(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name
