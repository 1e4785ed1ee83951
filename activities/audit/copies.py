"""Where seals are copied to, so that a database that was changed as a whole is found out: a file, or a bucket."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from schema.audit.chain import SealCopy

if TYPE_CHECKING:
    from schema.settings import Settings

KNOWN_MAX = 100
"""Copies in a bucket that are compared: the newest ones. Each stands for all seals before it."""
_NUMBERS = 10**15
_TAIL = 4096


class SealCopies(Protocol):
    """Blocking."""

    every: bool
    """Takes every seal; otherwise the newest one of those that are there, which stands for all before it"""

    def last(self) -> int:
        """The number of the newest seal that it has."""
        ...

    def add(self, seals: Sequence[Mapping[str, Any]]) -> None:
        """Those behind the last one, in order. Doing it again is harmless."""
        ...

    def read(self) -> list[SealCopy]: ...


def line_of(seal: Mapping[str, Any]) -> str:
    return json.dumps(
        {
            "number": seal["number"], "hash": bytes(seal["hash"]).hex(), "previous": bytes(seal["previous"]).hex(),
            "lastEntry": seal["last"], "entries": seal["entries"], "sealedAt": seal["sealed_at"].astimezone(UTC).isoformat(),
        }
    )  # fmt: skip


def copy_of(line: str) -> SealCopy:
    told = json.loads(line)
    return SealCopy(int(told["number"]), bytes.fromhex(told["hash"]))


class FileOfSeals:
    """A line a seal."""

    every = True

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def last(self) -> int:
        copies = _copies(self._tail())
        return copies[-1].number if copies else 0

    def add(self, seals: Sequence[Mapping[str, Any]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        tail = self._tail()
        # In one write, so that two processes never mix their lines; behind a line that a crash cut off.
        text = "\n" * bool(tail and not tail.endswith("\n")) + "".join(f"{line_of(one)}\n" for one in seals)
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            os.write(handle, text.encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def read(self) -> list[SealCopy]:
        return _copies(self._path.read_text(encoding="utf-8")) if self._path.exists() else []

    def _tail(self) -> str:
        """The last lines, the first of them perhaps in part."""
        if not self._path.exists():
            return ""
        with self._path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            return file.read().decode("utf-8", "replace")


def _copies(text: str) -> list[SealCopy]:
    """A line that a crash cut off counts for nothing; its seal is written again."""
    return [copy_of(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]


class BucketOfSeals:
    """An object for each round of sealing, the newest one first in a listing; nothing is written over. `lock_days`: so long the
    store lets nobody remove it, where its bucket has Object Lock."""

    every = False

    def __init__(self, bucket: str, prefix: str, client: Any, lock_days: int) -> None:
        self._bucket, self._prefix, self._client, self._days = bucket, prefix.strip("/"), client, lock_days

    def last(self) -> int:
        keys = self._keys(1)
        return self._number(keys[0]) if keys else 0

    def add(self, seals: Sequence[Mapping[str, Any]]) -> None:
        for seal in seals:
            key = f"{self._prefix}/{_NUMBERS - seal['number']:015d}.json".lstrip("/")
            self._put(key, line_of(seal).encode())

    def read(self) -> list[SealCopy]:
        return [self._read(key) for key in reversed(self._keys(KNOWN_MAX))]

    def _keys(self, most: int) -> list[str]:
        below = f"{self._prefix}/".lstrip("/")
        found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=below, MaxKeys=most)
        return [one["Key"] for one in found.get("Contents", [])]

    def _number(self, key: str) -> int:
        return _NUMBERS - int(key.rpartition("/")[2].removesuffix(".json"))

    def _read(self, key: str) -> SealCopy:
        copy = copy_of(self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read().decode())
        return copy if copy.number == self._number(key) else SealCopy(self._number(key), b"")

    def _put(self, key: str, content: bytes) -> None:
        lock = {}
        if self._days:
            until = datetime.now(UTC) + timedelta(days=self._days)
            lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until, "ChecksumAlgorithm": "SHA256"}
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=content, IfNoneMatch="*", **lock)
        except self._client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 412:  # another process was first
                raise


def copies_of(settings: Settings) -> SealCopies | None:
    """As the settings say; None: seals stay in the database alone."""
    place = settings.audit_copies
    if place is None:
        return None
    if not place.startswith("s3://"):
        return FileOfSeals(place)
    from activities.executors.s3.wire.account import account_of, connect

    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    told = {"endpoint": settings.audit_s3_endpoint, "region": settings.audit_s3_region}
    return BucketOfSeals(bucket, prefix, connect(account_of(told, {}), 2), settings.audit_lock_days)
