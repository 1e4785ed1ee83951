"""A large content that does not come, or does not get away, holds back nothing but its own file."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from schema.sync.changes import PathChange
from tests.fix_service import PATIENCE, until
from workers.syncing.agent import NodeAgent
from workers.syncing.folder import NodeFolder
from workers.syncing.large import AT_ONCE, Travels
from workers.syncing.link import SMALL_MAX, ServiceSilent

LARGE = b"large" * SMALL_MAX
SHA = hashlib.sha256(LARGE).hexdigest()


class LargeLinkOfTest:
    """A service whose large contents travel once `flows` is set."""

    node = "n"

    def __init__(self, *rows: dict[str, Any]) -> None:
        self._rows, self._told = list(rows), False
        self.flows, self.asked = asyncio.Event(), asyncio.Event()
        self.committed, self.put_shas = list[bytes](), list[str]()

    async def attach(self, host: str, folder: str) -> None:
        return

    async def project(self) -> dict[str, Any]:
        return {"id": "1", "conflictRule": "last", "state": "active", "revision": 1, "promotion": "fast"}

    async def changes(self, since: str, *, wait: bool) -> dict[str, Any]:
        if self._told:
            await asyncio.Event().wait()
        self._told = True
        return {"changes": self._rows, "state": "active", "revision": 1, "nextSince": "1", "contents": {}}

    async def beat(self, revision: int, waiting: int, problem: str | None) -> dict[str, Any]:
        return {"state": "active", "revision": 1, "wanted": []}

    async def needed(self, shas: Iterable[str]) -> list[str]:
        return [sha for sha in shas if sha not in self.put_shas]

    async def put_many(self, contents: dict[str, bytes]) -> None:
        self.put_shas += contents

    async def put(self, sha: str, size: int, pieces: Iterable[bytes]) -> None:
        self.asked.set()
        await self.flows.wait()
        assert hashlib.sha256(b"".join(pieces)).hexdigest() == sha
        self.put_shas.append(sha)

    async def commit(self, batch: str, changes: Sequence[PathChange], *, known: bool = False) -> dict[str, Any]:
        self.committed += [change.path for change in changes]
        return {"revision": 1 + len(self.committed), "other": []}

    @asynccontextmanager
    async def stream(self, sha: str) -> AsyncIterator[AsyncIterator[bytes]]:
        async def pieces() -> AsyncIterator[bytes]:
            self.asked.set()
            await self.flows.wait()
            yield LARGE

        assert sha == SHA
        yield pieces()


async def came(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE):
        await event.wait()


async def becomes(is_so: Callable[[], bool]) -> None:
    assert await asyncio.to_thread(until, is_so)


@asynccontextmanager
async def agent_of(path: Path, link: LargeLinkOfTest) -> AsyncIterator[None]:
    folder = NodeFolder(str(path))
    running = asyncio.create_task(NodeAgent(folder, cast(Any, link)).run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        folder.close()
    assert list((path / ".filestore" / "tmp").iterdir()) == []


def test_edits_are_committed_while_a_large_content_comes(tmp_path: Path) -> None:
    async def story() -> None:
        link = LargeLinkOfTest(
            {"kind": "put", "path": "large", "entryKind": "file", "mode": 0o644, "sha": SHA, "sizeBytes": len(LARGE),
             "revision": 1},
        )  # fmt: skip
        async with agent_of(tmp_path, link):
            await came(link.asked)
            (tmp_path / "edit").write_bytes(b"1")
            await becomes(lambda: link.committed == [b"edit"])
            assert not (tmp_path / "large").exists()
            link.flows.set()
            await becomes((tmp_path / "large").exists)
        assert (tmp_path / "large").read_bytes() == LARGE and link.committed == [b"edit"]

    asyncio.run(story())


def test_edits_are_committed_while_a_large_content_is_sent(tmp_path: Path) -> None:
    async def story() -> None:
        link = LargeLinkOfTest()
        (tmp_path / "large").write_bytes(LARGE)
        async with agent_of(tmp_path, link):
            await came(link.asked)
            (tmp_path / "edit").write_bytes(b"1")
            await becomes(lambda: link.committed == [b"edit"])
            link.flows.set()
            await becomes(lambda: link.committed == [b"edit", b"large"])
        assert link.put_shas.count(SHA) == 1

    asyncio.run(story())


def test_what_is_not_wanted_any_more_goes_on_no_further(tmp_path: Path) -> None:
    async def story() -> None:
        link = LargeLinkOfTest()
        (tmp_path / "large").write_bytes(LARGE)
        async with agent_of(tmp_path, link):
            await came(link.asked)
            (tmp_path / "large").unlink()
            (tmp_path / "edit").write_bytes(b"1")
            await becomes(lambda: link.committed == [b"edit"])
            link.flows.set()
        assert SHA not in link.put_shas

    asyncio.run(story())


def test_few_travel_at_once_and_what_came_in_vain_is_dropped() -> None:
    async def story() -> None:
        begun, dropped, flows = list[int](), list[int](), asyncio.Event()
        arrived = asyncio.Event()
        travels: Travels[int, int] = Travels(arrived.set, dropped.append)

        async def carry(number: int) -> int:
            begun.append(number)
            await flows.wait()
            return number

        def look(number: int) -> int | None:
            return travels.taken(number, "sha", lambda: carry(number))

        assert [look(number) for number in range(AT_ONCE + 2)] == [None] * (AT_ONCE + 2)
        flows.set()
        await came(arrived)
        await asyncio.sleep(0)
        assert begun == list(range(AT_ONCE)) and look(0) == 0 and look(AT_ONCE) is None
        travels.only({AT_ONCE: "sha"})
        await travels.close()
        assert sorted(dropped) == list(range(1, AT_ONCE))

    asyncio.run(story())


def test_what_breaks_off_begins_anew_by_itself() -> None:
    async def story() -> None:
        arrived, tried = asyncio.Event(), list[int]()
        travels: Travels[str, int] = Travels(arrived.set)

        async def broken() -> int:
            tried.append(1)
            if len(tried) == 1:
                raise ServiceSilent("it broke off")
            assert travels.problem == "it broke off"
            return 7

        assert travels.came("a", "sha", broken) is None
        await came(arrived)
        assert (travels.came("a", "sha", broken), len(tried), travels.problem) == (7, 2, None)
        await travels.close()

    asyncio.run(story())
