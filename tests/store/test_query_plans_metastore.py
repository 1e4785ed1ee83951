"""Every search of the Metastore, and what it follows and tags with, finds what it needs by index among 1,000,000 records."""

from collections.abc import AsyncIterator
from dataclasses import replace
from time import perf_counter

import pytest

from schema.ids import MountId, NodeId
from schema.paths import NodePath
from schema.store import records as record_store
from schema.store import tags as tag_store
from schema.store.records import RecordSearch
from tests.store.conftest import Databases
from tests.store.full_record import FILL, TREE, planted
from tests.store.helpers import Connection
from tests.store.plans import PAGES_MAX, indexes, plan, scanned, touched
from tests.store.test_query_plans import SEARCHED

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GROWN = [
    statement.replace("generate_series(1, 100000)", "generate_series(1, 1000000)")
    for statement in FILL
    if "INTO filestore.metastore_records" in statement or "INTO filestore.metastore_history" in statement
]
TOGETHER = {
    "a common tag in a folder": RecordSearch(tags=["t4"], mount=MountId(0), prefix=NodePath(b"folder-4")),
    "words and an owner": RecordSearch(query="folder", owner="u4"),
    "a tag, closed ones too": RecordSearch(tags=["t8"], deleted=True),
    "nothing but a namespace that all have": RecordSearch(namespace="filestore"),
    "everything": RecordSearch(),
}
PAGE = [NodeId(n) for n in range(1, 2001)]


@pytest.fixture(scope="module")
async def grown(new_database: Databases) -> AsyncIterator[tuple[Connection, MountId]]:
    async with planted(new_database(), [*FILL[:TREE], *GROWN, "VACUUM ANALYZE"]) as record:
        yield record


def on(wanted: RecordSearch, mount: MountId) -> RecordSearch:
    return replace(wanted, mount=mount) if wanted.mount is not None else wanted


async def test_a_search_reads_what_it_finds(grown: tuple[Connection, MountId]) -> None:
    connection, mount = grown
    assert len(GROWN) == 2
    for name, (wanted, index) in SEARCHED.items():
        query, values = record_store.statement("main", on(wanted, mount), 0, 50)
        nodes = await plan(connection, query, values, generic=False, run=True)
        assert scanned(nodes) == set() and index in indexes(nodes), name
        assert touched(nodes) < PAGES_MAX, name
    for name, wanted in TOGETHER.items():
        query, values = record_store.statement("main", on(wanted, mount), 0, 50)
        nodes = await plan(connection, query, values, generic=False, run=True)
        assert scanned(nodes) == set() and touched(nodes) < PAGES_MAX, (name, indexes(nodes), touched(nodes))


async def test_a_page_of_a_plan_asks_for_its_own_nodes_alone(grown: tuple[Connection, MountId]) -> None:
    """Whatever the condition is: as many pages as its nodes have, and those of the index that is not needed."""
    connection, _ = grown
    for name, wanted in {**{name: one for name, (one, _) in SEARCHED.items()}, **TOGETHER}.items():
        wanted = replace(wanted, mount=None, prefix=None)
        for generic in (True, False):
            query, values = record_store.statement("main", wanted, 0, 0, PAGE)
            if generic:
                values = {key: value for key, value in values.items() if f"%({key})s" in query}
                values |= {"tags": "{" + ",".join(values["tags"]) + "}"} if "tags" in values else {}
            nodes = await plan(connection, query, values, generic=generic, run=True)
            assert scanned(nodes) == set() and touched(nodes) < 4 * len(PAGE), (
                name,
                generic,
                touched(nodes),
                indexes(nodes),
            )


async def test_what_tagging_reads_and_writes_is_what_it_tags(grown: tuple[Connection, MountId]) -> None:
    connection, _ = grown
    began = perf_counter()
    found = await tag_store.of_nodes(connection, PAGE)
    assert len(found) == len([node for node in PAGE if node > 1]) and perf_counter() - began < 60
    values = {"nodes": PAGE, "namespace": "filestore"}
    nodes = await plan(connection, tag_store.SQL["of_nodes"], values, generic=True, run=True)
    assert scanned(nodes) == set() and touched(nodes) < 20 * len(PAGE)
