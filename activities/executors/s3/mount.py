"""A mount's place in a bucket: its keys, its spool, its sentinel, and what directories are there."""

import errno
import hashlib
import json
import threading
import time

from activities.executors.s3.bucket import FREE, Bucket
from activities.executors.s3.errors import ConditionFailed, Missing, NoBucket
from activities.executors.s3.keys import KEY_MAX, Keys
from activities.executors.s3.spool import BucketSpool
from schema.errors import InvalidPath, InvalidRequest, MountOffline
from schema.paths import NodePath

FRESH_SECONDS = 3.0
"""For so long a look at the sentinel holds: it costs a request, and every list of commands asks."""
FOLDERS_MAX = 10_000
_SENTINEL_MAX = 4096


class Store:
    def __init__(self, bucket: Bucket, keys: Keys, spool: BucketSpool, mount_uuid: str) -> None:
        self.bucket, self.keys, self.spool, self.uuid = bucket, keys, spool, mount_uuid
        self._seen, self._guard = float("-inf"), threading.Lock()
        self._folders: dict[str, float] = {}
        """When a directory was last seen"""

    def check(self) -> None:
        """Raises MountOffline unless the prefix is this mount's. What was seen a moment ago is not asked again."""
        with self._guard:
            if time.monotonic() - self._seen > FRESH_SECONDS:
                self.sure()

    def sure(self) -> None:
        """Look now, whatever was seen before: a bucket that went away must never be taken for an empty one."""
        owner = self.sentinel()
        if owner is None:
            raise MountOffline(
                "There is no sentinel under the mount's prefix: this is not the bucket it was registered with."
            )
        if owner != self.uuid:
            raise MountOffline("The prefix belongs to another mount. Nothing was changed.")
        self._seen = time.monotonic()

    def register(self) -> None:
        """Write the sentinel, and nothing else. Raises InvalidRequest for the prefix of another mount."""
        content = json.dumps({"mount": self.uuid}).encode() + b"\n"
        try:
            self.sentinel()  # before anything is written: some stores would make a bucket that is not there
        except NoBucket as error:
            raise InvalidRequest("The bucket does not exist. Make it, or correct its name.", field="bucket") from error
        self._refuse_nested()
        try:
            self.bucket.put(self.keys.sentinel, content, hashlib.sha256(content).digest(), {}, FREE)
        except (ConditionFailed, Missing):
            owner = self.sentinel()
            if owner != self.uuid:
                raise InvalidRequest(
                    "The bucket and prefix belong to another mount already. Take that mount, or choose another prefix; if no "
                    "service serves it any more, send adopt: true."
                ) from None
        else:
            self._probe(content)

    def _refuse_nested(self) -> None:
        """Two mounts must not own the same object: their claims do not see each other."""
        names = self.keys.prefix.split("/")[:-1]
        for depth in range(len(names)):
            above = Keys("/".join(names[:depth]))
            if self.bucket.head(above.sentinel) is not None:
                raise InvalidRequest("The prefix lies inside of another mount. Choose a prefix outside of it.")

    def _probe(self, content: bytes) -> None:
        """A store that ignores conditions would overwrite what we must not: no mount is made there."""
        try:
            self.bucket.put(self.keys.sentinel, content, hashlib.sha256(content).digest(), {}, FREE)
        except ConditionFailed:
            return
        self.bucket.delete(self.keys.sentinel)
        raise InvalidRequest("This store ignores If-None-Match on writes. Filestore needs it; choose another store.")

    def put_canary(self) -> None:
        """Over the last one. Only where the prefix is this mount's."""
        self.check()
        content = str(time.time_ns()).encode()
        self.bucket.put(self.keys.canary, content, hashlib.sha256(content).digest(), {}, {})

    def sentinel(self) -> str | None:
        try:
            content, _ = self.bucket.read(self.keys.sentinel, 0, _SENTINEL_MAX)
        except Missing:
            return None
        try:
            return str(json.loads(content)["mount"])
        except (ValueError, KeyError, TypeError):
            return ""

    # -- directories ---------------------------------------------------------------------------------------------------

    def has_folder(self, path: NodePath, *, anew: bool) -> bool:
        """Does something make this directory? A directory seen a moment ago is looked at again only with `anew`, as the
        mount is."""
        key, now = self.keys.folder(path), time.monotonic()
        if not anew and now - self._folders.get(key, float("-inf")) < FRESH_SECONDS:
            return True
        if not self.bucket.first(key, 1):
            return False
        if len(self._folders) >= FOLDERS_MAX:
            self._folders.clear()
        self._folders[key] = now
        return True

    def is_folder(self, path: NodePath) -> bool:
        """Does something make this directory now? A name of 1,024 bytes can be a file's and no directory's."""
        try:
            key = self.keys.folder(path)
        except InvalidPath:
            return False
        return bool(self.bucket.first(key, 1))

    def delete_folder(self, key: str) -> None:
        """Delete a directory's marker."""
        self._folders.pop(key, None)
        self.bucket.delete(key)

    def keep_folder(self, path: NodePath) -> None:
        """Before its last entry goes: a directory that others made by putting something into it gets a marker."""
        if path.depth == 0:
            return
        key = self.keys.folder(path)
        there = self.bucket.first(key, 1)
        if there and there[0].key != key:
            self.put_our_folder(key, "")

    def put_our_folder(self, key: str, command: str) -> None:
        """Puts a marker at this key, also where another program has made one. SeaweedFS answers a condition for directories that
        exist by what is in them, and lists no marker of them: an empty object put there overwrites nothing."""
        try:
            self.bucket.put_folder(key, command, FREE)
        except ConditionFailed:
            if key not in [one.key for one in self.bucket.every(key, 1)]:
                self.bucket.put_folder(key, command, {})

    def clear_ghost(self, key: str) -> None:
        """SeaweedFS keeps a directory whose last entry went, lists nothing of it, and refuses its name. Removing the
        marker that is not there removes it; elsewhere that does nothing."""
        if len(key.encode()) > KEY_MAX:
            return
        found = self.bucket.head(key)
        if found is None or found.size or self.bucket.first(key, 1):
            return
        try:
            self.bucket.delete(key)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
