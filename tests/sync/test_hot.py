"""The hot store on a real NATS: contents come back as they were put, once however often, and none that is not whole."""

import asyncio
import hashlib
import json
import os
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest
from nats.aio.msg import Msg

from activities.sync.hot import SMALL_MAX, HotMissing, HotUnavailable
from activities.sync.nats.link import NatsLink, status_of
from activities.sync.nats.store import CHUNK, NatsHot
from tests.sync.nats_server import NatsServer


def named(content: bytes) -> tuple[str, bytes]:
    return hashlib.sha256(content).hexdigest(), content


async def in_pieces(content: bytes, length: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), length):
        yield content[start : start + length]


async def read(hot: NatsHot, project: str, sha: str, size: int) -> bytes:
    return b"".join([piece async for piece in hot.pieces(project, sha, size)])


@pytest.mark.parametrize("size", [0, 1, SMALL_MAX, SMALL_MAX + 1, CHUNK * 5, CHUNK * 40 + 7])
async def test_a_content_comes_back_as_it_was(hot: NatsHot, size: int) -> None:
    project, (sha, content) = uuid.uuid4().hex, named(os.urandom(size))
    await hot.put(project, sha, content)
    assert await hot.get(project, sha, size) == content
    assert await read(hot, project, sha, size) == content
    assert await hot.has(project, {sha: size, "0" * 64: size}) == {sha}


async def test_many_small_contents_are_put_and_read_together(hot: NatsHot) -> None:
    project = uuid.uuid4().hex
    contents = dict(named(b"content %d" % number) for number in range(3000))
    await hot.put_many(project, contents)
    await hot.put_many(project, contents)
    assert await hot.get_many(project, [*contents, "0" * 64]) == contents


async def test_events_are_told_in_their_order_and_once_however_often(hot: NatsHot, nats_server: NatsServer) -> None:
    subject = f"fs.events.test.{uuid.uuid4().hex}"
    told = [(subject, f"{subject}/{number}", {"number": number}) for number in range(300)]
    await hot.tell(told[:200])
    await hot.tell(told[100:])
    await hot.tell(told[50:70])
    link, asked = NatsLink(nats_server.url), {"seq": 1, "batch": 1000, "next_by_subj": subject}
    with pytest.raises(HotUnavailable):
        await hot.tell([(subject, f"{subject}/lost", {}), told[10], (subject, f"{subject}/behind it", {})])
    messages = link.messages("$JS.API.DIRECT.GET.FS_EVENTS", json.dumps(asked).encode())
    found = [json.loads(message.data) async for message in _until_status(messages)]
    assert found == [event for _, _, event in told] + [{}], "what is behind one that is not the last is not taken"
    await link.close()


async def _until_status(messages: AsyncGenerator[Msg]) -> AsyncIterator[Msg]:
    async with aclosing(messages) as all_of_them:
        async for message in all_of_them:
            if status_of(message):
                return
            yield message


async def test_of_many_that_put_one_large_content_one_stays(hot: NatsHot, nats_server: NatsServer) -> None:
    project, (sha, content) = uuid.uuid4().hex, named(os.urandom(SMALL_MAX * 3))
    await asyncio.gather(*(hot.put_pieces(project, sha, len(content), in_pieces(content)) for _ in range(8)))
    assert await hot.get(project, sha, len(content)) == content
    link = NatsLink(nats_server.url)
    info = await link.api(f"STREAM.INFO.OBJ_fs_{project}", subjects_filter=">")
    await link.close()
    assert sorted(subject.split(".")[2] for subject in info["state"]["subjects"]) == ["C", "M"], (
        "no chunks are left over"
    )


async def test_a_content_that_is_not_what_its_name_says_is_not_there(hot: NatsHot) -> None:
    project, (sha, content) = uuid.uuid4().hex, named(os.urandom(SMALL_MAX * 2))
    with pytest.raises(ValueError, match="not what its name says"):
        await hot.put_pieces(project, sha, len(content), in_pieces(content[:-1] + b"x"))
    assert await hot.has(project, {sha: len(content)}) == set()


@pytest.mark.parametrize("size", [10, SMALL_MAX * 3])
async def test_what_was_deleted_is_missing_and_can_be_put_again(hot: NatsHot, size: int) -> None:
    project, (sha, content) = uuid.uuid4().hex, named(os.urandom(size))
    await hot.put(project, sha, content)
    await hot.delete(project, sha, size)
    await hot.delete(project, sha, size)
    with pytest.raises(HotMissing):
        await hot.get(project, sha, size)
    await hot.put(project, sha, content)
    assert await hot.get(project, sha, size) == content


async def test_a_large_content_that_lost_chunks_is_missing_and_hangs_no_reader(
    hot: NatsHot, nats_server: NatsServer
) -> None:
    project, (sha, content) = uuid.uuid4().hex, named(os.urandom(CHUNK * 6))
    await hot.put(project, sha, content)
    link = NatsLink(nats_server.url)
    await link.api(f"STREAM.PURGE.OBJ_fs_{project}", filter=f"$O.fs_{project}.C.>", keep=2)
    await link.close()
    with pytest.raises(HotMissing):
        await hot.get(project, sha, len(content))


async def test_a_pointer_never_goes_back_and_rings(hot: NatsHot, nats_server: NatsServer) -> None:
    project, heard = uuid.uuid4().hex, asyncio.Queue[str]()
    listener = NatsHot(NatsLink(nats_server.url))
    await listener.ring(heard.put_nowait)
    await hot.point("main", "a name", project, 2, "b" * 64)
    await hot.point("main", "a name", project, 1, "a" * 64)
    assert await asyncio.wait_for(heard.get(), 10) == project
    link = NatsLink(nats_server.url)
    message = await link.ask("$JS.API.DIRECT.GET.KV_fs_index.$KV.fs_index.projects/a=20=name/current")
    await link.close()
    await listener.close()
    assert json.loads(message.data) == {"manifest_sha": "b" * 64, "rev": 2, "project": project}


async def test_a_server_that_was_killed_or_wiped_is_used_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = NatsServer(tmp_path_factory.mktemp("own")).start()
    hot = NatsHot(NatsLink(server.url))
    project, (sha, content), (large_sha, large) = uuid.uuid4().hex, named(b"content"), named(os.urandom(SMALL_MAX + 1))

    async def write() -> None:
        """Something into each of its streams."""
        await hot.put(project, sha, content)
        await hot.put_pieces(project, large_sha, len(large), in_pieces(large))
        await hot.tell([("fs.events.x", str(uuid.uuid4()), {})])
        await hot.note([("x", str(uuid.uuid4()), b"{}")])
        await hot.point("main", "p", project, 1, "a" * 64)

    try:
        await write()
        server.kill()
        with pytest.raises(HotUnavailable):
            await hot.get(project, sha, len(content))
        server.start()
        await _until_it_answers(hot, project)
        assert await hot.get(project, sha, len(content)) == content
        server.wipe()
        await _until_it_answers(hot, project)
        assert await hot.has(project, {sha: len(content), large_sha: len(large)}) == set()
        await write()
        assert await hot.get(project, sha, len(content)) == content
        assert await hot.get(project, large_sha, len(large)) == large
    finally:
        await hot.close()
        server.kill()


async def _until_it_answers(hot: NatsHot, project: str) -> None:
    for _ in range(200):
        try:
            await hot.has(project, {"0" * 64: 1})
        except HotUnavailable:
            await asyncio.sleep(0.1)
        else:
            return
    raise AssertionError("the hot store does not come back")
