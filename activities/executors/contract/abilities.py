"""What not every storage can do. An executor without such a thing has no such method, and a caller asks with `isinstance`."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from activities.executors.contract.executor import Executor
from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Stage
from schema.errors import NotSupported
from schema.ids import CommandId
from schema.paths import NodePath


@runtime_checkable
class Rooted(Protocol):
    """The root is a directory that can be told from others."""

    def root_identity(self) -> Identity:
        """Which directory it is."""
        ...


@runtime_checkable
class Counting(Protocol):
    """The storage may know how many names it holds."""

    def names(self) -> int | None:
        """About so many. None: it holds other things too, or does not count them."""
        ...


@runtime_checkable
class Notifying(Protocol):
    """The storage can tell of what is written to it."""

    def put_canary(self) -> None:
        """Write an object of ours that means nothing: the storage tells of it, if it tells of anything. Raises MountOffline."""
        ...


@runtime_checkable
class Links(Protocol):
    """The storage has symbolic links, and pipes."""

    def stage_link(self, stage: CommandId, target: bytes) -> Stage:
        """A link that leads there. Durable. Raises FileExistsError, MountOffline, StorageFull."""
        ...

    def stage_pipe(self, stage: CommandId, mode: int) -> Stage:
        """A pipe that programs open by its name. As above."""
        ...


@runtime_checkable
class Keyed(Protocol):
    """The storage has keys, and directories only where keys say so: what a listing did not tell can be asked for."""

    def kinds_at(self, path: NodePath) -> Sequence[str]:
        """`file` where an object has this key, `directory` where others begin with it; both can be. Raises MountOffline."""
        ...


@runtime_checkable
class TrashByDay(Protocol):
    """Content that leaves goes into a folder for its day, and making one takes room."""

    def make_day(self, day: str) -> None:
        """Make the folder before it is needed: when the storage is full it may be too late. Raises StorageFull."""
        ...


@runtime_checkable
class PurgesTrash(Protocol):
    """What the trash keeps can be removed for good."""

    def purge(self, place: bytes) -> None:
        """Remove what lies at this place, a directory with everything below it. It may be gone already. Never follows a link."""
        ...


@runtime_checkable
class Marks(Protocol):
    """Steps leave marks that only help to recognise them."""

    def forget(self, commands: Sequence[CommandId]) -> None:
        """Remove the marks of these commands. They are recorded, and left nothing to `finish`, so no later execution
        asks for their marks. The sweep removes marks that stay here."""
        ...


@runtime_checkable
class OwnUploads(Protocol):
    """The storage itself keeps uploads that were begun and not ended."""

    def sweep_uploads(self) -> int:
        """Abort the uploads that a process of this host began on the storage itself and noted, and died before they ended. What
        is not noted belongs to another host or program. Returns how many there were."""
        ...


@runtime_checkable
class UploadBounds(Protocol):
    """The storage can not hold every path, or every size, that Filestore knows."""

    def check_upload(self, path: NodePath, size: int | None) -> None:
        """Sends no request. None: the size comes later. Raises InvalidPath, PayloadTooLarge."""
        ...


def purges_of(executor: Executor) -> PurgesTrash:
    """Raises NotSupported."""
    if not isinstance(executor, PurgesTrash):
        raise NotSupported("The storage of this mount can not purge its trash. Look at the mount's backend.")
    return executor
