"""Mounts of a configuration file: registered once; then they follow it, and never to a place that is not theirs."""

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from api.mounts.configured import follow_configured, register_configured
from schema import errors
from schema.mounts import Mount
from schema.store import mounts
from tests.api.conftest import FrontOfTest
from tests.fix_keys import KEYS


def local(folder: Path, **more: Any) -> dict[str, Any]:
    return {"mountKey": f"k-{uuid.uuid4().hex[:8]}", "backendKind": "local", "rootPath": str(folder), **more}


def untouched(folder: Path) -> bool:
    return not list(folder.iterdir())


async def followed(front: FrontOfTest, entry: object) -> Mount:
    """As the API process does at its start."""
    services = front.services
    return await register_configured(services.settings, services.pool, services.executors, KEYS, entry)


async def shown(front: FrontOfTest, mount: Mount) -> dict[str, Any]:
    async with front.pool.connection() as connection:
        text = await mounts.show(connection, mount.id, "main")
    assert text is not None
    answer: dict[str, Any] = json.loads(text)
    return answer


async def test_a_mount_is_registered_once_and_stays_as_it_is_while_its_entry_does(
    front: FrontOfTest, tmp_path: Path
) -> None:
    entry = local(tmp_path, labels=["a"], config={"accessKeyId": "k", "note": 1})
    first = await followed(front, entry)
    before = await shown(front, first)
    assert await followed(front, entry) == first
    assert await shown(front, first) == before


@pytest.mark.parametrize("bad", [{}, [], "x", None, {"mountKey": "m", "backendKind": "local", "rootPath": "relative"}])
async def test_an_entry_that_can_not_be_read_is_refused(front: FrontOfTest, bad: object) -> None:
    with pytest.raises(errors.InvalidRequest):
        await followed(front, bad)


async def test_what_the_file_says_is_followed_and_what_it_leaves_open_stays(front: FrontOfTest, tmp_path: Path) -> None:
    entry = local(tmp_path, displayName="One", labels=["a"], config={"note": 1, "secretAccessKey": "old"})
    mount = await followed(front, entry)
    async with front.pool.connection() as connection:
        await mounts.update(connection, mount.id, {"state": "inactive", "contact": "a person"})

    after = await followed(
        front, {**entry, "displayName": "Two", "labels": ["b"], "config": {"note": 2, "secretAccessKey": "new"}}
    )

    now = await shown(front, mount)
    assert (now["displayName"], now["labels"], now["config"]) == ("Two", ["b"], {"note": 2})
    assert (now["state"], now["contact"]) == ("inactive", "a person")
    assert KEYS.opened(after).secrets == {"secretAccessKey": "new"}
    assert after.epoch == mount.epoch + 1
    assert await followed(front, {"mountKey": mount.mount_key, "backendKind": "local"}) == after


async def test_a_folder_that_was_moved_is_followed_by_its_sentinel(front: FrontOfTest, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    entry = local(old)
    mount = await followed(front, entry)
    new = old.rename(tmp_path / "new")

    after = await followed(front, {**entry, "rootPath": str(new)})

    assert (after.root_path, after.epoch) == (str(new), mount.epoch + 1)


async def test_a_folder_without_the_sentinel_is_refused_and_nothing_is_written_there(
    front: FrontOfTest, tmp_path: Path
) -> None:
    mine, others = tmp_path / "mine", tmp_path / "others"
    mine.mkdir()
    others.mkdir()
    entry = local(mine)
    mount = await followed(front, entry)
    before = await shown(front, mount)

    with pytest.raises(errors.MountOffline):
        await followed(front, {**entry, "rootPath": str(others)})

    assert await shown(front, mount) == before
    assert untouched(others)


async def test_the_folder_of_another_mount_is_refused(front: FrontOfTest, tmp_path: Path) -> None:
    mine, others = tmp_path / "mine", tmp_path / "others"
    mine.mkdir()
    others.mkdir()
    entry = local(mine)
    mount = await followed(front, entry)
    await followed(front, local(others))
    before = await shown(front, mount)

    with pytest.raises(errors.MountOffline):
        await followed(front, {**entry, "rootPath": str(others)})

    assert await shown(front, mount) == before


@pytest.mark.parametrize("wrong", [{"backendKind": "s3", "bucket": "bucket"}, {"rootPath": "relative"}])
async def test_an_entry_that_no_longer_fits_its_mount_leaves_the_row_and_says_so(
    front: FrontOfTest, tmp_path: Path, wrong: dict[str, str]
) -> None:
    entry = local(tmp_path)
    mount = await followed(front, entry)
    before = await shown(front, mount)
    with pytest.raises(errors.MountOffline, match="configuration file says"):
        await followed(front, {**entry, **wrong})
    assert await shown(front, mount) == before


async def test_other_processes_follow_and_make_nothing(front: FrontOfTest, tmp_path: Path) -> None:
    services, entry = front.services, local(tmp_path)

    async def seen(entry: object) -> Mount | None:
        return await follow_configured(services.settings, services.pool, services.executors.prove, KEYS, entry)

    assert await seen(entry) is None
    assert untouched(tmp_path)
    mount = await followed(front, entry)
    after = await seen({**entry, "displayName": "Two"})
    assert after == mount and (await shown(front, mount))["displayName"] == "Two"


async def test_a_mount_of_another_host_is_left_to_that_host(front: FrontOfTest, tmp_path: Path) -> None:
    services, entry = front.services, local(tmp_path)
    mount = await followed(front, entry)
    before = await shown(front, mount)
    elsewhere = services.settings.model_copy(update={"host_id": "another"})
    changed = {**entry, "displayName": "Two", "rootPath": "/nowhere"}
    assert await follow_configured(elsewhere, services.pool, services.executors.prove, KEYS, changed) == mount
    assert await shown(front, mount) == before


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[str]]]:
    """A server that knows no bucket of ours: its address, and the requests that arrive."""
    arrived: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            arrived.append(self.requestline)
            self.send_response(404)
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", arrived
    server.shutdown()
    server.server_close()


async def test_an_endpoint_without_the_sentinel_gets_a_read_and_nothing_else(
    front: FrontOfTest, stranger: tuple[str, list[str]]
) -> None:
    url, arrived = stranger
    front.disks.reaches = True
    account = {"region": "us-east-1", "accessKeyId": "k", "secretAccessKey": "s"}
    entry = {"mountKey": f"k-{uuid.uuid4().hex[:8]}", "backendKind": "s3", "bucket": "bucket", "prefix": "p"}
    mount = await followed(front, {**entry, "config": {**account, "endpoint": "http://127.0.0.1:1"}})
    before = await shown(front, mount)

    with pytest.raises(errors.MountOffline, match="sentinel"):
        await followed(front, {**entry, "config": {**account, "endpoint": url}})

    assert await shown(front, mount) == before
    assert [line.split()[0] for line in arrived] == ["GET"]
