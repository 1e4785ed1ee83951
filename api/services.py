"""What the HTTP front needs from the rest of the process. It is handed over once, to `create_app`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Protocol

from activities.executors.base import Executor, Identity
from api.observe.metrics.counts import Counts
from api.submission import Commands
from schema.mounts import Mount
from schema.settings import Settings
from schema.store.pool import Pool


class Executors(Protocol):
    """The executors of this process, by mount."""

    def of(self, mount: Mount) -> Executor:
        """At once, without IO. Raises ExecutorNotFound, or MountOffline when the mount lies on another host."""
        ...

    def register(self, mount: Mount) -> Identity | None:
        """Prepare a mount's storage, and tell which directory its root is; None where storage knows no directories.
        Blocking. Doing it again is harmless. Raises InvalidRequest, MountOffline, ExecutorNotFound."""
        ...

    def prove(self, mount: Mount) -> Identity | None:
        """Read a mount's sentinel where this row says it lies, and write nothing; which directory its root is, as `register`.
        Blocking. Raises InvalidRequest, MountOffline, ExecutorNotFound."""
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
