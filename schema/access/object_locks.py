"""Object Lock of buckets: what a bucket was seen to do, and which locks a hold asks for. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from schema.access.holds import HoldKind
from schema.errors import NotSupported
from schema.ids import MountId
from schema.paths import NodePath

LockState = Literal["locking", "locked", "unlocking", "unlocked"]


@dataclass(frozen=True, slots=True)
class LockProof:
    """What a bucket did with an object of ours that it was told to keep. Some stores say yes to a lock and remove the object all
    the same, so only what was tried counts.

    `enabled`: the bucket says that it has Object Lock. `legal_hold`, `retention`: it has refused to remove an object under one.
    `default_mode`, `default_days`: how it locks by itself whatever is written to it."""

    enabled: bool
    legal_hold: bool = False
    retention: bool = False
    default_mode: str | None = None
    default_days: int | None = None
    problem: str | None = None

    def enforces(self, kind: HoldKind) -> bool:
        return self.retention if kind == "retain" else self.legal_hold


def check_lockable(proof: LockProof | None, kind: HoldKind) -> None:
    """Raises NotSupported where the bucket would not keep what a hold of this kind is about."""
    if proof is not None and proof.enforces(kind):
        return
    if proof is None:
        why = "Nothing was proved of an Object Lock of this mount: it lies in no bucket, or was not looked at yet."
    elif not proof.enabled:
        why = proof.problem or "The bucket has no Object Lock. It can only be given when a bucket is made."
    else:
        what = "a retention" if kind == "retain" else "a legal hold"
        why = proof.problem or f"The bucket takes {what} and removes the object all the same."
    raise NotSupported(
        f"{why} Leave objectLock out: then the hold is kept by Filestore alone.", field="objectLock", kind=kind
    )


@dataclass(frozen=True, slots=True)
class HeldObject:
    """A file below a hold, as the record has it. `version`: of the object; "" where the record does not know it. `place`: where the
    trash keeps one that was deleted or replaced."""

    path: NodePath
    etag: str
    size: int
    version: str
    place: bytes | None = None


@dataclass(frozen=True, slots=True)
class LockedObject:
    """A version of an object that a hold has locked."""

    key: str
    version: str


KEPT = b"\x00"
"""In place of a directory: what lives below the hold is locked, and what the trash keeps of it comes next"""


@dataclass(frozen=True, slots=True)
class DueHold:
    """A hold whose locks are not what they should be. `ended`: its locks go. `after`: what the next page begins behind: a file by
    directory and name, what the trash keeps by KEPT and its place in that, of an ended one an object by key and version."""

    id: int
    mount: MountId
    path: NodePath
    kind: HoldKind
    until: datetime | None
    ended: bool
    after: tuple[bytes, bytes] | None

    @property
    def legal(self) -> bool:
        """It ends when it is released, so its locks have to be ones that can be taken off."""
        return self.kind != "retain"
