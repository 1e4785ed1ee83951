"""New nodes as the bytes that Postgres copies in: its binary format, whole rows at once. A driver that
writes value by value takes longer than the scan."""

import struct
from collections.abc import Iterable
from uuid import UUID

from schema.operations.imports import NewNode

_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = struct.pack(">h", -1)
_COLUMNS = 24
_NULL = struct.pack(">i", -1)
_LENGTH = struct.Struct(">i")
_FIXED = struct.Struct(">h" + "iq" * 3 + "ii" + "iq" * 7 + "ii" * 2 + "iq" * 2)
"""Three ids, depth, size and six numbers of the identity, mode and links, two times"""
_RESTS_US = 1_000_000
"""A file whose change time is older than this when it is recorded is as it was seen: nothing of ours touches it. The times of a
younger one prove nothing yet: it is recorded as seen by the page, as what a command makes is"""
_EPOCH = 946684800000000
"""Postgres counts microseconds from the year 2000"""
_EARLIEST, _LATEST = -210_000_000_000_000_000, 9_000_000_000_000_000_000
"""Times that Postgres takes; a file can say any"""


def node_rows(nodes: Iterable[NewNode], mount: int, tenant: str, page: UUID, now: int) -> Iterable[bytes]:
    """`now`: in microseconds as Postgres counts them."""
    by, of_tenant = _text(page.bytes), _text(tenant.encode())
    kinds = {kind: _text(kind.encode()) for kind in ("file", "directory", "symlink", "special")}
    yield _HEAD
    for node in nodes:
        device, inode, birth, size, mtime, ctime, _, mode, links, *tags = node.found.facts
        kind, modified = node.found.kind, now
        if mtime:
            modified = max(_EARLIEST, min(_LATEST, int(mtime) // 1000 - _EPOCH))
        fixed = _FIXED.pack(
            _COLUMNS, 8, node.id, 8, mount, 8, node.parent, 4, node.depth, 8, size if kind == "file" else 0, 8, device, 8, inode,
            8, birth, 8, size, 8, mtime, 8, ctime, 4, mode, 4, links, 8, now, 8, modified,
        )  # fmt: skip
        rests = ctime and int(ctime) // 1000 - _EPOCH < now - _RESTS_US
        etag = _text(str(tags[0]).encode()) if tags and tags[0] else _NULL
        name = _text(node.name)
        shown = name if node.name.isascii() else _text(node.name.decode("utf-8", "replace").encode())
        below = _NULL + _NULL
        if kind == "directory":
            below = _text(node.found.path + b"/") + _text(node.shown.encode())
        yield b"".join((fixed, _NULL if rests else by, kinds[kind], of_tenant, name, shown, etag, below, by))
    yield _END


def _text(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value
