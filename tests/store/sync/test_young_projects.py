"""A project that fills faster than statistics are taken: what a list of names costs follows from the names alone."""

from collections.abc import AsyncIterator
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.rows import dict_row

from schema.migrate import migrate
from schema.sql import load
from tests.store.conftest import Databases
from tests.store.helpers import OPTIONS, Connection, make_mount, never_vacuumed
from tests.store.plans import plan
from tests.store.sync.projects import make_project, sha_of

OBJECTS, REVISIONS = load("objects"), load("revisions")
ROWS, NAMES, OLD = 4000, 400, 30_000
SHAS = [bytes.fromhex(sha_of(str(number))) for number in range(NAMES)]
PATHS = [b"flat/%d" % number for number in range(NAMES)]
MOVE: dict[str, Any] = {
    "shas": SHAS, "cold_keys": ["k"] * NAMES, "froms": ["hot"], "tos": ["hot_cold"], "verified": True, "unpinned": False,
}  # fmt: skip
QUERIES: dict[str, tuple[LiteralString, dict[str, Any]]] = {
    "known": (OBJECTS["known"], {"shas": SHAS}),
    "lease": (OBJECTS["lease"], {"shas": SHAS, "seconds": 1.0}),
    "lock": (OBJECTS["lock"], {"shas": SHAS}),
    "move": (OBJECTS["move"], MOVE),
    "touch": (OBJECTS["touch"], {"shas": SHAS}),
    "tree": (REVISIONS["tree"], {"paths": PATHS, "parents": []}),
    "remove_paths": (REVISIONS["remove_paths"], {"paths": PATHS}),
}
FILL = (
    b"""INSERT INTO filestore.project_objects (project_id, sha, size_bytes, tier, last_access)
        SELECT %(project)s, sha256(i::text::bytea), 1, 'hot', now() - interval '1 hour' FROM generate_series(0, %(rows)s) i""",
    b"""INSERT INTO filestore.project_paths (project_id, path, parent, kind, sha, size_bytes, mode, revision)
        SELECT %(project)s, ('flat/' || i)::bytea, sha256('flat'), 'file', sha256(i::text::bytea), 1, 420, 1
          FROM generate_series(0, %(rows)s) i""",
)


@pytest.fixture(scope="module", params=["never taken", "of other projects alone"])
async def young(request: pytest.FixtureRequest, new_database: Databases) -> AsyncIterator[tuple[Connection, int]]:
    url = new_database()
    migrate(url)
    connection = await psycopg.AsyncConnection.connect(url, row_factory=dict_row, options=OPTIONS, autocommit=True)
    async with connection:
        mount = await make_mount(connection)
        await never_vacuumed(connection)
        await connection.execute("SET session_replication_role = replica")
        if request.param != "never taken":
            for _ in range(2):
                await _fill(connection, (await make_project(connection, mount)).id, OLD)
            await connection.execute("ANALYZE filestore.project_objects, filestore.project_paths")
        project = await make_project(connection, mount)
        await _fill(connection, project.id, ROWS)
        yield connection, project.id


async def _fill(connection: Connection, project: int, rows: int) -> None:
    for statement in FILL:
        await connection.execute(statement, {"project": project, "rows": rows})


@pytest.mark.parametrize("name", QUERIES)
async def test_a_list_of_names_is_looked_up_without_reading_the_project_for_each(
    young: tuple[Connection, int], name: str
) -> None:
    connection, project = young
    query, values = QUERIES[name]
    nodes = await plan(connection, query, {"project": project, **values}, generic=False, run=True)
    read = sum(_rows(node) for node in nodes)
    assert read < 4 * (2 * OLD + ROWS) + 20 * NAMES, [(node["Node Type"], _rows(node)) for node in nodes]


def _rows(node: dict[str, Any]) -> float:
    """All that a node looked at: what it gave on, and what it left out."""
    left_out = sum(value for key, value in node.items() if key.startswith("Rows Removed"))
    return float((node["Actual Rows"] + left_out) * node["Actual Loops"])
