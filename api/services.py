"""What the HTTP front needs from the rest of the process. It is handed over once, to `create_app`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import Any, Protocol

from activities.executors.base import Executor, Identity, Locks, Stage
from api.observe.metrics.counts import Counts
from schema.commands.command import Request
from schema.commands.payloads import Outcome
from schema.errors import FilestoreError
from schema.ids import CommandId
from schema.mounts import Mount
from schema.settings import Settings
from schema.store.pool import Pool


@dataclass(frozen=True, slots=True)
class Submission:
    """A command on its way in.

    A small body is in `content` and not staged yet. A big one is staged and flushed: `written` says as what, and
    `locks` holds the lock of `request.id`. Whoever takes a submission closes `locks`, however it ends.
    """

    request: Request
    metadata: Mapping[str, Any] | None = None
    content: bytes | None = None
    written: Stage | None = None
    locks: Locks | None = None
    wait_seconds: float | None = None
    """How long the client wants to wait for the outcome; 0: not at all; None: as long as the settings say."""


class OutcomePending(Exception):
    """The command goes on, and the client does not wait any longer: its outcome can be asked for by this id."""

    def __init__(self, command: CommandId, whole: Sequence[CommandId] = ()) -> None:
        """`whole`: the ids of an atomic list, in its order."""
        super().__init__(command)
        self.command, self.whole = command, whole


@dataclass(slots=True)
class Queued:
    """A command whose client has got its 202 before the command had a row. Only this process knows of it."""

    request: Request
    since: datetime
    row: CommandId | None = None
    """Where it stands in the record now; another id than that of its request, if an earlier one had opened it"""
    error: FilestoreError | None = None
    """Why it never got a row, or why that is not known"""


class Commands(Protocol):
    """Runs commands, one outcome for each."""

    def submit(self, submission: Submission) -> Awaitable[Outcome]:
        """Raises FilestoreError when the command is refused and OutcomePending when it takes too long."""
        ...

    def submit_atomic(self, submissions: Sequence[Submission]) -> Awaitable[list[Outcome]]:
        """All of them or none, on one mount; an outcome for each, in their order.

        Raises FilestoreError when none was attempted, and OutcomePending when it takes too long: then they go on and can be
        asked for by the ids in it."""
        ...

    def queued(self, command: CommandId) -> Queued | None:
        """What is known here about a command that was answered with 202 while it waited in the queue."""
        ...


class Executors(Protocol):
    """The executors of this process, by mount."""

    def of(self, mount: Mount) -> Executor:
        """At once, without IO. Raises ExecutorNotFound, or MountOffline when the mount lies on another host."""
        ...

    def register(self, mount: Mount) -> Identity | None:
        """Prepare a mount's storage, and tell which directory its root is; None where storage knows no directories.
        Blocking. Doing it again is harmless. Raises InvalidRequest, MountOffline, ExecutorNotFound."""
        ...

    async def refresh(self) -> None:
        """The configured mounts have changed."""
        ...


class Health(Protocol):
    """Looks at the servers this process depends on."""

    def report(self) -> Awaitable[Mapping[str, Any]]:
        """{"postgres": "ok" or why not, "redis": .., "temporal": .., "mounts": {..}, "outbox": {..}}"""
        ...


class Wakeups(Protocol):
    """Tells that there are new events. Whether it does or not: they are looked for every half second."""

    def listen(self) -> AsyncIterator[None]:
        """Something each time. Raises when it can not be told any more."""
        ...


@dataclass(frozen=True, slots=True)
class Load:
    """What this process has to do for a mount: commands in the queue, and commands in lists that are under way."""

    tenant: str
    mount_key: str
    waiting: int
    flying: int


@dataclass(frozen=True, slots=True)
class MountSeen:
    tenant: str
    mount_key: str
    health: str
    """online, degraded, offline, inactive"""


class Vitals(Protocol):
    """What the process knows of itself beside its requests; for the metrics."""

    def pools(self) -> Mapping[str, Mapping[str, int]]:
        """By name, what psycopg_pool tells. At once, without IO; so is the next one."""
        ...

    def loads(self) -> Sequence[Load]: ...

    async def servers(self) -> Mapping[str, bool]:
        """Which of the servers this process depends on answer it, but for Postgres."""
        ...

    async def mounts(self) -> Sequence[MountSeen]:
        """How the mounts of this host are. Looks at their storage."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    pool: Pool
    """For reads, and the few writes of mounts."""
    commands: Commands
    executors: Executors
    health: Health
    _: KW_ONLY
    announce: Callable[[], None] = lambda: None
    """Called when there are new events in the feed; from any thread."""
    wakeups: Wakeups | None = None
    counts: Counts = field(default_factory=Counts)
    """What is counted in this process"""
    vitals: Vitals | None = None
