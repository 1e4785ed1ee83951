"""What every executor promises. An executor moves bytes on one mount, and knows nothing of Postgres or Temporal.

The protocol it serves (docs/command-protocol.md) rests on these sentences:

- Everything that will appear is *staged* first, under the stage's own id, on the storage of the mount itself. A stage
  is invisible to listings. `seal` makes a list of stages durable at once; after it their identities never change.
- `act` performs the one visible step of a command. It looks before it acts, so running it again after a crash finds
  its own earlier effect and says so; it looks after it acts, and what it did not expect it puts back. It never
  overwrites or removes bytes that are not the expected ones. After `flush` the effect survives a power cut.
- `finish` does what may only happen once the record is committed: old content goes from the stage to the trash.
- A lock is per command id and dies with its process. `act` and `finish` expect that their caller holds it.
- Errors: MountOffline when the mount is not there or is another disk, MountReadOnly, StorageFull, NodeNotFound.
  Anything else is an OSError and means a defect or a broken disk. No retry inside: the workflow retries.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import BinaryIO, NamedTuple, Protocol, runtime_checkable

from schema.access.object_locks import HeldObject, LockedObject, LockProof
from schema.errors import NotSupported
from schema.ids import CommandId
from schema.paths import NodePath


@dataclass(frozen=True, slots=True)
class Identity:
    """Which file this is, whatever its name: device, inode and birth time; and what shows that it was written to since.

    Device 0 is the mount's own: disks are numbered anew at every boot. Times are nanoseconds since the epoch. `size`
    and `mtime` of a directory change with its entries: they are not compared. `ctime` is changed by renames, and by what
    changes no content (chmod, a new link): where it alone differs before the visible step, the content is read and decides.
    """

    device: int
    inode: int
    birth: int
    size: int
    mtime: int
    ctime: int
    directory: bool
    mode: int = 0
    links: int = 1
    tag: str = ""
    """Object stores have no inodes: there the ETag says which object this is (or, of a stage, what it waits as) ..."""
    edition: str = ""
    """... and the version id, where the bucket keeps versions. Numbers that mean nothing there are 0."""

    def facts(self) -> list[int | str]:
        """As it travels in payloads and is stored in intents; `of_facts` reads it back."""
        numbers = [self.device, self.inode, self.birth, self.size, self.mtime, self.ctime, int(self.directory),
                   self.mode, self.links]  # fmt: skip
        return [*numbers, self.tag, self.edition] if self.tag or self.edition else [*numbers]

    @classmethod
    def of_facts(cls, facts: Sequence[int | str]) -> "Identity":
        device, inode, birth, size, mtime, ctime, directory, mode, links = (int(fact) for fact in facts[:9])
        tag, edition = (str(fact) for fact in facts[9:]) if len(facts) > 9 else ("", "")
        return cls(device, inode, birth, size, mtime, ctime, bool(directory), mode, links, tag, edition)

    def same_inode(self, other: "Identity | None") -> bool:
        return other is not None and self._which == other._which

    @property
    def _which(self) -> tuple[int, int, int, str, str]:
        return self.device, self.inode, self.birth, self.tag, self.edition

    def same_content(self, other: "Identity | None") -> bool:
        """The same inode, and no program wrote into it in place."""
        if other is None or not self.same_inode(other) or self.directory != other.directory:
            return False
        return self.directory or (self.size, self.mtime) == (other.size, other.mtime)


class Step(StrEnum):
    """The visible step of a command."""

    CREATE = "create"
    """The staged file or directory appears at a free name."""
    REPLACE = "replace"
    """The staged file takes the place of the expected one, in one exchange."""
    DELETE = "delete"
    """The expected file or directory goes to the trash. With `tree`, everything below the directory goes along."""
    MOVE = "move"
    """The expected file or directory gets the name `target`: a free one, or that of the file `replaced`, which goes to
    the trash. There is no moment without something at `target`. A directory takes everything below it along."""
    RESTORE = "restore"
    """What lies at `place` in the trash appears at `path`, a free name."""


@dataclass(frozen=True, slots=True)
class Task:
    """One visible step to take. All of it was fixed in the intent before anything happened.

    `expected` is the identity the record knows: what is replaced, deleted, moved or restored. `attempt` above 1 means
    that an earlier attempt may have acted already.
    """

    command: CommandId
    step: Step
    path: NodePath
    stage: CommandId | None = None
    staged: Identity | None = None
    expected: Identity | None = None
    trash: str | None = None
    """Where content goes that leaves: `<day>/<command>.<item>`"""
    attempt: int = 1
    target: NodePath | None = None
    replaced: Identity | None = None
    """Of a move: the file at `target` that the record knows, and that goes to the trash"""
    tree: bool = False
    place: bytes | None = None
    """Of a restore: a path below the trash"""
    items: bool = False
    """Of a tree, where storage knows none: what it holds was laid where it goes before the step (`TreesByItem`)."""
    expected_sha256: bytes | None = None
    """The content that the record knows of `expected`, where that is a file; ..."""
    replaced_sha256: bytes | None = None
    """... and of `replaced`"""
    proven: bool = False
    """What leaves its place is read once it is out, and has to have `expected_sha256`: a time can be forged"""
    borrowed: bool = False
    """The stage belongs to an upload that outlives a failure of this command: only a success clears it"""


@dataclass(frozen=True, slots=True)
class Done:
    """The step is taken. `identity` is the node as it now lies there (None after a delete).

    `drift` says that our effect was recognised but another program has changed or removed it since; `identity` is then
    still what we put there, so that the record never takes another program's bytes for ours.
    """

    identity: Identity | None
    recognised: bool = False
    drift: str | None = None
    leaves: bool = field(default=False, compare=False)
    """Something is left for `finish` to clear, once the record is committed. Equality is about the effect alone."""
    holds: bool = field(default=False, compare=False)
    """What was moved still lies under its old name as well, until `finish`: no command may take that name before"""


@dataclass(frozen=True, slots=True)
class Refused:
    """The step was not taken, or was taken back. `code` is from schema.errors."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """What lies there can not be put right without a person: the node becomes INCONSISTENT."""

    message: str


Result = Done | Refused | Unclear


@dataclass(frozen=True, slots=True)
class Stage:
    """A staged file or directory, sealed: durable under its own id. `sha256` is None for a directory."""

    id: CommandId
    identity: Identity
    sha256: bytes | None = None


@dataclass(frozen=True, slots=True)
class UploadLink:
    """A PUT that brings one content into a stage without us. All headers are signed, and have to be sent as they are."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Draft:
    """Something small to stage with its whole list: a directory (`content` is None), or a file's bytes."""

    id: CommandId
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing."""

    path: NodePath
    identity: Identity
    kind: str
    """file, directory, symlink or special"""


class Seen(NamedTuple):
    """One name that a scan saw. The path is bytes as they are: no command may take them, and no check has been there."""

    path: bytes
    kind: str
    """file, directory, symlink or special"""
    facts: tuple[int | str, ...]
    """Its identity, as `Identity.facts` says it"""
    target: bytes | None = None
    """Where a symbolic link leads; None where that could not be read"""

    @property
    def identity(self) -> Identity:
        return Identity.of_facts(self.facts)


class SeenFolder(NamedTuple):
    """A directory whose names a scan has told, each of them."""

    path: bytes
    facts: tuple[int | str, ...]
    """Its identity before it was listed"""
    stable: bool
    """It was the same directory with the same times after it was listed: a name that was not told is not there."""
    digest: bytes | None = None
    """Of all that the listing says, as `Sieves` compares it; None: it has to be compared name by name"""


class Unseen(NamedTuple):
    """What a scan could not look at. Nothing is known of it, and nothing of what lies below it."""

    path: bytes
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ScanPage:
    """Some of what lies below a path. A scan that broke off goes on after `cursor`."""

    entries: Sequence[Seen]
    cursor: bytes
    folders: Sequence[SeenFolder] = ()
    """The directories whose listing ended with this page. An object store has none: what a whole scan of it did not tell
    has to be asked for by its key."""
    unseen: Sequence[Unseen] = ()
    share: float | None = None
    """How much of the tree has been told by now, as far as its directories say: what lies in one directory counts as much as what
    lies in the one beside it. None: nothing is known yet, or directories do not tell it."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file or directory to copy: exactly this one, as the record knows it."""

    relative: bytes
    """Its path below the root of the copy; b"" is the root itself. Parents come before their children."""
    kind: str
    identity: Identity
    path: NodePath | None = None
    """Where it lies; or ..."""
    place: bytes | None = None
    """... where in the trash: older content"""
    sha256: bytes | None = None
    staged: Identity | None = None
    """Its copy, where an execution that was broken off has staged it already"""


