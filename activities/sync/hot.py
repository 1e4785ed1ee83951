"""The hot store as the service uses it: content by its SHA-256, pointers, and a doorbell. All of it can be made anew.

What does not answer raises HotUnavailable; the caller goes on without it: content is put into the cold store, or read from there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from schema.errors import NotSupported

SMALL_MAX = 256 * 1024
"""Up to so many bytes a content is one message"""


class HotUnavailable(Exception):
    """The hot store does not answer, or there is none."""


class HotMissing(Exception):
    """It has no such content, or not all of it."""


class HotStore(Protocol):
    """`project`: the uuid of one."""

    async def ready(self) -> bool:
        """Whether it answers at the moment."""
        ...

    async def put(self, project: str, sha: str, content: bytes) -> None:
        """One that is there is the same: its name says so."""
        ...

    async def put_many(self, project: str, contents: Mapping[str, bytes]) -> None: ...

    async def put_pieces(self, project: str, sha: str, size: int, pieces: AsyncIterator[bytes]) -> None:
        """A large content. Raises ValueError where the pieces are not of this name; then nothing is there."""
        ...

    async def get(self, project: str, sha: str, size: int) -> bytes:
        """Verified. Raises HotMissing."""
        ...

    async def get_many(self, project: str, shas: Iterable[str]) -> Mapping[str, bytes]:
        """Small contents: those that there are, verified."""
        ...

    def pieces(self, project: str, sha: str, size: int) -> AsyncIterator[bytes]:
        """Verified at the end. Raises HotMissing: what came before it is not to be used."""
        ...

    async def has(self, project: str, sizes: Mapping[str, int]) -> set[str]: ...

    async def delete(self, project: str, sha: str, size: int) -> None:
        """The copy that is there now, and no later one. Harmless where there is none."""
        ...

    async def drop(self, project: str) -> None:
        """All of a project's content."""
        ...

    def listed(self, project: str) -> AsyncIterator[set[str]]:
        """All contents that a project has here, a page at a time."""
        ...

    async def sizes(self, project: str, shas: Iterable[str]) -> Mapping[str, int]:
        """Of those that are here."""
        ...

    async def sweep(self, project: str, seconds: float) -> int:
        """What is left of uploads that broke off so long ago goes. How many of them."""
        ...

    async def forget(self, tenant: str, name: str, project: str) -> None:
        """A project's pointer goes."""
        ...

    async def unsay(self, tenant: str, shas: Iterable[str]) -> None:
        """What the index says of these contents goes."""
        ...

    async def point(self, tenant: str, name: str, project: str, revision: int, manifest: str) -> None:
        """Where the project is; an older revision never replaces a newer one. Then the doorbell rings."""
        ...

    async def describe(self, tenant: str, objects: Mapping[str, Mapping[str, Any]]) -> None:
        """What is said of these contents in the index."""
        ...

    async def tell(self, events: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Subject, id, event: in this order, once for each id."""
        ...

    async def note(self, entries: Sequence[tuple[str, str, bytes]]) -> None:
        """Entries of the audit stream: what each is about, its id, its bytes. In this order."""
        ...

    def noted(self) -> AsyncIterator[list[bytes]]:
        """All entries of the audit stream, in pages."""
        ...

    async def bell(self, project: str) -> None:
        """Those that listen look at the record."""
        ...

    async def ring(self, heard: Callable[[str], None]) -> None:
        """From now on `heard` is called with the uuid of each project that has a new revision. What is missed is not told again."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class HotReader:
    """Who reads one project in the hot store itself. `credentials`: as NATS' own programs read them. `inbox`: the prefix of where
    answers have to come. `streams`, `subjects`: all that may be asked for, and heard."""

    url: str
    credentials: str
    inbox: str
    streams: tuple[str, ...]
    subjects: tuple[str, ...]


class HotStores(Protocol):
    """By tenant."""

    def of(self, tenant: str) -> HotStore: ...

    def reader(self, tenant: str, name: str, project: str, seconds: float) -> HotReader:
        """Raises NotSupported where the hot store keeps tenants apart by their subjects alone."""
        ...

    def break_glass(self, tenant: str, seconds: float) -> HotReader:
        """One that can shorten the tenant's audit stream, and nothing else. Raises NotSupported."""
        ...

    async def close(self) -> None: ...


class NoHotStore:
    """`HotStore` where there is none, for all tenants."""

    def of(self, tenant: str) -> HotStore:
        return self

    def reader(self, tenant: str, name: str, project: str, seconds: float) -> HotReader:
        raise NotSupported("This service has no hot store.")

    def break_glass(self, tenant: str, seconds: float) -> HotReader:
        raise NotSupported("This service has no hot store.")

    async def ready(self) -> bool:
        return False

    async def put(self, project: str, sha: str, content: bytes) -> None:
        raise HotUnavailable

    async def put_many(self, project: str, contents: Mapping[str, bytes]) -> None:
        raise HotUnavailable

    async def put_pieces(self, project: str, sha: str, size: int, pieces: AsyncIterator[bytes]) -> None:
        raise HotUnavailable

    async def get(self, project: str, sha: str, size: int) -> bytes:
        raise HotUnavailable

    async def get_many(self, project: str, shas: Iterable[str]) -> Mapping[str, bytes]:
        raise HotUnavailable

    async def pieces(self, project: str, sha: str, size: int) -> AsyncIterator[bytes]:
        raise HotUnavailable
        yield b""

    async def has(self, project: str, sizes: Mapping[str, int]) -> set[str]:
        raise HotUnavailable

    async def delete(self, project: str, sha: str, size: int) -> None:
        raise HotUnavailable

    async def drop(self, project: str) -> None:
        return

    async def listed(self, project: str) -> AsyncIterator[set[str]]:
        raise HotUnavailable
        yield set()

    async def sizes(self, project: str, shas: Iterable[str]) -> Mapping[str, int]:
        raise HotUnavailable

    async def sweep(self, project: str, seconds: float) -> int:
        raise HotUnavailable

    async def forget(self, tenant: str, name: str, project: str) -> None:
        return

    async def unsay(self, tenant: str, shas: Iterable[str]) -> None:
        raise HotUnavailable

    async def point(self, tenant: str, name: str, project: str, revision: int, manifest: str) -> None:
        raise HotUnavailable

    async def describe(self, tenant: str, objects: Mapping[str, Mapping[str, Any]]) -> None:
        raise HotUnavailable

    async def tell(self, events: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        raise HotUnavailable

    async def note(self, entries: Sequence[tuple[str, str, bytes]]) -> None:
        raise HotUnavailable

    async def noted(self) -> AsyncIterator[list[bytes]]:
        raise HotUnavailable
        yield []

    async def bell(self, project: str) -> None:
        raise HotUnavailable

    async def ring(self, heard: Callable[[str], None]) -> None:
        raise HotUnavailable

    async def close(self) -> None:
        return
