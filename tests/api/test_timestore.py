"""The Timestore over HTTP: forms of answers, who may ask, and what is refused. The numbers are proven in tests/store."""

import csv
import io
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
import pytest_asyncio

from activities.consumers.lake import Lake, LakePlace
from activities.consumers.timestore import table
from api.timestore.chart import ChartLine, bars, lines, short
from api.timestore.queries import ActivityQuery
from api.timestore.readers import Readers
from schema.errors import InvalidRequest
from schema.settings import Settings
from tests.api.conftest import FrontOfTest, Tree

NOW = datetime.now(UTC)


@pytest_asyncio.fixture
async def lake(
    front: FrontOfTest, tree: Tree, lake_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FrontOfTest]:
    """A lake with a few events, read by processes as an API process has them."""
    folder, database = str(tmp_path_factory.mktemp("lake")), lake_database
    one = Lake(LakePlace(database, folder, 128 * 2**20))
    data = '{"kind": "file", "nodeId": 7, "path": "a/x", "sizeBytes": 5, "delta": {"sizeBytes": 5, "fileCount": 1}}'
    events = [(n, "filestore.node.created", "main", tree.mount, NOW - timedelta(hours=n), data) for n in range(1, 4)]
    one.take(table(events), 0, 3)
    one.close()
    settings = Settings(database_url=database, timestore_path=folder, timestore_seconds=3)  # type: ignore[call-arg]
    front.app.state.readers = Readers(settings)
    yield front
    front.app.state.readers.close()


async def test_every_form_of_an_answer_is_described(lake: FrontOfTest, tree: Tree) -> None:
    paths = lake.app.openapi()["paths"]
    async with lake.client(lake.tokens["read"]) as client:
        for path in ("/v1/timestore/growth", "/v1/timestore/largest"):
            described = paths[path]["get"]["responses"]["200"]["content"]
            for form in ("json", "csv", "arrow", "svg"):
                answer = await client.get(path, params={"backendMountId": tree.mount, "format": form})
                assert answer.headers["content-type"].partition(";")[0] in described, (path, form, answer.text)
    asked_in_sql = paths["/v1/timestore/sql"]["post"]["responses"]["200"]["content"]
    assert set(asked_in_sql) == {"application/json", "text/csv", "application/vnd.apache.arrow.stream"}


async def test_one_question_in_every_form(lake: FrontOfTest, tree: Tree) -> None:
    async with lake.client(lake.tokens["read"]) as client:
        asked: dict[str, Any] = {
            "backendMountId": tree.mount,
            "from": (NOW - timedelta(hours=4)).isoformat(),
            "step": "1h",
        }
        grown = await client.get("/v1/timestore/growth", params=asked)
        assert grown.status_code == 200, grown.text
        series = grown.json()["data"]["series"]
        assert [one["sizeBytes"] for one in series][-1] == 15 and sum(one["deltaFiles"] for one in series) == 3
        rows = list(
            csv.DictReader(
                io.StringIO((await client.get("/v1/timestore/growth", params=asked | {"format": "csv"})).text)
            )
        )
        assert [int(row["sizeBytes"]) for row in rows] == [one["sizeBytes"] for one in series]
        arrow = await client.get(
            "/v1/timestore/growth", params=asked, headers={"accept": "application/vnd.apache.arrow.stream"}
        )
        assert pa.ipc.open_stream(arrow.content).read_all()["sizeBytes"].to_pylist()[-1] == 15
        chart = await client.get("/v1/timestore/growth", params=asked | {"format": "svg"})
        assert chart.headers["content-type"] == "image/svg+xml"
        assert ElementTree.fromstring(chart.text).tag.endswith("svg")
        for name in (
            "churn",
            "hot",
            "principals",
            "commands",
            "failures",
            "lag",
            "forecast",
            "largest",
            "oldest",
            "duplicates",
        ):
            answer = await client.get(f"/v1/timestore/{name}", params={"backendMountId": tree.mount})
            assert answer.status_code == 200, (name, answer.text)
        forecast = (await client.get("/v1/timestore/forecast", params=asked | {"capacityBytes": 1000})).json()["data"][
            "mounts"
        ]
        assert forecast[0]["freeBytes"] == 985 and forecast[0]["fullAt"] > NOW.isoformat()[:10]


async def test_largest_oldest_and_duplicates_are_what_lies_there(lake: FrontOfTest, tree: Tree) -> None:
    await tree.directory("d")
    for path, content in (("d/a", b"same"), ("b", b"same"), ("c", b"longer than that")):
        await tree.file(path, content)
    async with lake.client(lake.tokens["read"]) as client:
        here: dict[str, Any] = {"backendMountId": tree.mount}
        files = (await client.get("/v1/timestore/largest", params=here)).json()["data"]["files"]
        assert [one["path"] for one in files] == ["c", "d/a", "b"]
        below = (await client.get("/v1/timestore/oldest", params=here | {"path": "d"})).json()["data"]["files"]
        assert [one["path"] for one in below] == ["d/a"]
        [twice] = (await client.get("/v1/timestore/duplicates", params=here)).json()["data"]["duplicates"]
        assert (twice["copies"], twice["wastedBytes"], sorted(twice["paths"])) == (2, 4, ["b", "d/a"])


