"""Where a node lies on its mount: bytes, names separated by '/', no leading or trailing slash; the root is empty.

Names are bytes because file systems say so. JSON carries `path` as text, and `pathB64` where the bytes are not UTF-8.
"""

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache

from schema.errors import Forbidden, InvalidPath

NAME_MAX = 255
"""Bytes in one name: the limit of every file system we run on."""
PATH_MAX = 4096
"""Bytes in a whole path."""
RESERVED = b".filestore"
"""The folder at a mount's root where stages, trash, locks and the sentinel live. No client reads or writes there."""


@dataclass(frozen=True, slots=True, order=True)
class NodePath:
    """A checked path. `raw` is its bytes; build one with `parse` or `decode`, never from unchecked bytes."""

    raw: bytes

    @property
    def name(self) -> bytes:
        return self.raw.rpartition(b"/")[2]

    @property
    def parent(self) -> "NodePath":
        return NodePath(self.raw.rpartition(b"/")[0])

    @property
    def depth(self) -> int:
        """0 for the root, 1 for its children."""
        return self.raw.count(b"/") + 1 if self.raw else 0

    @property
    def as_directory(self) -> bytes:
        """The stored form of a directory's path: with a trailing '/', so that prefix ranges are exact; the root is ''."""
        return self.raw + b"/" if self.raw else b""

    @property
    def text(self) -> str:
        """For people: lossy where the bytes are not UTF-8."""
        return self.raw.decode("utf-8", "replace")

    @property
    def b64(self) -> str | None:
        """The exact bytes for JSON, only where `text` is lossy."""
        try:
            self.raw.decode("utf-8")
        except UnicodeDecodeError:
            return base64.b64encode(self.raw).decode("ascii")
        return None

    def ancestors(self) -> list["NodePath"]:
        """From the root down to the parent; empty for the root."""
        names = self.raw.split(b"/") if self.raw else []
        return [NodePath(b"/".join(names[:depth])) for depth in range(len(names))]

    def ancestor_lengths(self) -> list[int]:
        """The same as numbers: how many bytes of this path each of them is. All of them spelled out are its square."""
        return [0, *(at for at, byte in enumerate(self.raw) if byte == 0x2F)] if self.raw else []

    def is_below(self, directory: "NodePath") -> bool:
        """Somewhere inside of it; nothing is inside of itself."""
        return self != directory and self.raw.startswith(directory.as_directory)

    def child(self, name: bytes) -> "NodePath":
        return NodePath(self.raw + b"/" + name if self.raw else name)


ROOT = NodePath(b"")


def parse(text: str, *, allow_root: bool = False) -> NodePath:
    """A path as a client sends it. Slashes at either end and doubled ones are forgiven, as earlier clients rely on.

    Raises InvalidPath (empty, '.', '..', NUL, backslash, lone surrogate, too long) or Forbidden (reserved name).
    """
    try:
        raw = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidPath("The path holds a lone surrogate; send such names as pathB64.") from error
    return check(raw, allow_root=allow_root)


@lru_cache(4096)
def decode(path: str | None, b64: str | None, *, allow_root: bool = False) -> NodePath:
    """A path from JSON: `pathB64` wins over `path`, because it is exact."""
    if b64 is None:
        return parse(path or "", allow_root=allow_root)
    try:
        return check(base64.b64decode(b64, validate=True), allow_root=allow_root)
    except (binascii.Error, ValueError) as error:
        raise InvalidPath("pathB64 is not base64.") from error


def check(raw: bytes, *, allow_root: bool = False) -> NodePath:
    """Normalise and refuse, in one place. `check(p.raw) == p` for every path it returns."""
    names = [name for name in raw.split(b"/") if name]
    if not names:
        if allow_root:
            return ROOT
        raise InvalidPath("The path is empty; the root of a mount can not be changed.")
    for name in names:
        if name in (b".", b".."):
            raise InvalidPath(f"The path has a {name.decode()!r} segment; send the resolved path.")
        if b"\0" in name or b"\\" in name:
            raise InvalidPath("The path holds a NUL or a backslash; separate names with '/'.")
        if len(name) > NAME_MAX:
            raise InvalidPath(f"A name has {len(name)} bytes; {NAME_MAX} is the most a file system takes.")
    if names[0] == RESERVED:
        raise Forbidden(f"{RESERVED.decode()}/ is reserved for Filestore itself; choose another name.")
    joined = b"/".join(names)
    if len(joined) > PATH_MAX:
        raise InvalidPath(f"The path has {len(joined)} bytes; {PATH_MAX} is the limit.")
    return NodePath(joined)