@dataclass(frozen=True, slots=True)
class Copied:
    """The staged copy of one source."""

    relative: bytes
    kind: str
    identity: Identity
    size: int = 0
    sha256: bytes | None = None


class StageWriter(Protocol):
    """An open stage that takes a stream. Blocking: call from a thread."""

    def write(self, chunk: bytes) -> None: ...

    def close(self) -> Stage:
        """Flush to the disk and hand over. The stage's own name is made durable by `seal`."""
        ...

    def abort(self) -> None:
        """Remove what was written. Never raises."""
        ...


class Locks(Protocol):
    """Locks held through one open handle. They are gone when it is closed, or its process dies."""

    def take(self, command: CommandId) -> bool:
        """False: another process holds it, and the command is still running there."""
        ...

    def release(self, command: CommandId) -> None:
        """Give one lock back while the others stay."""
        ...

    def close(self) -> None: ...


class Content(Protocol):
    """A file opened for reading; stays readable after a replace or delete."""

    identity: Identity

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes; fewer only at the end of the file."""
        ...

    def unchanged(self) -> bool:
        """No program has written into it since it was opened: what was read until now is one version, and not two."""
        ...

    def close(self) -> None: ...


SCAN_MOST = 2000
"""Names in a page of a scan, where the caller does not say."""

Fetch = Callable[[Source], Content]
"""Opens a source that lies on another mount: the recorded version of it. Raises VersionConflict."""


class Stages(Protocol):
    """Where what will appear waits. For uploads, for `stage`, and for the sweep."""

    def open_stage(self, stage: CommandId, path: NodePath | None = None) -> StageWriter:
        """`path`: where it will appear. A store that writes big content in place from the start needs to know."""
        ...

    def stage_copy(
        self, stage: CommandId, sources: Iterable[Source], fetch: Fetch | None = None, *, goes_on: bool = False
    ) -> Iterator[Copied]:
        """Stage a copy of one file or a whole tree, one answer per source while it goes; directories may be answered
        after what they hold, and the root of a tree is then the last. Whatever an earlier, broken execution left under
        this stage is removed first. With the last answer everything is durable, but for the stage's own name: `seal`.
        What POSIX keeps beside the bytes (mode, times, extended attributes, links) comes along. When it fails, or its
        answers are not taken to the end, nothing is left; but where the sources raise Interrupted, what is staged is made
        durable and answered, and stays. `goes_on`: what is there of a tree is taken where it is what its source names as
        `staged`. An executor may begin anew instead. With `fetch` the sources lie on another mount: their bytes
        come from there, hashed, and nothing else.

        Raises VersionConflict when a source is not what its identity and hash say, ContentExpired when it is no longer
        in the trash, NotSupported for kinds that can not be copied, Forbidden, StorageFull, MountOffline."""
        ...

    def seal(self, drafts: Sequence[Draft], written: Sequence[CommandId] = ()) -> list[Stage | Exception]:
        """Stage the drafts, then make them and the names of the already `written` stages durable, with as few flushes
        as possible. One answer per draft, in order: an error concerns its draft alone. Raises only for the whole
        mount."""
        ...

    def find_stage(self, stage: CommandId) -> Identity | None: ...

    def discard_stage(self, stage: CommandId, staged: Identity | None) -> bool:
        """Remove a stage. With `staged`, only when it is that very file or directory, unchanged. True: nothing is
        left."""
        ...

    def stages(self) -> Iterator[tuple[CommandId, float]]:
        """Every entry in the stage folder with its age in seconds."""
        ...


class Steps(Protocol):
    """The visible step of a command, and what follows it. For `apply`, `commit` and `finish`."""

    width: int
    """How many steps are worth taking at once."""

    def act(self, task: Task) -> Result:
        """Look, take the visible step, look at what came out. Not durable before `flush`."""
        ...

    def flush(self, tasks: Sequence[Task]) -> None:
        """Make the steps of these tasks durable: every directory they touched, once each."""
        ...

    def reverse(self, task: Task) -> Result:
        """Take a step of ours back, for an effect that can not be recorded: what appeared returns to the stage, what
        was replaced or deleted to its place. Done: it is as if nothing had happened, and durable. Unclear: another
        program has been there since; nothing was touched."""
        ...

    def finish(self, task: Task, succeeded: bool) -> None:
        """After the record is committed: clear what is left under the command's own name. Idempotent."""
        ...