async def test_an_operator_asks_in_sql_and_others_may_not(lake: FrontOfTest) -> None:
    body = {"sql": "SELECT count(*) AS n FROM filestore_activity WHERE size_bytes = $size", "parameters": {"size": 5}}
    async with lake.client(lake.tokens["admin"]) as admin:
        answer = await admin.post("/v1/timestore/sql", json=body)
        assert answer.json() == {"data": {"columns": ["n"], "rows": [[3]], "truncated": False}}
        for wrong in ("SELECT nope FROM filestore_activity", "DROP TABLE x", "SELECT * FROM read_text('/etc/passwd')"):
            refused = await admin.post("/v1/timestore/sql", json={"sql": wrong})
            assert refused.status_code == 400 and refused.json()["error"]["code"] == "INVALID_REQUEST", wrong
    async with lake.client(lake.tokens["write"]) as other:
        assert (await other.post("/v1/timestore/sql", json=body)).status_code == 403


async def test_a_query_that_takes_too_long_is_given_up_and_the_next_one_is_answered(lake: FrontOfTest) -> None:
    async with lake.client(lake.tokens["admin"]) as admin:
        await admin.post("/v1/timestore/sql", json={"sql": "SELECT 1"})
        endless = "SELECT count(*) FROM range(1000000000000) r WHERE hash(r.range) % 11 = 12"
        refused = await admin.post("/v1/timestore/sql", json={"sql": endless})
        assert refused.status_code == 400 and "took longer than 3 s" in refused.json()["error"]["message"]
        assert (await admin.post("/v1/timestore/sql", json={"sql": "SELECT 1 AS a"})).json()["data"]["rows"] == [[1]]


async def test_a_lake_that_is_not_there_yet_is_said(front: FrontOfTest, lake_database: str, tmp_path: Path) -> None:
    front.app.state.readers = Readers(
        Settings(database_url=lake_database, timestore_path=str(tmp_path / "none"))  # type: ignore[call-arg]
    )
    async with front.client(front.tokens["admin"]) as admin:
        answer = await admin.get("/v1/timestore/growth")
    front.app.state.readers.close()
    assert answer.status_code == 503 and "consumer" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "asked",
    [
        {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, {"step": "0"}, {"step": "x"}, {"from": "yesterday"},
        {"from": "2020-01-01T00:00:00Z", "step": "1s"}, {"limit": "0"}, {"format": "xml"}, {"path": ".."},
    ],
)  # fmt: skip
async def test_what_can_not_be_asked_is_refused(client: httpx2.AsyncClient, asked: dict[str, str]) -> None:
    assert (await client.get("/v1/timestore/growth", params=asked)).status_code == 400


async def test_a_timestore_that_is_off_says_so(client: httpx2.AsyncClient, front: FrontOfTest) -> None:
    object.__setattr__(front.services.settings, "timestore", False)
    answer = await client.get("/v1/timestore/growth")
    assert answer.status_code == 400 and "FILESTORE_TIMESTORE" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("60", 60), ("15m", 900), ("1h", 3600), ("PT1H", 3600), ("P1D", 86400), ("2w", 1209600)]
)
def test_a_step_is_read(text: str, seconds: int) -> None:
    assert ActivityQuery.model_validate({"step": text}).step == seconds


def test_without_a_step_there_are_about_a_hundred_points() -> None:
    for days, step in ((1 / 24, 60), (7, 3 * 3600), (365, 7 * 86400)):
        query = ActivityQuery.model_validate({"from": (NOW - timedelta(days=days)).isoformat(), "to": NOW.isoformat()})
        assert query.span()[2] == step
    with pytest.raises(InvalidRequest):
        ActivityQuery.model_validate({"from": "2020-01-01T00:00:00Z", "step": "1"}).span()


def test_a_chart_is_well_formed_whatever_it_shows() -> None:
    for chart in (
        lines("a <b>", ["1", "2"], [ChartLine("x & y", [1.0, -5.0])], "B"), lines("empty", [], [ChartLine("x", [])]),
        bars("t", ['"quoted" <path>'] * 40, [float(n) for n in range(40)]), bars("t", [], []),
    ):  # fmt: skip
        ElementTree.fromstring(chart)
    assert (short(1234567, "B"), short(0.5), short(12)) == ("1.23 MB", "0.5", "12")
