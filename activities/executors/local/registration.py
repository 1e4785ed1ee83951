"""How a directory becomes a mount of the local executor: what is refused, our folders, and last the sentinel."""

import errno
import json
import os
import time
from contextlib import suppress

from activities.executors.local.disk import MAKE_FILE, OPEN_FOLDER, OPEN_ROOT, read_sentinel
from activities.executors.local.errors import mount_error
from activities.executors.syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2
from schema.errors import InvalidRequest
from schema.paths import RESERVED


def make_mount(root: str, mount_uuid: str) -> None:
    """See `LocalExecutor.register`."""
    if not os.path.isabs(root):
        raise InvalidRequest("The root is not an absolute path.")
    _refuse_nested(root)
    try:
        home = os.open(root, OPEN_ROOT)
    except OSError as error:
        raise InvalidRequest(f"The root can not be opened as a directory: {error.strerror}.") from error
    try:
        _refuse_system(home)
        _furnish(home, mount_uuid)
    except PermissionError as error:
        raise InvalidRequest("Filestore may not write into the root. Look at its owner and mode.") from error
    except OSError as error:
        raise mount_error(error) or error from None
    finally:
        os.close(home)


def told_by(root: str) -> str | None:
    """Which mount a directory says it is."""
    try:
        reserved = os.open(os.path.join(root, RESERVED.decode()), OPEN_FOLDER)
    except OSError:
        return None
    try:
        return read_sentinel(reserved)
    finally:
        os.close(reserved)


def _refuse_nested(root: str) -> None:
    """Two mounts must not own the same file: their claims do not see each other."""
    folder = os.path.realpath(root)
    while folder != (folder := os.path.dirname(folder)):
        if os.path.lexists(os.path.join(folder, RESERVED.decode(), "mount.json")):
            raise InvalidRequest("The root lies inside of another mount. Choose a directory outside of it.")


_SYSTEM = frozenset({
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "fusectl",
    "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tracefs",
})  # fmt: skip


def _refuse_system(home: int) -> None:
    """Refuses file systems by which the kernel shows its own state: they look like files, and keep none."""
    device = os.fstat(home).st_dev
    which = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        for line in mounts:
            facts, _, rest = line.partition(" - ")
            kind = rest.split(" ", 1)[0]
            if facts.split(" ")[2] == which and kind in _SYSTEM:
                raise InvalidRequest(f"The root is part of the system ({kind}), and keeps no files. Choose another.")


def _furnish(home: int, mount_uuid: str) -> None:
    """Our folders below the root; the sentinel last, because it says that everything else is there. What is refused leaves
    nothing of ours."""
    made = True
    try:
        os.mkdir(RESERVED, 0o700, dir_fd=home)
    except FileExistsError:
        made = False
    try:
        _furnish_reserved(home, mount_uuid)
    except BaseException:
        if made:
            _unfurnish(home)
        raise


def _unfurnish(home: int) -> None:
    """Removes only empty folders: another process may be preparing the same root."""
    reserved = RESERVED.decode()
    for remove, name in ((os.rmdir, "stage"), (os.rmdir, "trash")):
        with suppress(OSError):
            remove(f"{reserved}/{name}", dir_fd=home)
    with suppress(OSError):
        if os.listdir(f"/proc/self/fd/{home}/{reserved}") == ["lock"]:
            os.unlink(f"{reserved}/lock", dir_fd=home)
        os.rmdir(RESERVED, dir_fd=home)


def _furnish_reserved(home: int, mount_uuid: str) -> None:
    try:
        reserved = os.open(RESERVED, OPEN_FOLDER, dir_fd=home)
    except OSError as error:
        raise InvalidRequest(f"{RESERVED.decode()} in the root is not a directory we can open.") from error
    try:
        _refuse_other(reserved, mount_uuid)
        for name in (b"stage", b"trash"):
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=reserved)
        os.close(os.open(b"lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=reserved))
        _refuse_poor(reserved)
        _place_sentinel(reserved, mount_uuid)
        os.fsync(reserved)
    finally:
        os.close(reserved)
    os.fsync(home)


def _refuse_other(reserved: int, mount_uuid: str) -> None:
    owner = read_sentinel(reserved)
    if owner not in (None, mount_uuid):
        raise InvalidRequest(
            "The root belongs to another mount already. Take that mount, or choose another directory; if no service serves it any "
            "more, send adopt: true."
        )


def _refuse_poor(reserved: int) -> None:
    """Try on two names of our own what every replace will need."""
    names = [f"probe.{kind}.{os.getpid()}.{time.time_ns()}".encode() for kind in "ab"]
    try:
        for name in names:
            os.close(os.open(name, MAKE_FILE, 0o600, dir_fd=reserved))
        renameat2(reserved, names[0], reserved, names[1], RENAME_EXCHANGE)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise InvalidRequest("This file system can not exchange two names in one step (renameat2).") from error
        raise
    finally:
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=reserved)


def _place_sentinel(reserved: int, mount_uuid: str) -> None:
    """Whole and durable under another name first: of two processes that register at once, one wins and the other reads that."""
    if read_sentinel(reserved) == mount_uuid:
        return
    draft = f"mount.json.{os.getpid()}.{time.time_ns()}".encode()
    descriptor = os.open(draft, MAKE_FILE, 0o600, dir_fd=reserved)
    try:
        os.write(descriptor, json.dumps({"mount": mount_uuid}).encode() + b"\n")
        os.fsync(descriptor)
        renameat2(reserved, draft, reserved, b"mount.json", RENAME_NOREPLACE)
    except OSError as error:
        os.unlink(draft, dir_fd=reserved)
        if not isinstance(error, FileExistsError):
            raise
        _refuse_other(reserved, mount_uuid)
    finally:
        os.close(descriptor)
