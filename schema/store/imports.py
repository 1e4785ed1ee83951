"""Imports in the record: what a page of a scan is judged by, and how it is written. All take the caller's connection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

import orjson

from schema.ids import MountId, NodeId
from schema.operations.imports import Found, ImportItem, Known, NewNode, ParentFolder
from schema.operations.operation import ItemState, Operation
from schema.paths import NodePath
from schema.sql import load
from schema.store.import_rows import node_rows

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("imports")


@dataclass(frozen=True, slots=True)
class Stamp:
    """Taken before the storage is read: what commands do to it from then on is known afterwards."""

    entry: int
    claimed: frozenset[bytes]


async def stamp(connection: Connection, mount: MountId) -> Stamp:
    row = await (await connection.execute(SQL["stamp"], {"mount": mount})).fetchone()
    assert row is not None
    return Stamp(row["entry"], frozenset(map(bytes, row["claimed"])))


async def touched(connection: Connection, mount: MountId, since: Stamp) -> tuple[set[bytes], set[bytes]]:
    """What commands are at, or were at since; and directories that came there with whatever lay in them."""
    cursor = await connection.execute(SQL["touched"], {"mount": mount, "entry": since.entry})
    found = await cursor.fetchall()
    return {bytes(row["path"]) for row in found}, {bytes(row["path"]) for row in found if row["arrived"]}


async def folders(connection: Connection, mount: MountId, paths: Collection[bytes]) -> dict[bytes, ParentFolder]:
    """Those of these directories that the record has."""
    asked = list(paths)
    stored = [path + b"/" if path else b"" for path in asked]
    cursor = await connection.execute(SQL["folders"], {"mount": mount, "paths": stored})
    return {
        asked[row["place"] - 1]: ParentFolder(row["id"], row["depth"], row["shown"]) for row in await cursor.fetchall()
    }


async def known(
    connection: Connection, entries: Sequence[Found], there: Mapping[bytes, ParentFolder]
) -> dict[bytes, Known]:
    """What the record has at these paths, as far as it has their directories."""
    asked, parents, names = list[bytes](), list[int](), list[bytes]()
    for entry in entries:
        above, _, name = entry.path.rpartition(b"/")
        if (folder := there.get(above)) is not None:
            asked.append(entry.path)
            parents.append(folder.id)
            names.append(name)
    if not asked:
        return {}
    cursor = await connection.execute(SQL["known"], {"parents": parents, "names": names})
    return {
        asked[row["place"] - 1]: Known(
            row["id"], row["kind"], row["depth"], row["shown"], row["device"], row["inode"], row["birth_ns"], row["s3_etag"],
            row["size_bytes"], row["observed_mtime_ns"],
        )
        for row in await cursor.fetchall()
    }  # fmt: skip


async def fresh_ids(connection: Connection, count: int) -> tuple[Iterator[int], int]:
    """Ids for new nodes, and the time of the transaction as `put_nodes` wants it."""
    runs = await (await connection.execute(SQL["ids"], {"count": count})).fetchall()
    ids = chain.from_iterable(range(run["first"], run["last"] + 1) for run in runs)
    return ids, runs[0]["now"] if runs else 0


async def put_nodes(connection: Connection, operation: Operation, page: UUID, new: Sequence[NewNode], now: int) -> int:
    """New nodes, the totals above them, and the entry of the journal that tells of them. Returns the bytes of the files."""
    await connection.execute(SQL["not_flushed"])
    await _copy(connection, SQL["put_nodes"], node_rows(new, operation.mount_id, operation.tenant, page, now))
    links = [(node.id, node.found.target) for node in new if node.found.target is not None]
    if links:
        values = {"nodes": [id for id, _ in links], "targets": [target for _, target in links]}
        await connection.execute(SQL["put_targets"], values)
    totals = _totals(new)
    await connection.execute(SQL["roll"], totals)
    made = {
        "size": sum(totals["bytes"]), "files": sum(totals["files"]), "directories": sum(totals["folders"]),
    }  # fmt: skip
    await _journal(connection, operation, page, {"made": made}, {"tree": made})
    return made["size"]


async def _copy(connection: Connection, query: LiteralString, parts: Iterable[bytes]) -> None:
    async with connection.cursor() as cursor, cursor.copy(query) as copy:
        for part in _joined(parts):
            await copy.write(part)


async def _journal(
    connection: Connection, operation: Operation, page: UUID, also: Mapping[str, Any], result: Mapping[str, Any]
) -> None:
    spelled = {"path": operation.path.text} | ({"path_b64": operation.path.b64} if operation.path.b64 else {})
    values = {
        "id": operation.id, "page": str(page), "payload": _json(spelled), "also": _json(also), "result": _json(result),
    }  # fmt: skip
    await connection.execute(SQL["journal"], values)


def _joined(parts: Iterable[bytes]) -> Iterable[bytes]:
    """In pieces that are worth a call."""
    waiting, size = list[bytes](), 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size > 1 << 17:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _totals(new: Sequence[NewNode]) -> dict[str, list[int]]:
    sums = dict[int, list[int]]()
    for node in new:
        total = sums.setdefault(node.parent, [0, 0, 0])
        if node.found.kind == "directory":
            total[2] += 1
            continue
        total[1] += 1
        if node.found.kind == "file":
            total[0] += int(node.found.facts[3])
    return {
        "directories": list(sums), "bytes": [one[0] for one in sums.values()], "files": [one[1] for one in sums.values()],
        "folders": [one[2] for one in sums.values()],
    }  # fmt: skip


async def put_items(connection: Connection, id: str, items: Sequence[ImportItem], *, again: bool) -> list[ItemState]:
    """The states of those that were written. `again`: some of them may be there already."""
    if not items:
        return []
    row = await (await connection.execute(SQL["next_item"], {"id": id})).fetchone()
    assert row is not None
    values = {
        "id": id, "next": row["last"], "again": again, "paths": [one.path for one in items], "kinds": [one.kind for one in items],
        "states": [one.state.value for one in items], "codes": [one.code for one in items],
        "messages": [one.message for one in items], "sizes": [one.size for one in items],
    }  # fmt: skip
    cursor = await connection.execute(SQL["put_items"], values)
    return [ItemState(written["state"]) for written in await cursor.fetchall()]


async def advance(
    connection: Connection,
    id: str,
    cursor: Mapping[str, Any],
    *,
    done: int = 0,
    size: int = 0,
    items: Sequence[ItemState] = (),
    seconds: float = 0.0,
) -> None:
    """`seconds`: how long the limits forbid more after this page."""
    failed, skipped = items.count(ItemState.FAILED), items.count(ItemState.SKIPPED)
    values = {
        "id": id, "cursor": _json(cursor), "items": done + failed + skipped, "done": done, "failed": failed, "skipped": skipped,
        "bytes": size, "seconds": seconds,
    }  # fmt: skip
    await connection.execute(SQL["advance"], values)


async def tell(connection: Connection, operation: Operation) -> None:
    """An import has ended: the events that tell of the whole. Where nothing was recorded there is nothing to tell."""
    path = operation.path
    way = [folder.raw for folder in path.ancestors()[1:]] + ([path.raw] if path.raw else [])
    there = await folders(connection, operation.mount_id, [b"", *way])
    nodes = [there[one].id for one in (way or [b""]) if one in there]
    last = await known_at(connection, path, there)
    if last is not None and last not in nodes:
        nodes.append(last)
    if operation.done and nodes:
        await connection.execute(SQL["tell"], {"id": operation.id, "nodes": nodes})


async def known_at(connection: Connection, path: NodePath, there: Mapping[bytes, ParentFolder]) -> int | None:
    """The living node at a path, by the directory that it lies in."""
    folder = there.get(path.parent.raw)
    if folder is None or not path.raw:
        return None
    values = {"parents": [folder.id], "names": [path.name]}
    row = await (await connection.execute(SQL["known"], values)).fetchone()
    return None if row is None else int(row["id"])


async def refused(connection: Connection, id: str) -> set[bytes]:
    cursor = await connection.execute(SQL["refused"], {"id": id})
    return {bytes(row["path"]) for row in await cursor.fetchall()}


async def waiting(connection: Connection, id: str, limit: int) -> list[tuple[int, bytes]]:
    """Names that wait, and whose turn it is: by their items."""
    cursor = await connection.execute(SQL["waiting"], {"id": id, "limit": limit})
    return [(row["item"], bytes(row["path"])) for row in await cursor.fetchall()]


async def defer(connection: Connection, id: str, items: Sequence[int], most: int) -> None:
    await connection.execute(SQL["defer"], {"id": id, "items": list(items), "most": most})


async def seen_again(connection: Connection, id: str, item: int) -> None:
    await connection.execute(SQL["seen_again"], {"id": id, "item": item})


async def begin_anew(connection: Connection, id: str) -> None:
    await connection.execute(SQL["forget_items"], {"id": id})
    await connection.execute(SQL["begin_anew"], {"id": id})


@dataclass(frozen=True, slots=True)
class Unhashed:
    """A file, and whether its content still has no hash."""

    id: NodeId
    version: int
    path: NodePath
    lacks: bool
    size: int
    identity: Sequence[int | str]


Place = tuple[bytes, bytes]
"""A directory and a name in it, after which the next ones are asked for"""
_BEHIND = b"\xff" * 256


async def unhashed(
    connection: Connection, mount: MountId, root: NodePath, after: Place | None, limit: int
) -> tuple[list[Unhashed], Place | None]:
    """The next files of a subtree, those that have a hash among them, and where to go on; None: there is no more."""
    low, only = root.as_directory, None
    high = low[:-1] + b"0" if low else b"\xff" * 8
    if root.raw and root.raw not in await folders(connection, mount, [root.raw]):
        low, only = root.parent.as_directory, root.name
        high = low + b"\0"
    directory, name = after or (low, b"")
    values = {"mount": mount, "directory": directory, "name": name, "high": high, "only": only, "limit": limit}
    found = await (await connection.execute(SQL["unhashed"], values)).fetchall()
    files = [
        Unhashed(
            NodeId(row["id"]), row["version"], NodePath(bytes(row["directory"]) + bytes(row["name"])), row["lacks"],
            row["size_bytes"], row["identity"] or (),
        )
        for row in found
    ]  # fmt: skip
    if len(found) == limit:
        return files, (bytes(found[-1]["directory"]), bytes(found[-1]["name"]))
    # Fewer than asked for: all of the 200 directories is read, and there may be others behind the last of them.
    row = await (await connection.execute(SQL["directory_after"], values)).fetchone()
    return files, (bytes(row["directory_path"]), _BEHIND) if row else None


async def put_hashes(
    connection: Connection, operation: Operation, page: UUID, hashes: Mapping[NodeId, tuple[int, bytes]]
) -> int:
    """By node: the version that was read, and its hash. One that has changed since is left as it is. Returns how many."""
    if not hashes:
        return 0
    values = {
        "ids": list(hashes), "versions": [version for version, _ in hashes.values()],
        "hashes": [sha256.hex() for _, sha256 in hashes.values()],
    }  # fmt: skip
    rows = await (await connection.execute(SQL["put_hashes"], values)).fetchall()
    if rows:
        hashed = {str(row["id"]): row["sha256"] for row in rows}
        await _journal(connection, operation, page, {"hashed": hashed}, {"hashed": len(rows)})
    return len(rows)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
