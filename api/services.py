"""What the HTTP front needs from the rest of the process. It is handed over once, to `create_app`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from starlette.requests import Request

from activities.executors.contract.executor import Executor
from activities.executors.contract.identity import Identity
from activities.sync.contents import Contents
from activities.threads import MountThreads
from api.submission import Commands
from schema.access.object_locks import LockProof
from schema.errors import Unavailable
from schema.ids import MountId
from schema.mounts import Mount
from schema.principals import Principal
from schema.secrets.keyring import PLAIN, Keyring
from schema.settings import Settings
from schema.store.pool import Pool

if TYPE_CHECKING:
    from schema.store.connection import Connection

T = TypeVar("T")


class ExecutorsOfMounts(Protocol):
    """The executors of this process, by mount."""

    def of(self, mount: Mount) -> Executor:
        """At once, without IO. Raises ExecutorNotFound, or MountOffline when the mount lies on another host."""
        ...

    def register(self, mount: Mount, others: Sequence[Mount]) -> Identity | None:
        """Prepare a mount's storage, and tell which directory its root is; None where storage knows no directories. `others`:
        those that it must not meet. Blocking. Doing it again is harmless. Raises InvalidRequest, MountOffline, ExecutorNotFound.
        """
        ...

    def sentinel(self, mount: Mount) -> str | None:
        """Which mount the storage says it is. Blocking. Raises as `register`."""
        ...

    def prove(self, mount: Mount) -> Identity | None:
        """Read a mount's sentinel where this row says it lies, and write nothing; which directory its root is, as `register`.
        Blocking. Raises InvalidRequest, MountOffline, ExecutorNotFound."""
        ...

    def prove_locks(self, mount: Mount) -> LockProof | None:
        """What its bucket does under Object Lock. None: this storage has no such thing. Blocking. Raises MountOffline."""
        ...

    async def refresh(self) -> None:
        """The configured mounts have changed."""
        ...


class Readiness(Protocol):
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
    in_flight: int


@dataclass(frozen=True, slots=True)
class MountSeen:
    tenant: str
    mount_key: str
    health: str
    """online, degraded, offline, inactive"""
    stuck: int = 0
    """Leftovers that could not be cleared when that was last tried"""


class ProcessVitals(Protocol):
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


class Starts(Protocol):
    """Has `begin(client, **named)` start or wake a workflow; from any thread. A call that is lost is made up for from the
    rows."""

    def __call__(self, begin: Callable[..., Awaitable[None]], /, **named: Any) -> None: ...


class Carries(Protocol):
    """Has `begin(client, **named)` run on the loop of the workflows, and gives back what it returns."""

    async def __call__(self, begin: Callable[..., Awaitable[T]], /, **named: Any) -> T:
        """Raises Unavailable where Temporal does not answer."""
        ...


async def _nothing_carries(begin: Callable[..., Awaitable[T]], /, **named: Any) -> T:
    raise Unavailable("Temporal does not answer. Nothing was changed; send the same again.")


def _nothing_starts(begin: Callable[..., Awaitable[None]], /, **named: Any) -> None:
    """Without an engine the rows wait."""


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    pool: Pool
    """For reads, and the few writes of mounts."""
    commands: Commands
    executors: ExecutorsOfMounts
    health: Readiness
    _: KW_ONLY
    announce: Callable[[], None] = lambda: None
    """Called when there are new events in the feed; from any thread."""
    start: Starts = _nothing_starts
    carry: Carries = _nothing_carries
    contents: Contents | None = None
    """Those of projects"""
    wakeups: Wakeups | None = None
    threads: MountThreads
    """Those in which routes read and write content"""
    vitals: ProcessVitals | None = None
    keys: Keyring = PLAIN
    """Those that stored secrets are sealed with"""


class Principals(Protocol):
    """Tells what a token is for."""

    async def principal_of(self, token: str) -> Principal:
        """Raises Unauthenticated, and Unavailable where it can not be told."""
        ...


class RatesOfTokens(Protocol):
    """What each token may take of this process."""

    def take(self, principal: Principal) -> None:
        """One request. Raises RateLimited."""
        ...

    def take_of_tenant(self, principal: Principal) -> None:
        """One request that counts for its tenant alone. Raises RateLimited."""
        ...

    def spend(self, key: str, rate: float) -> None:
        """One request of what this key names. Raises RateLimited."""
        ...

    def upload(self, principal: Principal) -> AbstractContextManager[None]:
        """One request that brings content. Raises RateLimited."""
        ...


class Mounts(Protocol):
    """The mounts as this process knows them."""

    async def get(self, mount: MountId, tenant: str, *, fresh: bool = False) -> Mount:
        """Raises BackendNotFound, for another tenant's mount too."""
        ...

    def forget(self) -> None:
        """They have changed."""
        ...


class Held(Protocol):
    """A part of the memory for content on its way."""

    def close(self) -> None: ...


class Memory(Protocol):
    """What content on its way may take of this process."""

    async def read(self, mount: Mount, size: int) -> Held:
        """Raises Overloaded."""
        ...

    async def write(self, mount: Mount | None) -> Held:
        """None: into the folder of resumable uploads. Raises Overloaded."""
        ...


class ReadLane(Protocol):
    """Reads that may take long."""

    async def run(self, read: "Callable[[Connection], Awaitable[T]]") -> T:
        """`read` may be begun anew, and does nothing but read. Raises Overloaded."""
        ...


@dataclass(frozen=True, slots=True)
class Front:
    """What every route can reach: the services it was given, and what this process remembers for a few seconds."""

    services: Services
    tokens: Principals
    mounts: Mounts
    threads: MountThreads
    budget: Memory
    reads: ReadLane
    rates: RatesOfTokens


def front_of(request: Request) -> Front:
    return cast(Front, request.scope["app"].state.front)
