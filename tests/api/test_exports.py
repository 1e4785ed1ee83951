"""Every list can be had whole: as JSON lines it is what its pages have, one after the other."""

import csv
import io
import json
from typing import Any

import httpx2
import pytest

from schema.ids import MountId
from schema.store import freezes
from schema.store.freezes import NewFreeze
from tests.api.conftest import FrontOfTest, Tree
from tests.api.test_journal import write
from tests.store.helpers import Protocol, delete, mkdir, upload

LISTS = {
    "/v1/nodes?backendMountId={mount}": ("nodes", 2),
    "/v1/nodes/{root}/children": ("children", 2),
    "/v1/journal?backendMountId={mount}": ("entries", 3),
    "/v1/trash?backendMountId={mount}": ("entries", 1),
    "/v1/backend-mounts": ("mounts", 1),
    "/v1/freeze?past=true": ("freezes", 1),
    "/v1/tree?backendMountId={mount}&path=": ("nodes", 2),
    "/v1/diff?backendMountId={mount}&from=2020-01-01T00:00:00Z": ("differences", 2),
}
EMPTY = [
    "/v1/holds", "/v1/links", "/v1/subscriptions", "/v1/projects", "/v1/approvals", "/v1/drift?backendMountId={mount}",
    "/v1/drift/looks?backendMountId={mount}", "/v1/reconciliation/jobs?backendMountId={mount}",
    "/v1/nodes/{root}/snapshots",
]  # fmt: skip
"""Of these the forms alone are looked at: the pages are the routes' own"""


NEXT = {"cursor": "nextCursor", "before": "nextBefore", "after": "nextAfter", "offset": "nextOffset"}


async def pages(
    client: httpx2.AsyncClient, address: str, asked: dict[str, str], rows: str, limit: int
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    while True:
        answer = await client.get(address, params={**asked, "limit": limit, **more})
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        found += data[rows]
        page = data.get("pagination", {"nextAfter": data.get("next")})
        more = dict([(name, page[given]) for name, given in NEXT.items() if page.get(given) is not None][:1])
        if not more or not data[rows] or page.get("more") is False or data.get("next", -1) >= data.get("last", 0) > 0:
            return found


@pytest.mark.parametrize("address", LISTS)
async def test_a_whole_list_is_what_its_pages_have(
    client: httpx2.AsyncClient, front: FrontOfTest, tree: Tree, address: str
) -> None:
    (rows, limit), protocol = LISTS[address], Protocol(front.pool)
    mount = MountId(tree.mount)
    await protocol.run(mount, mkdir(mount, "exported"), *[upload(mount, f"file {n}") for n in range(4)])
    await protocol.run(mount, delete(mount, "file 1"), delete(mount, "file 2"))
    for name in ("a", "b", "c"):
        await tree.file(name)
    await write(tree, before='{"big": 123456789012345678901234567890}')
    async with front.pool.connection() as connection, connection.transaction():
        new = NewFreeze(
            tenant="main", principal="ann", mount=None, reason="r", until=None, key=f"export {mount} {address}"
        )
        made = await freezes.create(connection, new)
        assert made is not None
        await freezes.lift(connection, made[0], "main", "ann")
    address, _, query = address.format(mount=mount, root=tree.root).partition("?")
    params = dict(one.split("=") for one in query.split("&") if one)
    expected = await pages(client, address, params, rows, limit)
    assert len(expected) > 0
    lines = await client.get(address, params=params | {"format": "jsonl"})
    told = [json.loads(line) for line in lines.text.splitlines()]
    # When totals were calculated is now, where none were kept.
    assert [one | {"rollup": None} for one in told] == [one | {"rollup": None} for one in expected]
    table = await client.get(address, params=params, headers={"Accept": "text/csv"})
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    head, *cells = csv.reader(io.StringIO(table.text, newline=""))
    assert set(expected[0]) <= set(head) and len(cells) == len(expected)
    first = dict(zip(head, cells[0], strict=True))
    for name, value in expected[0].items():
        assert first[name] == ("" if value is None else value if isinstance(value, str) else first[name])
    refused = await client.get(address, params=params | {"format": "xml"})
    assert refused.status_code == 400 and refused.json()["error"]["code"] == "INVALID_REQUEST"


async def test_a_list_that_has_nothing_is_a_head_or_no_line(front: FrontOfTest, tree: Tree) -> None:
    async with front.client(await front.token("admin", tenant="main")) as client:
        for address in (one.format(mount=tree.mount, root=tree.root) for one in EMPTY):
            lines = await client.get(address, headers={"Accept": "application/x-ndjson"})
            table = await client.get(address, params=[*httpx2.URL(address).params.items(), ("format", "csv")])
            assert (lines.status_code, lines.headers["content-type"]) == (200, "application/jsonl"), address
            rows = [*csv.reader(io.StringIO(table.text, newline=""))]
            assert len(rows) == 1 + len(lines.text.splitlines()) and len(rows[0]) > 2, address
