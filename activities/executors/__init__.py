"""Executors move bytes; `open_executor` is the one place that knows which kind of mount has which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from activities.executors.base import Executor, Identity
from schema.errors import ExecutorNotFound
from schema.mounts import Mount

if TYPE_CHECKING:
    from activities.executors.s3.executor import S3Executor


def open_executor(mount: Mount, spool_path: str) -> Executor:
    """`spool_path`: a folder of this host where content for object stores waits.

    Raises ExecutorNotFound, or MountOffline when the storage is not there."""
    # Inside: whoever only needs the contract does not load what moves bytes.
    match mount.backend_kind:
        case "local":
            from activities.executors.local.executor import LocalExecutor

            return LocalExecutor(mount.root_path or "", mount.mount_uuid)
        case "s3":
            return _s3(mount, spool_path)
        case kind:
            raise ExecutorNotFound(f"There is no executor for {kind} mounts.", backendMountId=mount.id)


def prepare_storage(mount: Mount, spool_path: str) -> Identity | None:
    """Make the storage of a new mount ready, and say which directory its root is (None where there are no directories).

    Doing it again is harmless. Raises InvalidRequest, MountOffline, ExecutorNotFound.
    """
    if mount.backend_kind == "s3":
        _s3(mount, spool_path).register()
        return None
    if mount.backend_kind != "local":
        return None
    from activities.executors.local.executor import LocalExecutor

    return LocalExecutor.register(mount.root_path or "", mount.mount_uuid).root_identity()


def prove_storage(mount: Mount, spool_path: str) -> Identity | None:
    """Read the mount's sentinel where the row says it lies, and write nothing. Answers as `prepare_storage`.

    Raises InvalidRequest, MountOffline, ExecutorNotFound.
    """
    executor = open_executor(mount, spool_path)
    executor.check()
    if mount.backend_kind != "local":
        return None
    from activities.executors.local.executor import LocalExecutor

    assert isinstance(executor, LocalExecutor)
    return executor.root_identity()


def _s3(mount: Mount, spool_path: str) -> S3Executor:
    from activities.executors.s3.executor import S3Executor

    spool = Path(spool_path)
    return S3Executor(mount.bucket or "", mount.prefix or "", mount.mount_uuid, mount.config, mount.secrets, spool)
