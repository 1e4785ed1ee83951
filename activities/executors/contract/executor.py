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

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from activities.executors.contract.identity import Identity
from activities.executors.contract.listing import Entry, ScanPage
from activities.executors.contract.stage import Copied, Draft, Source, Stage
from activities.executors.contract.task import Result, Task
from schema.ids import CommandId
from schema.paths import NodePath


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

    What not every storage can do stands in the protocols beside this file. An executor without such a thing has no such method, and
    a caller asks with `isinstance`."""

    def check(self) -> None:
        """Raise MountOffline unless this is the very storage the mount was registered with."""
        ...

    def locks(self) -> Locks: ...
