"""Tenants on one real NATS: each has an account of its own, and a reader of one project gets nothing else."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest

from activities.sync.hot import HotMissing, HotUnavailable
from activities.sync.nats.accounts import NatsAccounts, NatsUser
from activities.sync.nats.audit import SHORTENS
from activities.sync.nats.link import NatsLink, Refusal, presented
from activities.sync.nats.store import NatsHot, readable
from activities.sync.nats.tenants import HotAccounts
from tests.sync.nats_server import NatsServer

ACCOUNTS = NatsAccounts(b"a secret of the tests")
CONTENT = b"content"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    folder: Path = tmp_path_factory.mktemp("accounts")
    server = NatsServer(folder, ACCOUNTS.settings(str(folder / "data/accounts"))).start()
    yield server
    server.kill()


@pytest.fixture
async def hots(server: NatsServer) -> AsyncIterator[HotAccounts]:
    made = HotAccounts(server.url, ACCOUNTS)
    yield made
    await made.close()


async def refused(server: NatsServer, user: NatsUser, asks: list[str], hears: list[str]) -> int:
    """How many of these requests and subscriptions the server refuses."""
    errors: list[str] = []

    async def told(error: Exception) -> None:
        errors.append(str(error))

    client = await nats.connect(server.url, allow_reconnect=False, error_cb=told, **presented(user))
    for subject in asks:
        await client.publish(subject, b"{}")
    for subject in hears:
        await client.subscribe(subject)
    await client.flush()
    await client.flush()  # what was refused is told of before the second answer, whatever the loop has to do
    await client.close()
    return sum("permissions violation" in error.lower() for error in errors)


async def test_what_one_tenant_has_another_can_not_name(hots: HotAccounts) -> None:
    project = uuid.uuid4().hex
    await hots.of("one").put(project, SHA, CONTENT)
    assert await hots.of("one").get(project, SHA, len(CONTENT)) == CONTENT
    with pytest.raises(HotMissing):
        await hots.of("two").get(project, SHA, len(CONTENT))
    await hots.of("two").put(project, SHA, CONTENT)
    await hots.of("two").drop(project)
    assert await hots.of("one").get(project, SHA, len(CONTENT)) == CONTENT, "the same names are other streams"
    heard: list[str] = []
    await hots.of("two").ring(heard.append)
    await hots.of("one").point("one", "p", project, 1, SHA)
    await hots.of("two").point("two", "p", "mine", 1, SHA)
    for _ in range(100):
        if heard:
            break
        await asyncio.sleep(0.05)
    assert heard == ["mine"]


async def test_a_reader_of_a_project_reads_it_and_nothing_else(hots: HotAccounts, server: NatsServer) -> None:
    mine, other = uuid.uuid4().hex, uuid.uuid4().hex
    large = CONTENT * 50_000
    large_sha = hashlib.sha256(large).hexdigest()
    for project in (mine, other):
        await hots.of("one").put(project, SHA, CONTENT)
        await hots.of("one").put(project, large_sha, large)
    streams, subjects = readable("one", "name", mine)
    user = ACCOUNTS.reader("one", "reader", streams, subjects, 60)
    reader = NatsHot(NatsLink(server.url, user=lambda: user))
    assert await reader.get(mine, SHA, len(CONTENT)) == CONTENT
    assert await reader.get(mine, large_sha, len(large)) == large
    await reader.close()
    assert (
        await refused(server, user, [f"$JS.API.DIRECT.GET.HOT_{mine}"], [f"fs.commits.{mine}", f"{user.inbox}.x"]) == 0
    )
    asks = [
        f"$JS.API.DIRECT.GET.HOT_{other}", f"$JS.API.DIRECT.GET.OBJ_fs_{other}", f"hot.{mine}.{SHA}", f"hot.{other}.{SHA}",
        f"$JS.API.STREAM.DELETE.HOT_{mine}", f"$JS.API.STREAM.PURGE.HOT_{mine}", f"$JS.API.STREAM.INFO.HOT_{other}",
        "$JS.API.STREAM.NAMES", f"$JS.API.CONSUMER.CREATE.HOT_{other}", "$SYS.REQ.CLAIMS.UPDATE", f"fs.commits.{mine}",
    ]  # fmt: skip
    assert await refused(server, user, asks, []) == len(asks)
    hears = ["fs.commits.*", f"fs.commits.{other}", "hot.>", "fs.events.>", "_INBOX.>", ">"]
    assert await refused(server, user, [], hears) == len(hears)


async def test_what_was_done_to_projects_can_be_shortened_by_a_break_glass_credential_alone(
    hots: HotAccounts, server: NatsServer
) -> None:
    await hots.of("one").note([("commitProject", "1", b"first"), ("commitProject", "2", b"second")])
    await hots.of("one").note([("commitProject", "2", b"second"), ("pinProjectContents", "3", b"third")])
    assert [entry async for page in hots.of("one").noted() for entry in page] == [b"first", b"second", b"third"]
    await hots.introduce("two")
    streams, subjects = readable("one", "name", uuid.uuid4().hex)
    reader, glass = ACCOUNTS.reader("one", "reader", streams, subjects, 60), ACCOUNTS.break_glass("one", 60)
    for user in (ACCOUNTS.service("one"), reader):
        assert await refused(server, user, list(SHORTENS), []) == len(SHORTENS)
    assert (
        await refused(
            server, ACCOUNTS.break_glass("two", 60), ["hot.x", "fs.audit.x", "$JS.API.STREAM.DELETE.OTHER"], []
        )
        == 3
    )
    link = NatsLink(server.url, user=lambda: glass)
    for request, body in (("PURGE", {}), ("MSG.DELETE", {"seq": 1})):
        with pytest.raises(Refusal):
            await link.api(f"STREAM.{request}.FS_AUDIT", **body)  # the stream itself refuses
    assert len([entry async for page in hots.of("one").noted() for entry in page]) == 3
    await link.api("STREAM.DELETE.FS_AUDIT")
    assert [page async for page in hots.of("one").noted()] == []
    await link.close()


async def test_a_user_of_another_secret_or_one_whose_time_is_over_is_not_let_in(server: NatsServer) -> None:
    stranger = HotAccounts(server.url, NatsAccounts(b"another secret"))
    with pytest.raises(HotUnavailable):
        await stranger.of("one").put(uuid.uuid4().hex, SHA, CONTENT)
    await stranger.close()
    late = ACCOUNTS.reader("one", "late", (), (), -10)
    with pytest.raises(HotUnavailable):
        await NatsLink(server.url, user=lambda: late).client()


async def test_a_tenant_has_so_much_of_the_disk(server: NatsServer) -> None:
    hots = HotAccounts(server.url, NatsAccounts(b"a secret of the tests", disk_bytes=200_000))
    project = uuid.uuid4().hex
    await hots.introduce("small")
    with pytest.raises(HotUnavailable):
        for number in range(10):
            content = b"%d" % number + bytes(50_000)
            await hots.of("small").put(project, hashlib.sha256(content).hexdigest(), content)
    await hots.close()


async def test_a_server_that_forgot_the_accounts_is_told_again(hots: HotAccounts, server: NatsServer) -> None:
    project = uuid.uuid4().hex
    await hots.of("one").put(project, SHA, CONTENT)
    server.wipe()
    for _ in range(200):
        try:
            await hots.of("one").put(project, SHA, CONTENT)
            break
        except HotUnavailable:
            await asyncio.sleep(0.1)
    assert await hots.of("one").get(project, SHA, len(CONTENT)) == CONTENT
