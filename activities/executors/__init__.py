"""Executors move bytes; `open_executor` is the one place that knows which kind of mount has which."""

from activities.executors.base import Executor, Identity
from schema.errors import ExecutorNotFound
from schema.mounts import Mount


def open_executor(mount: Mount) -> Executor:
    """Raises ExecutorNotFound, or MountOffline when the storage is not there."""
    # Inside: whoever only needs the contract does not load what moves bytes.
    match mount.backend_kind:
        case "local":
            from activities.executors.local import LocalExecutor

            return LocalExecutor(mount.root_path or "", mount.mount_uuid)
        case kind:
            raise ExecutorNotFound(f"Commands on {kind} mounts are not served yet.", backendMountId=mount.id)


def prepare_storage(mount: Mount) -> Identity | None:
    """Make the storage of a new mount ready, and say which directory its root is (None where there are no directories).

    Doing it again is harmless. Raises InvalidRequest, MountOffline, ExecutorNotFound.
    """
    if mount.backend_kind != "local":
        return None
    from activities.executors.local import LocalExecutor

    return LocalExecutor.register(mount.root_path or "", mount.mount_uuid).root_identity()
