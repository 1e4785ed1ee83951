"""Paths and keys: a file is `<prefix><path>`, a directory is an empty object `<prefix><path>/`, ours are reserved.

<prefix>.filestore/mount.json                   which mount this prefix belongs to
<prefix>.filestore/canary                       written again and again: the store's notification of it is waited for
<prefix>.filestore/lock-canary/<lock>           the store is asked to keep it, and then to remove it
<prefix>.filestore/stage/<command>              a staged copy, made by the store itself
<prefix>.filestore/trash/<day>/<command>.<item> what was deleted or replaced
<prefix>.filestore/trash/<day>/long/<sha256>    the same, for what lies so deep in a deleted tree that its place is no key
"""

import hashlib

from schema import paths
from schema.errors import Forbidden, InvalidPath, InvalidRequest
from schema.ids import CommandId
from schema.paths import RESERVED, NodePath

KEY_MAX = 1024
"""Bytes in a key, everywhere."""
PREFIX_MAX = 900
"""Bytes in the prefix of a mount: our own keys below it have to fit as well."""


class Keys:
    def __init__(self, prefix: str) -> None:
        self.prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self.reserved = f"{self.prefix}{RESERVED.decode()}/"
        self.sentinel = f"{self.reserved}mount.json"
        self.canary = f"{self.reserved}canary"
        self.lock_canaries = f"{self.reserved}lock-canary/"
        self.stages = f"{self.reserved}stage/"
        self.trash = f"{self.reserved}trash/"

    def of(self, path: NodePath) -> str:
        """Raises InvalidPath for names that no key can hold."""
        return self._key(self.prefix, path.raw)

    def folder(self, path: NodePath) -> str:
        """The key of a directory, and the prefix of all below it. The root's is the prefix of the mount."""
        return self._key(self.prefix, path.raw + b"/") if path.raw else self.prefix

    def stage(self, stage: CommandId) -> str:
        return self.stages + stage

    def in_trash(self, place: bytes | str | None) -> str:
        return self._in_trash(place, b"")

    def trash_folder(self, place: bytes | str | None) -> str:
        """The key of a directory in the trash."""
        return self._in_trash(place, b"/")

    def _in_trash(self, place: bytes | str | None, end: bytes) -> str:
        raw = place.encode("utf-8", "surrogateescape") if isinstance(place, str) else place or b""
        if not raw or any(name in (b"", b".", b"..") for name in raw.split(b"/")):
            raise InvalidRequest(f"{place!r} is not a place in the trash: <day>/<command>.<item>.")
        if len(self.trash.encode()) + len(raw + end) > KEY_MAX:
            # The place in the trash is longer than the path was. Every execution makes the same short name for it.
            day = raw.partition(b"/")[0]
            raw = day + b"/long/" + hashlib.sha256(raw).hexdigest().encode("ascii")
        return self._key(self.trash, raw + end)

    def path_of(self, key: str) -> NodePath | None:
        """None: a key that is no path of a mount (`a//b`, `a/../b`); it is left alone."""
        raw = key[len(self.prefix) :].encode("utf-8", "surrogatepass").removesuffix(b"/")
        try:
            path = paths.check(raw)
        except (InvalidPath, Forbidden):
            return None
        return path if path.raw == raw else None

    def _key(self, before: str, raw: bytes) -> str:
        try:
            key = before + raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidPath("Names in an object store are UTF-8. Choose another name, or a local mount.") from error
        if len(before.encode()) + len(raw) > KEY_MAX:
            raise InvalidPath(f"Prefix and path have more than {KEY_MAX} bytes, the most an object's key can have.")
        return key