class Reads(Protocol):
    """Content and listings. For downloads, copies between mounts, and the checker."""

    def open(self, path: NodePath) -> Content:
        """Raises NodeNotFound; NotADirectory when it is not a regular file."""
        ...

    def open_kept(self, place: bytes) -> Content:
        """Older content, by its place in the trash. Raises ContentExpired when it is no longer there."""
        ...

    def walk(self) -> Iterator[Entry]:
        """Every entry of the mount but our own reserved folder, parents before children. Never follows a link."""
        ...

    def scan(self, path: NodePath, after: bytes = b"", most: int = SCAN_MOST) -> Iterator[ScanPage]:
        """What lies at a path and below it, as a walk tells it, in pages of at most `most` names: first the directories on
        the way to it, then itself, then what is below. For names that no command takes, too. With the cursor of an earlier
        page it goes on after that page, whatever has changed since; a name may then be told again.

        Ends without an error only when the mount was there from start to end; each page was read from the mount itself.
        What can not be looked at is told as unseen, and the rest goes on. Raises NodeNotFound when nothing is at the path."""
        ...


class Executor(Stages, Steps, Reads, Protocol):
    """What every executor serves. All methods block; the caller brings the threads.

    What not every storage can do stands in the protocols below. An executor without such a thing has no such method, and
    a caller asks with `isinstance`."""

    def check(self) -> None:
        """Raise MountOffline unless this is the very storage the mount was registered with."""
        ...

    def locks(self) -> Locks: ...


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
class Folders(Protocol):
    """The storage has directories whose times tell that names came or went."""

    def folders_now(self, paths: Sequence[bytes]) -> list[tuple[int | str, ...] | None]:
        """The identity of each directory as it is now; None: it is not there any more."""
        ...


