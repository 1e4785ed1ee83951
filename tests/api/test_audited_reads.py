"""Reads of content and of the journal stand in the journal: all, a share, or none."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

from api.access.audited import AuditedReads
from schema.access.acts import ActKind, AdministrativeAct
from schema.errors import Unavailable
from schema.principals import Principal
from tests.api.conftest import FrontOfTest, Tree

ANN = Principal("ann", "main", 0)
ACT = AdministrativeAct(kind=ActKind.READ_JOURNAL, tenant="main", by=ANN)


@pytest.fixture
def audited(front: FrontOfTest) -> Callable[[float], AuditedReads]:
    def switch(share: float) -> AuditedReads:
        made = front.app.state.audited = AuditedReads(front.pool, share)
        return made

    return switch


@pytest.fixture
async def reader(front: FrontOfTest) -> AsyncIterator[httpx2.AsyncClient]:
    async with front.client(await front.token("read", principal="reader")) as client:
        yield client


async def entries(front: FrontOfTest, tree: Tree, kind: str) -> list[dict[str, Any]]:
    query = "SELECT principal, payload, outcome::text FROM filestore.journal_entries WHERE kind = %s AND mount_id = %s ORDER BY id"
    async with front.pool.connection() as connection:
        return [dict(row) for row in await (await connection.execute(query, [kind, tree.mount])).fetchall()]


async def test_where_all_are_audited_each_stands_there_before_it_is_answered(
    front: FrontOfTest, tree: Tree, reader: httpx2.AsyncClient, audited: Callable[[float], AuditedReads]
) -> None:
    file = await tree.file("f", b"content")
    audited(1.0)
    address = f"/v1/files/{file}/content"
    whole = await reader.get(address)
    assert whole.content == b"content"
    etag = whole.headers["etag"]
    assert (await reader.get(address, headers={"range": "bytes=0-2"})).status_code == 206
    assert (await reader.get(address, headers={"if-none-match": etag})).status_code == 304
    assert (await reader.head(address)).status_code == 200
    found = await entries(front, tree, "readContent")
    assert [one["payload"]["ranges"] for one in found] == [[], [[0, 3]]], "what sends no content is no read of it"
    assert {one["principal"] for one in found} == {"reader"} and found[0]["payload"]["path"] == "f"
    assert (await reader.get("/v1/journal", params={"backendMountId": tree.mount, "limit": 5})).status_code == 200
    [read] = await entries(front, tree, "readJournal")
    assert read["payload"]["asked"] == {"backendMountId": tree.mount, "limit": 5}


async def test_they_are_shown_to_who_may_audit(
    front: FrontOfTest, tree: Tree, reader: httpx2.AsyncClient, admin: httpx2.AsyncClient,
    audited: Callable[[float], AuditedReads],
) -> None:  # fmt: skip
    file = await tree.file("f", b"content")
    audited(1.0)
    await reader.get(f"/v1/files/{file}/content")
    audited(0.0)
    asked: dict[str, Any] = {"command": "readContent", "backendMountId": tree.mount}
    assert len((await admin.get("/v1/journal", params=asked)).json()["data"]["entries"]) == 1
    assert (await reader.get("/v1/journal", params=asked)).json()["data"]["entries"] == []
    history = await admin.get("/v1/journal", params={"backendMountId": tree.mount})
    assert "readContent" not in history.text, "they are no part of the history of a mount's files"


async def test_a_read_that_can_not_be_written_down_is_refused(
    front: FrontOfTest, tree: Tree, reader: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch,
    audited: Callable[[float], AuditedReads],
) -> None:  # fmt: skip
    file = await tree.file("f", b"content")
    audited(1.0)

    async def fails(*_: object) -> None:
        raise OSError("Postgres is away")

    monkeypatch.setattr("api.access.audited.acts.record_all", fails)
    answer = await reader.get(f"/v1/files/{file}/content")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE") and answer.content != b"content"
    assert (await reader.get("/v1/journal")).status_code == 503
    audited(0.5)
    assert (await reader.get(f"/v1/files/{file}/content")).status_code == 200, "of a share none waits"


async def test_of_a_share_about_so_many_are_noted_and_none_of_no_share(front: FrontOfTest, tree: Tree) -> None:
    none, some = AuditedReads(front.pool, 0.0), AuditedReads(front.pool, 0.3)
    for _ in range(1000):
        await none.note(ACT)
        await some.note(ACT)
    assert not none._waiting and 200 < len(some._waiting) < 400


async def test_those_that_come_together_are_written_together(
    front: FrontOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    async def record_all(connection: object, some: list[AdministrativeAct]) -> None:
        sizes.append(len(some))

    monkeypatch.setattr("api.access.audited.acts.record_all", record_all)
    audited = AuditedReads(front.pool, 1.0)
    await asyncio.gather(*(audited.note(ACT) for _ in range(100)))
    assert sum(sizes) == 100 and len(sizes) < 10


async def test_no_more_wait_in_memory_than_there_is_room_for(
    front: FrontOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.access.audited.WAITING_MAX", 3)

    async def fails(*_: object) -> None:
        raise OSError("Postgres is away")

    monkeypatch.setattr("api.access.audited.acts.record_all", fails)
    audited = AuditedReads(front.pool, 0.999999)
    for _ in range(10):
        await audited.note(ACT)
    assert len(audited._waiting) == 3
    with pytest.raises(Unavailable):
        await AuditedReads(front.pool, 1.0).note(ACT)


async def test_only_operators_prove_the_journal(front: FrontOfTest, admin: httpx2.AsyncClient) -> None:
    answer = await admin.get("/v1/audit/verify")
    assert answer.status_code == 200, answer.text
    # Tests of the record change rows behind the journal's back: whether it is whole is asked in tests/store/test_audit.py.
    assert answer.json()["data"]["ok"] in (True, False) and answer.json()["data"]["nextCursor"] is None
    assert (await admin.get("/v1/audit/verify", params={"cursor": "x"})).status_code == 400
    async with front.client(await front.token("admin", tenant="other")) as other:
        assert (await other.get("/v1/audit/verify")).status_code == 403
