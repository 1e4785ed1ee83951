"""The Linux system calls the local executor needs and the standard library lacks. Read each man page once.

All of them raise OSError. ctypes lets go of the GIL during a call, so several threads can wait for one disk. Names are
bytes and hold no NUL (`schema.paths` refuses it: C would cut the name there).
"""

import ctypes
import errno
import fcntl
import functools
import os
import stat
import struct

from activities.executors.contract.identity import Identity

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2

_SYS_OPENAT2 = 437  # the same on every architecture; libc has no wrapper yet
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 2, 4, 8
_NAMED, _ITSELF = 0x100 | 0x800, 0x1000  # AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, AT_EMPTY_PATH
_STATX_BASIC_STATS, _STATX_BTIME = 0x7FF, 0x800
_SYNC_FILE_RANGE_WRITE = 2
_FICLONE = 0x40049409

_HOW = struct.Struct("=QQQ")  # struct open_how: flags, mode, resolve
_FLOCK = struct.Struct("@hhqqi4x")  # struct flock: type, whence, start, length, pid
# struct statx: mask, links, mode, inode, size, birth, change and modification time, device. The inode is unsigned in C;
# read as signed it fits a bigint, and stays as unique.
_STATX = struct.Struct("=I12xI8xH2xqq32xqI4xqI4xqI4x8xII")

_Buffer = ctypes.c_char * 256
Buffer = ctypes.Array[ctypes.c_char]

_libc = ctypes.CDLL(None, use_errno=True)
_int, _uint, _bytes, _off = ctypes.c_int, ctypes.c_uint, ctypes.c_char_p, ctypes.c_int64

_syscall = _libc.syscall
_syscall.argtypes, _syscall.restype = (ctypes.c_long, _int, _bytes, _bytes, ctypes.c_size_t), ctypes.c_long
_renameat2 = _libc.renameat2
_renameat2.argtypes, _renameat2.restype = (_int, _bytes, _int, _bytes, _uint), _int
_statx = _libc.statx
_statx.argtypes, _statx.restype = (_int, _bytes, _int, _uint, _bytes), _int
_sync_file_range = _libc.sync_file_range
_sync_file_range.argtypes, _sync_file_range.restype = (_int, _off, _off, _uint), _int
_syncfs = _libc.syncfs
_syncfs.argtypes, _syncfs.restype = (_int,), _int


def _failed(name: bytes = b"") -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), name)


@functools.cache
def _how(flags: int) -> bytes:
    return _HOW.pack(flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_SYMLINKS)


def openat2(folder: int, path: bytes, flags: int) -> int:
    """openat2(2): open `path` below `folder` in one step of the kernel, refusing every link on the way (ELOOP).

    No program can swap a folder for a link between our check and our use, because there is no such moment.
    """
    descriptor: int = _syscall(_SYS_OPENAT2, folder, path, _how(flags), _HOW.size)
    if descriptor < 0:
        raise _failed(path)
    return descriptor


def open_each(folder: int, path: bytes, flags: int) -> int:
    """Open the path name by name, each with O_NOFOLLOW from the one before, for kernels and container profiles without
    openat2.

    It never leaves `folder` either, since a link is refused wherever it stands (ENOTDIR, or ELOOP at the end). It costs
    two system calls a name, and takes paths longer than PATH_MAX.
    """
    *names, last = path.split(b"/")
    step = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    here = folder
    try:
        for name in names:
            below = os.open(name, step, dir_fd=here)
            if here != folder:
                os.close(here)
            here = below
        return os.open(last, flags | os.O_NOFOLLOW, dir_fd=here)
    finally:
        if here != folder:
            os.close(here)


def open_beneath(folder: int, path: bytes, flags: int) -> int:
    """Open `path` below `folder` without following a link. `path` has no '..' and no slash in front.

    Old kernels answer ENOSYS and old seccomp profiles EPERM: then, and for paths beyond PATH_MAX, name by name.
    """
    try:
        return openat2(folder, path, flags)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.ENAMETOOLONG):
            raise
    return open_each(folder, path, flags)


def renameat2(source: int, name: bytes, target: int, new: bytes, flags: int) -> None:
    """renameat2(2), never without a flag: a plain rename replaces what it finds and forgets it.

    NOREPLACE: EEXIST when the name is taken. EXCHANGE: both names swap in one step, and a reader sees the one or the
    other file; doing it again takes it back.
    """
    if _renameat2(source, name, target, new, flags):
        raise _failed(new)


def identity(folder: int, name: bytes, home: int = -1) -> Identity | None:
    """statx(2) of a name without following it, or of the descriptor itself when the name is empty. None: not there.

    The device `home` is told as 0: the kernel numbers disks anew at every boot, and the same file must stay the same.
    """
    found = facts(folder, name, home, _Buffer())
    return None if found is None else Identity(*found[:6], stat.S_ISDIR(found[7]), found[7], found[8])


def facts(
    folder: int, name: bytes, home: int, buffer: Buffer
) -> tuple[int, int, int, int, int, int, int, int, int] | None:
    """The same as `Identity.facts` says it, without an object for each: for scans, which bring one buffer for all names."""
    flags = _NAMED if name else _ITSELF
    if _statx(folder, name, flags, _STATX_BASIC_STATS | _STATX_BTIME, buffer):
        if ctypes.get_errno() == errno.ENOENT:
            return None
        raise _failed(name)
    mask, links, mode, inode, size, b, b_ns, c, c_ns, m, m_ns, major, minor = _STATX.unpack_from(buffer)
    device = os.makedev(major, minor)  # 32 bits in the kernel, so it fits
    return (
        0 if device == home else device,
        inode,
        b * 1_000_000_000 + b_ns if mask & _STATX_BTIME else 0,
        size,
        m * 1_000_000_000 + m_ns,
        c * 1_000_000_000 + c_ns,
        int(stat.S_ISDIR(mode)),
        mode,
        links,
    )


def new_buffer() -> Buffer:
    return _Buffer()


def lock_byte(descriptor: int, offset: int) -> bool:
    """fcntl(2) F_OFD_SETLK: lock one byte of a file, without waiting. False: another process has it.

    The lock belongs to this opening of the file, not to the process (as F_SETLK has it): two openings exclude each
    other within one process too, and the kernel frees the lock when the last descriptor is closed, by SIGKILL as well.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def unlock_byte(descriptor: int, offset: int) -> None:
    """The same lock given back."""
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, offset, 1, 0))


def sync_file_range(descriptor: int, offset: int = 0, length: int = 0) -> None:
    """sync_file_range(2): start writing out dirty pages, wait for nothing. A hint: fsync says whether they arrived.

    Started for a whole list first, the writes overlap, and the fsyncs that follow wait once instead of once each.
    """
    _sync_file_range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)


def clone(source: int, target: int) -> bool:
    """ioctl_ficlone(2): give an empty file the blocks of another, shared until either is written to. False: this file
    system can not, or not between these two."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.EPERM):
            return False
        raise
    return True


def syncfs(descriptor: int) -> None:
    """syncfs(2): flush a whole file system, bytes of other programs too. For a folder that can no longer be found."""
    if _syncfs(descriptor):
        raise _failed()
