"""Copies on a local disk: a file or a whole tree, staged under one name, compared before and after, hashed on the way."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

from activities.executors.contract.executor import Fetch
from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Copied, Source
from activities.executors.local.bytes import Pours, give, keep_facts
from activities.executors.local.content import LocalContent, open_file
from activities.executors.local.disk import OPEN_FOLDER, Disk, own_name, split_place
from activities.executors.local.errors import NOT_A_FOLDER
from activities.executors.local.flushes import Flushes
from activities.executors.local.tree import discard
from activities.executors.local.writer import FILE_MODE, FOLDER_MODE
from activities.executors.syscalls import open_beneath
from schema.errors import (
    ContentExpired,
    Forbidden,
    Interrupted,
    InvalidRequest,
    MountOffline,
    NotADirectory,
    NotSupported,
    VersionConflict,
)
from schema.ids import CommandId

_PIECE = 1 << 20
_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def stage_copy(
    disk: Disk,
    stage: CommandId,
    sources: Iterable[Source],
    explaining: Callable[[], AbstractContextManager[None]],
    fetch: Fetch | None = None,
    *,
    goes_on: bool = False,
) -> Iterator[Copied]:
    """See the contract. Files are answered when they are durable; directories after all files, when they are as they will
    appear; the root is last.

    Hard links become files of their own. Bits that lend a user's rights (setuid, setgid) are dropped. The owner comes
    along where we may give files away. The root of a tree stays writable for its owner: a directory that is not can not
    be renamed. Whatever goes wrong, nothing stays under the stage's name; an interruption leaves what there is.
    """
    copy = _Copy(disk, own_name(stage), explaining, fetch, goes_on=goes_on)
    try:
        last = yield from copy.run(sources)
    except Interrupted:
        copy.close()
        raise
    except BaseException:
        copy.close()
        with suppress(OSError):
            copy.clear()
        raise
    copy.close()
    if last is not None:
        yield last


class _Near:
    """The folder below `base` that was opened last: what lies in one folder mostly comes together."""

    def __init__(self, base: int) -> None:
        self.base, self._path, self._folder = base, b"", -1

    def folder(self, path: bytes) -> int:
        if self._folder < 0 or path != self._path:
            self.close()
            self._folder, self._path = open_beneath(self.base, path or b".", OPEN_FOLDER), path
        return self._folder

    def close(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1


class _Copy:
    """One copy on its way. Memory grows with the directories, not with the files."""

    def __init__(
        self, disk: Disk, name: bytes, explaining: Callable[[], AbstractContextManager[None]], fetch: Fetch | None, *,
        goes_on: bool,
    ) -> None:  # fmt: skip
        self.disk, self.name, self.explaining, self.fetch, self.goes_on = disk, name, explaining, fetch, goes_on
        self.paths, self.places = _Near(disk.root), _Near(disk.trash)
        self.staged: _Near | None = None
        self.folders: list[Source] = []
        self.flushes = Flushes(disk)
        self.pours = Pours()

    def run(self, sources: Iterable[Source]) -> Generator[Copied, None, Copied | None]:
        """Yields every answer but the last, which it returns: a caller that has the last one needs no more of us."""
        if not self.goes_on:
            with self.explaining():
                self.clear()
        lone, written = None, list[Copied]()
        try:
            for number, source in enumerate(sources):
                if (number == 0) is not (source.relative == b"") or (number > 0 and not self.folders):
                    raise InvalidRequest(
                        "The first source of a copy, and it alone, is its root; only a directory has more."
                    )
                with self.explaining(), _denied(source):
                    copied = self._take(source)
                if number == 0:
                    lone = copied
                elif copied is not None:
                    written.append(copied)
                if not self.flushes.waits:
                    yield from written
                    written = []
        except Interrupted:
            yield from self._flushed(written)
            raise
        yield from self._flushed(written)
        while self.folders:
            with self.explaining(), _denied(source := self.folders[-1]):
                copied = self._close_folder(source)
            self.folders.pop()
            if not self.folders:
                with self.explaining():
                    self.flushes.flush()
                return copied
            yield copied
        return lone

    def _flushed(self, written: list[Copied]) -> list[Copied]:
        with self.explaining():
            self.flushes.flush()
        return written

    def clear(self) -> None:
        """Remove what an earlier execution left, or this one leaves."""
        found = self.disk.look(self.disk.stage, self.name)
        if found is not None and not discard(self.disk, self.name, found, None):
            raise OSError(errno.ENOTEMPTY, "the stage fills while it is cleared")

    def close(self) -> None:
        self.flushes.close()
        for near in (self.paths, self.places, self.staged):
            if near is not None:
                near.close()
        if self.staged is not None:
            os.close(self.staged.base)
            self.staged = None

    # -- one source ----------------------------------------------------------------------------------------------------

    def _take(self, source: Source) -> Copied | None:
        """None for a directory, which is answered later."""
        if self.goes_on and source.kind != "directory" and (there := self._staged_before(source)):
            return there
        match source.kind:
            case "directory":
                self._open_folder(source)
                return None
            case "file":
                return self._copy_file(source) if self.fetch is None else self._bring_file(source, self.fetch)
            case "symlink" if self.fetch is None:
                return self._copy_link(source)
            case kind:
                raise NotSupported(
                    f"{_shown(source)} is neither file, directory nor link ({kind}); it can not be copied."
                )

    def _staged_before(self, source: Source) -> Copied | None:
        """What an execution that was broken off has staged, if it is that. Otherwise its name is free then."""
        folder, name = self._place(source)
        found = self.disk.look(folder, name)
        if found is None:
            return None
        if found != source.staged:
            self.disk.remove_tree(folder, name)
            return None
        if self.fetch is None:
            self._find(source)
        return Copied(source.relative, source.kind, found, found.size, source.sha256)

    def _open_folder(self, source: Source) -> None:
        if self.fetch is None:
            self._find(source)
        parent, name = self._place(source)
        with suppress(FileExistsError) if self.goes_on else nullcontext():
            os.mkdir(name, 0o700, dir_fd=parent)
        folder = os.open(name, OPEN_FOLDER, dir_fd=parent)
        if self.goes_on:
            os.fchmod(folder, 0o700)
        if source.relative:
            os.close(folder)
        else:
            self.staged = _Near(folder)
        self.folders.append(source)

    def _close_folder(self, source: Source) -> Copied:
        """Give a directory its own attributes last: making entries changes them, and they may forbid us to make any."""
        assert self.staged is not None, "a directory is the root, or has one"
        made = self.staged.folder(source.relative)
        if self.fetch is not None:
            os.fchmod(made, FOLDER_MODE)
            self.flushes.folder(made)
            return Copied(source.relative, source.kind, self._look(made))
        parent, name = self._find(source)
        original = os.open(name, OPEN_FOLDER, dir_fd=parent)
        try:
            self._same(source, self.disk.look(original, b""))
            keep_facts(original, os.fstat(original), made, 0 if source.relative else stat.S_IWUSR)
        finally:
            os.close(original)
        self.flushes.folder(made)
        return Copied(source.relative, source.kind, self._look(made))

    def _copy_file(self, source: Source) -> Copied:
        content = self._open(source)
        try:
            before = os.fstat(content.fileno())
            parent, name = self._place(source)
            made = os.open(name, _MAKE, 0o600, dir_fd=parent)
            self.flushes.opened(made)
            digest = self.pours.pour(content.fileno(), made, before)
            if digest is None or not _untouched(content.identity, self.disk.look(content.fileno(), b"")):
                raise VersionConflict(f"{_shown(source)} was written to while it was copied. Copy it again.")
            if source.sha256 not in (None, digest):
                raise VersionConflict(
                    f"{_shown(source)} does not have the content that the record knows. Reconcile it."
                )
            keep_facts(content.fileno(), before, made)
        finally:
            content.close()
        return self._written(source, made, before.st_size, digest)

    def _bring_file(self, source: Source, fetch: Fetch) -> Copied:
        """Copy a file from another mount: its bytes, and the attributes of every new file."""
        content, digest, offset = fetch(source), hashlib.sha256(), 0
        try:
            parent, name = self._place(source)
            made = os.open(name, _MAKE, 0o600, dir_fd=parent)
            self.flushes.opened(made)
            while piece := content.read(offset, _PIECE):
                digest.update(piece)
                rest = memoryview(piece)
                while rest:  # a disk that fills up takes a part first
                    rest = rest[os.write(made, rest) :]
                offset += len(piece)
        finally:
            content.close()
        if source.sha256 not in (None, digest.digest()):
            raise VersionConflict(f"{_shown(source)} does not have the content that the record knows. Reconcile it.")
        os.fchmod(made, FILE_MODE)
        return self._written(source, made, offset, digest.digest())

    def _written(self, source: Source, made: int, size: int, digest: bytes) -> Copied:
        copied = Copied(source.relative, source.kind, self._look(made), size, digest)
        self.flushes.wrote(size)
        return copied

    def _copy_link(self, source: Source) -> Copied:
        """Copies the link as a link. Where it leads to does not matter here."""
        folder, name = self._find(source)
        found, before = self.disk.look(folder, name), os.stat(name, dir_fd=folder, follow_symlinks=False)
        try:
            text = os.readlink(name, dir_fd=folder)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise
            raise _changed(source) from error
        if not _untouched(found, self.disk.look(folder, name)):
            raise _changed(source)
        parent, new = self._place(source)
        os.symlink(text, new, dir_fd=parent)
        give(before, lambda *owner: os.chown(new, *owner, dir_fd=parent, follow_symlinks=False))
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns), dir_fd=parent, follow_symlinks=False)
        return Copied(source.relative, source.kind, self._look(parent, new), len(text))

    # -- where it lies, and where it goes ------------------------------------------------------------------------------

    def _find(self, source: Source) -> tuple[int, bytes]:
        """Returns its folder and name, after a check that what lies there is what the record knows."""
        try:
            if source.place is not None:
                folder, name = split_place(source.place)
                parent = self.places.folder(folder)
            elif source.path is not None:
                parent, name = self.paths.folder(source.path.parent.raw), source.path.name
            else:
                raise InvalidRequest("A source of a copy has a path, or a place in the trash.")
            found = self.disk.look(parent, name)
        except OSError as error:
            if error.errno not in (errno.ENOENT, *NOT_A_FOLDER):
                raise
            found = None
        if found is None:
            if not self.disk.is_intact():
                raise MountOffline()
            raise ContentExpired() if source.place is not None else _changed(source)
        self._same(source, found)
        return parent, name

    def _same(self, source: Source, found: Identity | None) -> None:
        """The change time tells of writes that hide behind the old times, where no hash will. Our own way into the trash moved
        it too."""
        known = source.identity
        if found is None or not known.same_content(found):
            raise _changed(source)
        hidden = source.place is None and source.sha256 is None and bool(known.ctime) and not known.directory
        if hidden and known.ctime != found.ctime:
            raise _changed(source)

    def _open(self, source: Source) -> LocalContent:
        folder, name = self._find(source)
        try:
            content = open_file(self.disk, folder, name)
        except (FileNotFoundError, NotADirectory) as error:
            raise _changed(source) from error
        try:
            self._same(source, content.identity)
        except BaseException:
            content.close()
            raise
        return content

    def _place(self, source: Source) -> tuple[int, bytes]:
        """The folder in the stage and the name in it. Parents came before, so every folder on the way is ours."""
        if not source.relative or self.staged is None:
            return self.disk.stage, self.name
        folder, _, name = source.relative.rpartition(b"/")
        return self.staged.folder(folder), own_name(os.fsdecode(name))

    def _look(self, folder: int, name: bytes = b"") -> Identity:
        found = self.disk.look(folder, name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "the staged copy vanished")
        return found


def _untouched(before: Identity | None, after: Identity | None) -> bool:
    if before is None or after is None:
        return False
    return before.same_content(after) and before.ctime == after.ctime


def _shown(source: Source) -> str:
    name = source.path.raw if source.path is not None else source.place or b""
    return repr(name.decode("utf-8", "replace"))


def _changed(source: Source) -> VersionConflict:
    return VersionConflict(
        f"{_shown(source)} is not what the record knows, and is untouched. Reconcile it, then copy anew."
    )


@contextmanager
def _denied(source: Source) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise Forbidden(
            f"The disk does not permit Filestore to copy {_shown(source)}. Look at its owner and mode."
        ) from error
