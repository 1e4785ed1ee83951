"""A node's folder: looked at, hashed while it rests, and changed by steps that take nothing they have not seen.

What is written comes from a temporary name in the same file system, verified and flushed. A file in the way is exchanged, not
overwritten: what comes out is looked at, and put back where it is not what the plan saw.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import suppress

from activities.executors.syscalls import RENAME_NOREPLACE, renameat2
from schema.paths import NAME_MAX, RESERVED
from schema.sync.ignore import NAME as IGNORE_FILE
from schema.sync.ignore import Ignore
from schema.sync.plan import StepKind, SyncStep
from schema.sync.trees import TreeEntry, a_directory, a_file
from workers.syncing.state import LocalFile, StatKey, stat_key

_EXCHANGE = 2
_PIECE = 1 << 20
_TEMPORARY = RESERVED + b"/tmp"


class Unrest(Exception):
    """It changed while it was looked at, or is not what the plan saw: it is looked at anew."""


class FolderGone(Exception):
    """The folder is not the one that was opened."""


class TemporaryFile:
    """Written, verified, flushed; then placed, or dropped."""

    def __init__(self, path: bytes, below: int) -> None:
        """`below`: where the name below the root begins in the path."""
        self._path, self.name = path, path[below:]
        self._digest, self._size = hashlib.sha256(), 0
        self._file = open(path, "xb")  # noqa: SIM115  closed by `drop`, whatever happens

    def write(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._size += len(piece)
        self._file.write(piece)

    def finish(self, entry: TreeEntry) -> LocalFile:
        """Raises Unrest for another content than it should be."""
        if self._digest.hexdigest() != entry.sha or self._size != entry.size:
            raise Unrest(self.name)
        self._file.flush()
        os.fchmod(self._file.fileno(), entry.mode & 0o7777)
        os.fsync(self._file.fileno())
        found = os.fstat(self._file.fileno())
        return LocalFile(a_file(entry.sha, found.st_size, found.st_mode & 0o7777), stat_key(found))

    def drop(self) -> None:
        """Harmless once it is placed."""
        self._file.close()
        with suppress(OSError):
            os.unlink(self._path)


class NodeFolder:
    def __init__(self, root: str) -> None:
        self.root = os.fsencode(os.path.abspath(root))
        os.makedirs(os.path.join(self.root, _TEMPORARY), mode=0o700, exist_ok=True)
        self._descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in os.listdir(self._at(_TEMPORARY)):
            with suppress(OSError):
                os.unlink(self._at(_TEMPORARY + b"/" + name))
        self.ignore = Ignore()
        self.read_ignore()

    def _at(self, path: bytes) -> bytes:
        return self.root + b"/" + path

    @property
    def state_file(self) -> str:
        return os.fsdecode(self._at(RESERVED + b"/sync.sqlite"))

    def read_ignore(self) -> None:
        try:
            with open(self._at(IGNORE_FILE), "rb") as file:
                self.ignore = Ignore(file.read(1 << 20))
        except OSError:
            self.ignore = Ignore()

    def check(self) -> None:
        """Raises FolderGone where another directory is at the root, or none: nothing in it says anything then."""
        try:
            same = os.path.samestat(os.stat(self.root), os.fstat(self._descriptor))
        except OSError as error:
            raise FolderGone("The folder is not there.") from error
        if not same:
            raise FolderGone("Another directory stands in the place of the folder.")

    # -- looking -------------------------------------------------------------------------------------------------------

    def look(self, path: bytes, known: tuple[str, tuple[int, ...]] | None) -> LocalFile | None:
        """What is there. `known`: the hash of a file when it was last looked at. None: nothing that follows. Raises Unrest."""
        try:
            found = os.lstat(self._at(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unrest(path) from error
        directory = stat.S_ISDIR(found.st_mode)
        if self.ignore.leaves_out(path, directory=directory):
            return None
        if directory:
            return LocalFile(a_directory(found.st_mode & 0o7777))
        if not stat.S_ISREG(found.st_mode):
            return None
        key = stat_key(found)
        if known is not None and known[1] == key:
            return LocalFile(a_file(known[0], found.st_size, key[4]), key)
        return self._hashed(path)

    def _hashed(self, path: bytes) -> LocalFile | None:
        try:
            descriptor = os.open(self._at(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None
            raise Unrest(path) from error
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            before, digest, size = stat_key(os.fstat(descriptor)), hashlib.sha256(), 0
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
            after = stat_key(os.fstat(descriptor))
        if before != after or size != after[1]:
            raise Unrest(path)
        return LocalFile(a_file(digest.hexdigest(), size, after[4]), after)

    def walk(self, top: bytes = b"") -> Iterator[bytes]:
        """Everything below, directories before what they hold; not what is left out."""
        waiting = [top]
        while waiting:
            directory = waiting.pop()
            try:
                with os.scandir(self._at(directory) if directory else self.root) as entries:
                    found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue
            for name, is_directory in found:
                path = directory + b"/" + name if directory else name
                if len(name) <= NAME_MAX and not self.ignore.leaves_out(path, directory=is_directory):
                    yield path
                    if is_directory:
                        waiting.append(path)

    def read(self, path: bytes, key: StatKey) -> bytes:
        """A small file, as it was looked at. Raises Unrest."""
        try:
            with open(self._at(path), "rb") as file:
                content = file.read()
                if stat_key(os.fstat(file.fileno())) != key:
                    raise Unrest(path)
        except OSError as error:
            raise Unrest(path) from error
        return content

    def pieces(self, path: bytes, key: StatKey) -> Iterator[bytes]:
        """A large file, as it was looked at: exactly as many bytes as it had then. Raises Unrest, before the last piece at the
        latest: a request that has said its size can not end with another."""
        try:
            with open(self._at(path), "rb") as file:
                if stat_key(os.fstat(file.fileno())) != key:
                    raise Unrest(path)
                left = key[1]
                while left:
                    piece = file.read(min(_PIECE, left))
                    left -= len(piece)
                    if not piece or (not left and stat_key(os.fstat(file.fileno())) != key):
                        raise Unrest(path)
                    yield piece
        except OSError as error:
            raise Unrest(path) from error

    # -- changing ------------------------------------------------------------------------------------------------------

    def temporary(self) -> TemporaryFile:
        """A file under a name that no program looks at."""
        return TemporaryFile(self._at(_TEMPORARY + b"/" + uuid.uuid4().hex.encode()), len(self.root) + 1)

    def drop(self, name: bytes) -> None:
        with suppress(OSError):
            os.unlink(self._at(name))

    def place(self, name: bytes, path: bytes, before: LocalFile | None, made: LocalFile) -> LocalFile:
        """What a temporary file holds appears at the path. Raises Unrest where something else is there than `before`, or where it
        was changed at once."""
        if before is None:
            self._rename(name, path, RENAME_NOREPLACE)
        else:
            self._rename(name, path, _EXCHANGE)
            if not self._is(name, before):
                self._rename(name, path, _EXCHANGE)
                raise Unrest(path)
            self.drop(name)
        if not self._is(path, made):
            raise Unrest(path)
        return LocalFile(made.entry, stat_key(os.lstat(self._at(path))))

    def take(self, step: SyncStep, before: LocalFile | None, source: LocalFile | None) -> LocalFile | None:
        """A step that needs no content; what is there then. Raises Unrest."""
        match step.kind:
            case StepKind.MKDIR:
                return self._mkdir(step.path, step.after)
            case StepKind.MOVE:
                assert step.source is not None and step.after is not None and source is not None
                return self._move(step.source, step.path, step.after, source)
            case _:
                self._delete(step.path, before)
                return None

    def _mkdir(self, path: bytes, entry: TreeEntry | None) -> LocalFile:
        assert entry is not None
        try:
            os.mkdir(self._at(path), entry.mode & 0o7777)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(self._at(path)).st_mode):
                raise Unrest(path) from None
        except FileNotFoundError as error:
            raise Unrest(path) from error
        os.chmod(self._at(path), entry.mode & 0o7777)
        return LocalFile(a_directory(entry.mode & 0o7777))

    def _move(self, source: bytes, path: bytes, entry: TreeEntry, known: LocalFile) -> LocalFile:
        if not self._is(source, known):
            raise Unrest(source)
        self._rename(source, path, RENAME_NOREPLACE)
        os.chmod(self._at(path), entry.mode & 0o7777)
        return self._as_it_is(path, entry)

    def _delete(self, path: bytes, before: LocalFile | None) -> None:
        """Moved out of the way first: what is gone is what the plan saw."""
        if before is not None and before.entry.directory:
            try:
                os.rmdir(self._at(path))
            except FileNotFoundError:
                return
            except OSError as error:
                raise Unrest(path) from error
            return
        name = _TEMPORARY + b"/" + uuid.uuid4().hex.encode()
        self._rename(path, name, RENAME_NOREPLACE)
        if before is None or not self._is(name, before):
            self._rename(name, path, RENAME_NOREPLACE)
            raise Unrest(path)
        self.drop(name)

    def _is(self, path: bytes, known: LocalFile) -> bool:
        """The very file that was looked at. A rename changes its time of change, so that alone is not compared."""
        try:
            found = stat_key(os.lstat(self._at(path)))
        except OSError:
            return False
        key = known.key
        return key is not None and (found[:3], found[4]) == (key[:3], key[4])

    def _as_it_is(self, path: bytes, entry: TreeEntry) -> LocalFile:
        found = os.lstat(self._at(path))
        return LocalFile(a_file(entry.sha, found.st_size, found.st_mode & 0o7777), stat_key(found))

    def _rename(self, old: bytes, new: bytes, flags: int) -> None:
        try:
            renameat2(self._descriptor, old, self._descriptor, new, flags)
        except OSError as error:
            raise Unrest(new) from error

    def close(self) -> None:
        os.close(self._descriptor)
