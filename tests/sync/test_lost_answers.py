"""An answer to a commit that is lost, or whose reader dies, makes no conflict of a node with itself and brings nothing back."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from schema.sync.changes import PathChange
from tests.fix_service import MountOfTest, Service
from tests.sync.agents import tree_of
from tests.sync.test_projects import ProjectOfTest, sha_of
from workers.syncing.agent import NodeAgent
from workers.syncing.folder import NodeFolder
from workers.syncing.link import ServiceLink, ServiceRefuses, ServiceSilent


class LosingLink(ServiceLink):
    """The first commit has no answer. `goes_on`: the node hears of the loss."""

    arrives, goes_on, folder = "", True, Path()

    def __init__(self, *where: str) -> None:
        super().__init__(*where)
        self.lost = asyncio.Event()

    async def commit(self, batch: str, changes: Sequence[PathChange], *, known: bool = False) -> dict[str, Any]:
        if self.lost.is_set():
            try:
                return await super().commit(batch, changes, known=known)
            finally:
                if known and self.arrives == "later":
                    with pytest.raises(ServiceRefuses):
                        await super().commit(batch, changes)
        if self.arrives == "was carried out":
            await super().commit(batch, changes)
        (self.folder / "renamed").rename(self.folder / "other")
        (self.folder / "edited").write_bytes(b"second")
        (self.folder / "deleted").unlink()
        self.lost.set()
        if not self.goes_on:
            await asyncio.Event().wait()
        raise ServiceSilent("the answer is lost")


def shown(project: ProjectOfTest) -> dict[str, str]:
    return {one["name"]: one["sha"] for one in project.call("GET", "/tree")["data"]["entries"]}


async def until(condition: Callable[[], bool], task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(condition):
            assert not task.done(), task.result()
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running(folder: Path, link: ServiceLink) -> AsyncIterator[asyncio.Task[None]]:
    opened = NodeFolder(str(folder))
    task = asyncio.create_task(NodeAgent(opened, link).run())
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await link.close()
    opened.close()


@pytest.mark.parametrize("goes_on", [True, False], ids=["goes on", "dies"])
@pytest.mark.parametrize("arrives", ["was carried out", "did not arrive", "later"])
async def test_what_was_changed_since_a_commit_without_an_answer_is_changed_from_there(
    service: Service, mount: MountOfTest, tmp_path: Path, arrives: str, goes_on: bool
) -> None:
    project = await asyncio.to_thread(ProjectOfTest, service, mount)
    first = tmp_path / "first"
    first.mkdir()
    for name in ("renamed", "edited", "deleted"):
        (first / name).write_bytes(name.encode())
    link = LosingLink(service.url, service.token, project.name, "n")
    link.arrives, link.goes_on, link.folder = arrives, goes_on, first
    async with running(first, link) as task:
        await asyncio.wait_for(link.lost.wait(), 60)
        if goes_on:
            await ends_well(project, first, task)
        else:  # what is on the disk now is all that one who is killed leaves
            shutil.copytree(first, tmp_path / "again")
    if not goes_on:
        again = ServiceLink(service.url, service.token, project.name, "n")
        async with running(tmp_path / "again", again) as task:
            await ends_well(project, tmp_path / "again", task)


async def ends_well(project: ProjectOfTest, folder: Path, task: asyncio.Task[None]) -> None:
    wanted = {"edited": sha_of(b"second"), "other": sha_of(b"renamed")}
    await until(lambda: shown(project) == wanted, task)
    revision = (await asyncio.to_thread(project.shown))["revision"]
    await asyncio.to_thread(project.commit, {"kind": "mkdir", "path": "last"})
    await until((folder / "last").is_dir, task)
    assert set(await asyncio.to_thread(tree_of, folder)) == {"edited", "last", "other"}
    end = await asyncio.to_thread(project.shown)
    assert (end["revision"], end["conflicts"]) == (revision + 1, 0)
