"""inotify(7): the system calls, and the events as the kernel writes them. Names are bytes."""

import ctypes
import os
import struct
from collections.abc import Iterator

MODIFY, ATTRIB, CLOSE_WRITE = 0x2, 0x4, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF = 0x400, 0x800
UNMOUNT, OVERFLOW, IGNORED = 0x2000, 0x4000, 0x8000
IS_DIRECTORY = 0x40000000

_ONLYDIR, _EXCL_UNLINK = 0x01000000, 0x04000000
_NONBLOCK, _CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
_WATCHED = (
    MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF
    | _ONLYDIR | _EXCL_UNLINK
)  # fmt: skip
_HEAD = struct.Struct("=iIII")  # struct inotify_event: watch, mask, cookie, length of the name

_libc = ctypes.CDLL(None, use_errno=True)
_libc.inotify_init1.argtypes, _libc.inotify_init1.restype = (ctypes.c_int,), ctypes.c_int
_libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
_libc.inotify_add_watch.restype = ctypes.c_int
_libc.inotify_rm_watch.argtypes, _libc.inotify_rm_watch.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int

Event = tuple[int, int, int, bytes]
"""Watch, mask, cookie, name"""


def open_queue() -> int:
    """A descriptor that events are read from. Raises OSError: EMFILE where the user may have no more of them."""
    return _checked(_libc.inotify_init1(_NONBLOCK | _CLOEXEC))


def add_watch(queue: int, directory: int) -> int:
    """Watch an open directory: the same number for the same directory. Raises OSError: ENOSPC where the user may watch no more.

    By its descriptor, because a path could be another directory by now.
    """
    return _checked(_libc.inotify_add_watch(queue, b"/proc/self/fd/%d" % directory, _WATCHED))


def remove_watch(queue: int, watch: int) -> None:
    """Raises OSError: EINVAL where the kernel has removed it already."""
    _checked(_libc.inotify_rm_watch(queue, watch))


def events(buffer: bytes) -> Iterator[Event]:
    """What one read brought."""
    at, end, head = 0, len(buffer), _HEAD.size
    unpack = _HEAD.unpack_from
    while at < end:
        watch, mask, cookie, length = unpack(buffer, at)
        at += head
        yield watch, mask, cookie, buffer[at : at + length].rstrip(b"\0") if length else b""
        at += length


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