class FolderVerdict(IntEnum):
    """What came of a directory that was compared as a whole."""

    SAME = 0
    DIFFERS = 1
    """Or may: it is to be listed name by name"""
    GONE = 2


class FolderPage(NamedTuple):
    """Directories as the record has them, in one piece: with an object for each, comparing would take longer than the disk."""

    directories: int
    paths: bytes
    """Each with its slash at the end, and a NUL between it and the next"""
    digests: bytes
    """16 bytes each: of the listing that agreed with the record; zeros where none did"""


class SievedPage(NamedTuple):
    verdicts: bytes
    """One byte for each directory: a FolderVerdict"""
    times: bytes
    """Eight bytes for each: its change time before it was listed, 0 where it could not be opened"""
    names: int
    """That lie in all of them"""


@dataclass(frozen=True, slots=True)
class SieveApart:
    """How another process takes pages: `command` is given the descriptor of the root as its last argument. The caller closes it."""

    root: int
    command: Sequence[str]
    check: Callable[[], None]
    """Raises MountOffline where another disk has come to stand there since: nothing counts that was read"""


@runtime_checkable
class Sieves(Protocol):
    """Directories can be compared as a whole, in this thread or by other processes."""

    def sieve(self, page: FolderPage) -> SievedPage:
        """Raises MountOffline."""
        ...

    def sieve_apart(self) -> SieveApart | None:
        """None: this system does not let it. Raises MountOffline."""
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


@dataclass(frozen=True, slots=True)
class ColdFile:
    """What lies under a key. `age`: seconds, by the store's clock and ours."""

    key: str
    age: float
    size: int = 0


class ColdCopies(Protocol):
    """Contents of projects beside the files of a mount, below our own folder. All of it blocks."""

    def put(self, key: str, content: BinaryIO, sha: str, size: int) -> None:
        """Durable when it returns, whole or not there. Raises ValueError for another content than `sha` names."""
        ...

    def holds(self, key: str, sha: str, size: int) -> bool:
        """Looked at now: by the checksum that the store keeps of it, or by reading it."""
        ...

    def read(self, key: str, start: int = 0, size: int | None = None) -> Iterator[bytes]:
        """All of it, or so many bytes from `start` on. Raises FileNotFoundError."""
        ...

    def thaw(self, key: str) -> bool:
        """Whether it can be read now. One that lies in an archive class is asked for, once, and can be read in hours."""
        ...

    def delete(self, key: str) -> None:
        """Harmless where there is none."""
        ...

    def keys(self, prefix: str) -> Iterator[ColdFile]:
        """All that lies there, also what a process that died has left half written."""
        ...


@runtime_checkable
class LinksCold(Protocol):
    """`ColdCopies` that a client can put there itself, under a link and with no credentials of the store. All of it blocks."""

    def link(self, key: str, sha: str, size: int, seconds: int) -> UploadLink:
        """For exactly this content, while nothing lies there. Raises PayloadTooLarge."""
        ...

    def proven(self, key: str, sha: str, size: int) -> float | None:
        """How many seconds ago it was put, where it is what was announced, by proof of ours. None: nothing is there. Raises
        ChecksumMismatch for anything else, and removes it."""
        ...


@runtime_checkable
class KeepsCold(Protocol):
    """The storage keeps contents of projects beside its files."""

    def cold(self) -> ColdCopies:
        """Raises MountOffline."""
        ...


