"""Where content waits on this host until its visible step: files in a local folder, flushed, each under its stage's id.

<spool>/<mount uuid>/lock              an empty file: a command's lock is one byte of it
<spool>/<mount uuid>/stage/<id>        content, or a folder for a directory; empty while the parts are in the bucket
<spool>/<mount uuid>/parts/<id>        a multipart upload under way: its id, its key, the parts that arrived
<spool>/<mount uuid>/copies/<id>       a copy that the store makes in parts, while it is under way: locked by its process
<spool>/<mount uuid>/done/<id>         what the visible step made, until the sweep: a later execution may ask. A link whose
                                       target is the text: made whole, in one call
<spool>/<mount uuid>/kept/<id>         a stage that another program changed: kept for a person
"""

import errno
import fcntl
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from activities.executors.byte_locks import ByteLocks
from activities.executors.contract.identity import Identity
from activities.executors.s3.bucket import UploadedPart
from schema.errors import InvalidRequest, StorageFull
from schema.ids import CommandId

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class SpooledUpload:
    """A multipart upload under way. `sha256` is of the whole content, once all of it has arrived."""

    id: str
    key: str
    parts: list[UploadedPart] = field(default_factory=list)
    sha256: str = ""

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def with_part(self, part: UploadedPart) -> "SpooledUpload":
        others = [one for one in self.parts if one.number != part.number]
        return replace(self, parts=sorted([*others, part], key=lambda one: one.number))


