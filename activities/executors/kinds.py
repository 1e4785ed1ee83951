"""The kinds of storage there are. Adding one is a folder beside this file, and a line in `KINDS`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from activities.executors.contract.abilities import Rooted
from activities.executors.contract.executor import Executor
from activities.executors.contract.identity import Identity
from activities.executors.contract.locking import LocksObjects
from activities.executors.local.kind import LocalKind
from activities.executors.s3.kind import S3Kind
from schema.access.object_locks import LockProof
from schema.errors import ExecutorNotFound, InvalidRequest
from schema.mounts import Mount
from schema.secrets.keyring import PLAIN, Keyring

PIECES = 3 << 20
"""Memory of one stream as a rule: a piece that is sent, one that is read, one in the buffers of the connection."""


class MountPlace(Protocol):
    """Where the files of a mount lie, as its row or its registration says."""

    @property
    def backend_kind(self) -> str: ...
    @property
    def root_path(self) -> str | None: ...
    @property
    def bucket(self) -> str | None: ...
    @property
    def prefix(self) -> str | None: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def secrets(self) -> Mapping[str, str]: ...


class Kind(Protocol):
    """What is known of one kind of storage before it is open. Its module loads no client library: the executor imports
    that."""

    reading: int
    """Bytes of memory that one download takes at most"""
    writing: int
    """And one upload"""
    direct_reads: bool
    """Its executor serves `DirectReads`"""

    def check_place(self, place: MountPlace) -> None:
        """Checks that a mount of this kind says where it lies in this way. Sends no request. Raises InvalidRequest."""
        ...

    def open(self, mount: Mount, spool: Path) -> Executor:
        """`spool`: a folder of this host where content for object stores waits. Raises MountOffline, InvalidRequest."""
        ...

    def prepare(self, mount: Mount, spool: Path) -> None:
        """Make the storage of a new mount ready, and put its sentinel there. Doing it again is harmless; what is refused leaves
        nothing behind. Raises InvalidRequest, MountOffline, StorageFull."""
        ...

    def sentinel(self, mount: Mount, spool: Path) -> str | None:
        """Which mount the storage says it is, if it says so. Raises MountOffline, InvalidRequest."""
        ...

    def meets(self, mount: Mount, other: Mount, spool: Path) -> bool:
        """Whether a file can lie in both places, as far as it can be known: one of them contains the other, or they are
        the same."""
        ...


KINDS: Mapping[str, Kind] = {
    "local": LocalKind(),
    "s3": S3Kind(),
}


def kind_of(name: str) -> Kind:
    """Raises ExecutorNotFound."""
    if name not in KINDS:
        raise ExecutorNotFound(f"There is no executor for {name} mounts. This release has {', '.join(KINDS)}.")
    return KINDS[name]


def reading(kind: str) -> int:
    """Memory that one download takes at most."""
    return KINDS[kind].reading if kind in KINDS else PIECES


def writing(kind: str) -> int:
    """Memory that one upload takes at most."""
    return KINDS[kind].writing if kind in KINDS else PIECES


def open_executor(mount: Mount, spool_path: str, keys: Keyring = PLAIN) -> Executor:
    """`keys`: those that its secrets are sealed with. Raises ExecutorNotFound, or MountOffline when the storage is not there."""
    return kind_of(mount.backend_kind).open(keys.opened(mount), Path(spool_path))


def prepare_storage(
    mount: Mount, spool_path: str, others: Sequence[Mount] = (), keys: Keyring = PLAIN
) -> Identity | None:
    """Make the storage of a new mount ready, and say which directory its root is (None where there are no directories).

    `others`: the mounts that it must not meet. Raises InvalidRequest, MountOffline, ExecutorNotFound.
    """
    kind, spool, mount = kind_of(mount.backend_kind), Path(spool_path), keys.opened(mount)
    kind.check_place(mount)
    for other in others:
        if other.backend_kind == mount.backend_kind and kind.meets(mount, other, spool):
            whose = f"the mount {other.mount_key!r}" if other.tenant == mount.tenant else "another mount"
            raise InvalidRequest(
                f"It lies in {whose}, or contains it, or is the same place. Two mounts never share files; choose another place."
            )
    kind.prepare(mount, spool)
    return prove_storage(mount, spool_path)


def read_sentinel(mount: Mount, spool_path: str, keys: Keyring = PLAIN) -> str | None:
    """Which mount the storage says it is. Raises as `prepare_storage`."""
    return kind_of(mount.backend_kind).sentinel(keys.opened(mount), Path(spool_path))


def prove_storage(mount: Mount, spool_path: str, keys: Keyring = PLAIN) -> Identity | None:
    """Read the mount's sentinel where the row says it lies, and write nothing. Answers as `prepare_storage`.

    Raises InvalidRequest, MountOffline, ExecutorNotFound.
    """
    executor = open_executor(mount, spool_path, keys)
    executor.check()
    return executor.root_identity() if isinstance(executor, Rooted) else None


def prove_locks(mount: Mount, spool_path: str, keys: Keyring = PLAIN) -> LockProof | None:
    """What its bucket does under Object Lock, tried out. None: this storage has no such thing. Raises as `open_executor`."""
    executor = open_executor(mount, spool_path, keys)
    return executor.object_locks().prove() if isinstance(executor, LocksObjects) else None
