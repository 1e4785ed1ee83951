"""Locks that a storage itself keeps."""

from datetime import datetime
from typing import Protocol, runtime_checkable

from schema.access.object_locks import HeldObject, LockedObject, LockProof


class ObjectLocks(Protocol):
    """Locks that the storage itself keeps, also against its owner. All of it blocks and raises MountOffline."""

    def prove(self) -> LockProof:
        """Try on an object of ours whether what is locked can be removed."""
        ...

    def find(self, held: HeldObject) -> LockedObject | None:
        """The version of a file that the record tells of. None: it is not there any more."""
        ...

    def lock(self, found: LockedObject, until: datetime | None) -> None:
        """Lock a version until then; None: until it is unlocked. Doing it again is harmless. Raises PermissionError where the
        storage refuses, or has no such version."""
        ...

    def unlock(self, locked: LockedObject) -> None:
        """Take the legal hold off a version. It may be gone. Raises PermissionError where the storage refuses."""
        ...


@runtime_checkable
class LocksObjects(Protocol):
    """The storage may be able to keep what no one shall remove."""

    def object_locks(self) -> ObjectLocks: ...
