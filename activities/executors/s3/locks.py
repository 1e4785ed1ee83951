"""Object Lock of a bucket: whether it really keeps what it is told to keep, and locks on versions of objects.

What a bucket says proves nothing: some stores take a lock and remove the object all the same. So a canary, an object of ours, is
locked and then removed by its version, with the mount's own credentials. Only a canary that is still there counts.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from activities.executors.s3.bucket import Bucket, FoundObject
from activities.executors.s3.errors import Missing, explaining
from activities.executors.s3.keys import Keys
from schema.access.object_locks import HeldObject, LockedObject, LockProof
from schema.errors import InvalidPath

CANARY_SECONDS = 3600
"""For so long the canary is retained, anew at each proof"""
_CONTENT = b"Filestore asks the store to keep this, and then to remove it.\n"
_NONE = {"ObjectLockConfigurationNotFoundError", "NotImplemented", "MethodNotAllowed", "NoSuchObjectLockConfiguration"}
_REFUSED = {"AccessDenied", "InvalidRequest", "ObjectLocked", "InvalidObjectState"}
_COMPLIANCE = "COMPLIANCE"


class S3Locks:
    """`ObjectLocks` of a mount in a bucket."""

    def __init__(self, bucket: Bucket, keys: Keys) -> None:
        self._bucket, self._keys, self._client = bucket, keys, bucket.client

    # -- the proof -----------------------------------------------------------------------------------------------------

    def prove(self) -> LockProof:
        try:
            with _refusable():
                found = self._client.get_object_lock_configuration(Bucket=self._bucket.name)
        except PermissionError as error:
            return LockProof(False, problem=None if str(error) in _NONE else f"The store does not say it: {error}.")
        except Missing:
            return LockProof(False)
        said: Any = found.get("ObjectLockConfiguration", {})
        if said.get("ObjectLockEnabled") != "Enabled":
            return LockProof(False)
        default: Any = said.get("Rule", {}).get("DefaultRetention", {})
        days = default.get("Days") or 365 * (default.get("Years") or 0) or None
        retention, legal_hold = self._keeps("retention", self._retain), self._keeps("legal-hold", self._hold)
        return LockProof(
            True, legal_hold is None, retention is None, default.get("Mode"), days, retention or legal_hold
        )

    def _keeps(self, kind: str, lock: Callable[[FoundObject], None]) -> str | None:
        """Why the store can not be relied on with this lock. None: it keeps what is locked."""
        canary = self._canary(self._keys.lock_canaries + kind)
        if not canary.version:
            return "The store keeps no versions in a bucket with Object Lock."
        try:
            lock(canary)
        except PermissionError as error:
            return f"The store does not lock objects for the mount's credentials: {error}."
        with suppress(PermissionError, Missing), _refusable():
            self._client.delete_object(Bucket=self._bucket.name, Key=canary.key, VersionId=canary.version)
        try:
            self._look(canary.key, canary.version)
        except Missing:
            return f"The store took a lock on an object ({kind}), and removed the object all the same."
        return None

    def _canary(self, key: str) -> FoundObject:
        """The one that is there: it is locked again and again, so that no versions pile up."""
        found = self._bucket.head(key)
        if found is None or not found.version:
            found = self._bucket.put(key, _CONTENT, hashlib.sha256(_CONTENT).digest(), {}, {})
        return found

    def _retain(self, canary: FoundObject) -> None:
        self._retain_until(canary.key, canary.version, datetime.now(UTC) + timedelta(seconds=CANARY_SECONDS))

    def _hold(self, canary: FoundObject) -> None:
        self._set_hold(canary.key, canary.version, on=True)

    # -- locks ---------------------------------------------------------------------------------------------------------

    def find(self, held: HeldObject) -> LockedObject | None:
        if held.place is not None:
            kept = self._bucket.head(self._keys.in_trash(held.place))
            there = kept is not None and kept.size == held.size
            return LockedObject(kept.key, kept.version) if kept is not None and there and kept.version else None
        try:
            key = self._keys.of(held.path)
        except InvalidPath:
            return None
        if held.version:
            return LockedObject(key, held.version)
        found = self._bucket.head(key)
        same = found is not None and (found.etag, found.size) == (held.etag, held.size)
        return LockedObject(key, found.version) if found is not None and same and found.version else None

    def lock(self, found: LockedObject, until: datetime | None) -> None:
        try:
            if until is None:
                self._set_hold(found.key, found.version, on=True)
            else:
                self._retain_until(found.key, found.version, until)
        except Missing as error:
            raise PermissionError("NoSuchVersion") from error

    def unlock(self, locked: LockedObject) -> None:
        try:
            self._set_hold(locked.key, locked.version, on=False)
        except Missing:
            return

    def _set_hold(self, key: str, version: str, *, on: bool) -> None:
        with _refusable():
            self._client.put_object_legal_hold(
                Bucket=self._bucket.name, Key=key, VersionId=version, LegalHold={"Status": "ON" if on else "OFF"}
            )

    def _retain_until(self, key: str, version: str, until: datetime) -> None:
        """What the bucket retains for longer by itself stays retained for that long: no store lets that be shortened. To turn a
        retention that people with a right can take off into one that nobody can is a right as well."""
        mode, there = self._retained(key, version)
        if there is not None and there >= until:
            if mode == _COMPLIANCE:
                return
            until = there
        kept: Any = {"Mode": _COMPLIANCE, "RetainUntilDate": until}
        with _refusable():
            self._client.put_object_retention(
                Bucket=self._bucket.name, Key=key, VersionId=version, Retention=kept,
                BypassGovernanceRetention=mode == "GOVERNANCE",
            )  # fmt: skip

    def _retained(self, key: str, version: str) -> tuple[str, datetime | None]:
        """How a version is retained, and until when."""
        found = self._look(key, version)
        until = found.get("x-amz-object-lock-retain-until-date")
        return found.get("x-amz-object-lock-mode", "").upper(), datetime.fromisoformat(until) if until else None

    def _look(self, key: str, version: str) -> Mapping[str, str]:
        """Raises Missing."""
        return self._bucket.wire.ask("HEAD", key, query={"versionId": version}).headers


@contextmanager
def _refusable() -> Iterator[None]:
    """A refusal of the store is a PermissionError with the store's code, and not trouble with the whole mount."""
    with explaining():
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if code in _REFUSED | _NONE or status in (403, 405, 501):
                raise PermissionError(code or str(status)) from error
            raise