class BucketSpool:
    def __init__(self, folder: Path, mount_uuid: str) -> None:
        self.root = folder / mount_uuid
        self._made = False

    def _at(self, folder: str, stage: str) -> str:
        if not self._made:
            for name in ("stage", "parts", "copies", "done", "kept"):
                (self.root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._made = True
        if not stage or "/" in stage or stage in (".", ".."):
            raise InvalidRequest(f"{stage!r} can not name a stage.")
        return os.path.join(self.root, folder, stage)

    # -- content -------------------------------------------------------------------------------------------------------

    def create(self, stage: CommandId) -> int:
        """An empty stage, open for writing and reading. Raises FileExistsError."""
        with _explaining():
            return os.open(self._at("stage", stage), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def create_folder(self, stage: CommandId) -> None:
        with _explaining():
            os.mkdir(self._at("stage", stage), 0o700)

    def sync(self, *, parts: bool) -> None:
        """The names of all stages; `parts`: those of uploads too."""
        for name in ("stage", "parts") if parts else ("stage",):
            descriptor = os.open(os.path.dirname(self._at(name, "any")), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def find(self, stage: CommandId) -> Identity | None:
        """What waits here, as its bytes are now: they are read, so that no change goes unnoticed."""
        name = self._at("stage", stage)
        try:
            size, sha256 = _hashed(name)
        except FileNotFoundError:
            return None
        except IsADirectoryError:
            return folder_identity()
        upload = self.upload(stage)
        if upload is not None and upload.sha256 and size == 0:
            return upload_identity(upload)
        return content_identity(size, sha256)

    def open(self, stage: CommandId) -> int | None:
        """The waiting content. None: it does not wait here as a file."""
        try:
            return os.open(self._at("stage", stage), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None

    def drop(self, stage: CommandId) -> None:
        name = self._at("stage", stage)
        with suppress(FileNotFoundError):
            try:
                os.unlink(name)
            except IsADirectoryError:
                os.rmdir(name)

    def keep(self, stage: CommandId) -> None:
        """Set aside a stage whose content is not what was staged here: it waits for a person."""
        with suppress(FileNotFoundError):
            os.rename(self._at("stage", stage), self._at("kept", stage))

    def entries(self) -> Iterator[tuple[CommandId, float]]:
        """Every stage, and every mark of one that is done, with its age in seconds."""
        now, seen = time.time(), set[str]()
        for folder in ("stage", "parts", "done"):
            for entry in os.scandir(os.path.dirname(self._at(folder, "any"))):
                if entry.name not in seen and not entry.name.endswith(".draft"):
                    seen.add(entry.name)
                    with suppress(FileNotFoundError):
                        yield CommandId(entry.name), max(0.0, now - entry.stat(follow_symlinks=False).st_ctime)

    # -- uploads -------------------------------------------------------------------------------------------------------

    def upload(self, stage: CommandId) -> SpooledUpload | None:
        try:
            with open(self._at("parts", stage), encoding="ascii") as file:
                note = json.load(file)
        except FileNotFoundError:
            return None
        return SpooledUpload(note["id"], note["key"], [UploadedPart(**part) for part in note["parts"]], note["sha256"])

    def keep_upload(self, stage: CommandId, upload: SpooledUpload) -> None:
        """Durable when this returns."""
        name = self._at("parts", stage)
        with _explaining(), open(f"{name}.draft", "w", encoding="ascii") as file:
            json.dump(asdict(upload), file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(f"{name}.draft", name)

    def forget_upload(self, stage: CommandId) -> None:
        for name in (self._at("parts", stage), self._at("parts", f"{stage}.draft")):
            with suppress(FileNotFoundError):
                os.unlink(name)

    @contextmanager
    def noting(self, key: str, upload: str) -> Iterator[None]:
        """While the upload of a copy is under way. The lock on the note dies with its process, and tells that it died."""
        name = self._at("copies", str(uuid.uuid4()))
        with open(f"{name}.draft", "w", encoding="ascii") as note:
            with _explaining():
                fcntl.flock(note, fcntl.LOCK_EX)
                json.dump({"id": upload, "key": key}, note)
                note.flush()
                os.fsync(note.fileno())
                os.rename(f"{name}.draft", name)
            try:
                yield
            finally:
                os.unlink(name)

    def abandoned(self) -> Iterator[SpooledUpload]:
        """The uploads of copies whose process has died. The note of each is removed once the caller is done with it."""
        names = [entry.path for entry in os.scandir(os.path.dirname(self._at("copies", "any")))]
        for name in names:
            if name.endswith(".draft"):
                continue
            with suppress(FileNotFoundError, BlockingIOError), open(name, encoding="ascii") as note:
                fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stored = json.load(note)
                yield SpooledUpload(stored["id"], stored["key"])
                os.unlink(name)

    # -- what is done --------------------------------------------------------------------------------------------------

    def mark(self, command: CommandId, made: Identity) -> None:
        """Not flushed: it only helps to tell our effect that another program changed from one that never was."""
        name, facts = self._at("done", command), json.dumps(made.facts())
        try:
            os.symlink(facts, name)
        except FileExistsError:
            with suppress(FileNotFoundError):
                os.unlink(f"{name}.draft")
            os.symlink(facts, f"{name}.draft")
            os.rename(f"{name}.draft", name)

    def marked(self, command: CommandId) -> Identity | None:
        try:
            return Identity.of_facts(json.loads(os.readlink(self._at("done", command))))
        except FileNotFoundError:
            return None

    def is_marked(self, command: CommandId) -> bool:
        return os.path.lexists(self._at("done", command))

    def unmark(self, command: CommandId) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._at("done", command))

    def locks(self) -> ByteLocks:
        self._at("stage", "any")
        return ByteLocks(os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def content_identity(size: int, sha256: str) -> Identity:
    return Identity(0, 0, 0, size, 0, 0, False, tag=f"spool:{sha256}")


def upload_identity(upload: SpooledUpload) -> Identity:
    return Identity(0, 0, 0, upload.size, 0, 0, False, tag=f"multipart:{upload.id}")


def folder_identity(tag: str = "spool:directory") -> Identity:
    return Identity(0, 0, 0, 0, 0, 0, True, tag=tag)


def _hashed(name: str) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with open(name, "rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


@contextmanager
def _explaining() -> Iterator[None]:
    """A spool folder that is full is a full storage."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("The spool folder of this host is full. Nothing was changed; free some space.") from error
        raise