class ObjectLocks(Protocol):
    """Locks that the storage itself keeps, also against its owner. All of it blocks and raises MountOffline."""

    def prove(self) -> LockProof:
        """Try on an object of ours whether what is locked can be removed."""
        ...

    def find(self, held: HeldObject) -> LockedObject | None:
        """The version of a file that the record tells of. None: it is not there any more."""
        ...

    def lock(self, found: LockedObject, until: datetime | None) -> None:
        """Lock a version until then; None: until it is unlocked. Doing it again is harmless. Raises PermissionError where the
        storage refuses, or has no such version."""
        ...

    def unlock(self, locked: LockedObject) -> None:
        """Take the legal hold off a version. It may be gone. Raises PermissionError where the storage refuses."""
        ...


@runtime_checkable
class LocksObjects(Protocol):
    """The storage may be able to keep what no one shall remove."""

    def object_locks(self) -> ObjectLocks: ...


@runtime_checkable
class DirectReads(Protocol):
    """The storage hands out content itself, under a link."""

    def presign(self, path: NodePath, identity: Identity, seconds: int, disposition: str, media: str) -> str:
        """A URL under which exactly this content can be read for a while without us; `disposition` and `media` are the values
        of its Content-Disposition and Content-Type headers."""
        ...


@runtime_checkable
class DirectUploads(Protocol):
    """The storage takes content itself, under a link."""

    def presign_stage(self, stage: CommandId, size: int, sha256: bytes, seconds: int) -> UploadLink:
        """A link for a client that puts content of this size and hash into this stage itself. The upload must begin in
        this time, and can end later. Raises PayloadTooLarge."""
        ...

    def find_uploaded(self, stage: CommandId, size: int, sha256: bytes) -> Stage | None:
        """The identity of a stage that was put there under such a link. Its content is proven, so it can be made
        visible like any other stage. None: nothing is there yet. Raises ChecksumMismatch where it is something else,
        which is removed."""
        ...


@runtime_checkable
class TreesByItem(Protocol):
    """The storage knows no trees: a directory with its content goes item by item. Without this protocol a directory is moved,
    deleted, restored and made visible with everything below it, in one step.

    `check_names` for all of it; `begin_tree`, `lay` for all of it, `end_tree`, then `act`; the record; `clear_tree` for all of
    it, then `finish`. All of it can be repeated after a crash, and finds what an earlier execution has done.
    """

    def check_names(self, task: Task, page: Sequence[Source]) -> None:
        """Sends no request, and lays nothing. Raises InvalidPath where the storage can not hold one of these where it goes."""
        ...

    def begin_tree(self, task: Task) -> None:
        """The directory itself at its new name (or in the trash). Raises NodeExists, ParentNotFound, NotADirectory."""
        ...

    def reaches(self, origin: Executor) -> bool:
        """The storage of this mount can copy by itself what lies on that one."""
        ...

    def lay(
        self, task: Task, page: Sequence[Source], fetch: Fetch | None = None, origin: Executor | None = None
    ) -> list[Copied]:
        """Lay what the directory holds at its new place, parents first. The originals stay. With `fetch` they lie on
        another mount; with `origin` on that one, which `reaches` has been asked about. Raises VersionConflict, NodeExists,
        ContentExpired."""
        ...

    def end_tree(self, task: Task, files: int) -> None:
        """All `files` are laid. Raises VersionConflict when more lies below the directory that is to leave."""
        ...

    def clear_tree(self, task: Task, page: Sequence[Source], succeeded: bool) -> None:
        """After the record, children first: the originals leave; of a failed command, what was laid. What another
        program changed meanwhile stays. At a name that the storage can not hold there is nothing, and nothing to do."""
        ...


def purges_of(executor: Executor) -> PurgesTrash:
    """Raises NotSupported."""
    if not isinstance(executor, PurgesTrash):
        raise NotSupported("The storage of this mount can not purge its trash. Look at the mount's backend.")
    return executor


def trees_of(executor: Executor) -> TreesByItem:
    """For a command whose intent says that its tree goes item by item. Raises NotSupported."""
    if not isinstance(executor, TreesByItem):
        raise NotSupported("The storage of this mount has no trees that go item by item. Look at the mount's backend.")
    return executor


def direct_reads_of(executor: Executor) -> DirectReads:
    """Raises NotSupported."""
    if not isinstance(executor, DirectReads):
        raise NotSupported("This storage has no URLs of its own. Read the content through Filestore.")
    return executor


def direct_uploads_of(executor: Executor) -> DirectUploads:
    """Raises NotSupported."""
    if not isinstance(executor, DirectUploads):
        raise NotSupported("This storage has no URLs of its own. Send the content to Filestore.")
    return executor
