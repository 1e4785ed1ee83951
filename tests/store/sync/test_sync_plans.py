"""The queries of projects find what they need by index, in a project of 200,000 files, as many objects and changes."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.rows import dict_row

from schema.migrate import migrate
from schema.sql import load
from tests.store.conftest import Databases
from tests.store.helpers import OPTIONS, Connection, make_mount
from tests.store.plans import plan
from tests.store.sync.projects import make_project

BIG = {
    "project_objects",
    "project_paths",
    "project_changes",
    "project_commits",
    "project_conflicts",
    "project_jobs",
    "project_pages",
    "project_packs",
}
FILL = [
    """INSERT INTO filestore.project_objects (project_id, sha, size_bytes, tier, cold_key, last_access)
       SELECT %(project)s, sha256(i::text::bytea), i, CASE WHEN i %% 1000 = 0 THEN 'hot' ELSE 'hot_cold' END,
              'p/' || i / 200 || '#' || i,
              now() - i * interval '1 second' FROM generate_series(1, 200000) i""",
    """INSERT INTO filestore.project_paths (project_id, path, parent, kind, sha, size_bytes, mode, revision)
       SELECT %(project)s, (i %% 2000 || '/' || i)::bytea, sha256((i %% 2000)::text::bytea), 'file', sha256(i::text::bytea), i,
              420, i FROM generate_series(1, 200000) i""",
    """INSERT INTO filestore.project_commits (project_id, revision, batch, node, principal, manifest, files, size_bytes, changes,
                                              durability)
       SELECT %(project)s, i, i::text, 'n', 'p', sha256(''), 1, 1, 1, CASE WHEN i > 199990 THEN 'hot' ELSE 'cold' END
         FROM generate_series(1, 200000) i""",
    """INSERT INTO filestore.project_changes (project_id, revision, ordinal, kind, path, entry_kind, sha, before_sha)
       SELECT %(project)s, i, 1, 'put', i::text::bytea, 'file', sha256(i::text::bytea), sha256((i - 1)::text::bytea)
         FROM generate_series(1, 200000) i""",
    """INSERT INTO filestore.project_conflicts (project_id, revision, path, rule, loser_sha, loser_size, loser_mode, loser_node,
                                                state)
       SELECT %(project)s, i, i::text::bytea, 'last', sha256(i::text::bytea), 1, 420, 'n',
              CASE WHEN i %% 1000 = 0 THEN 'open' ELSE 'decided' END FROM generate_series(1, 50000) i""",
    """INSERT INTO filestore.project_pages (project_id, sha, body, revision)
       SELECT %(project)s, sha256(i::text::bytea), '{}', i FROM generate_series(1, 100000) i""",
    """INSERT INTO filestore.project_packs (project_id, key, size_bytes, live_bytes)
       SELECT %(project)s, 'p/' || i, 1000, 10 FROM generate_series(0, 100000) i""",
    "ANALYZE",
]
OBJECTS, REVISIONS, PROJECTS = load("objects"), load("revisions"), load("projects")
SWEEPS, DUE, PACKS = load("project_sweeps"), load("project_due"), load("project_packs")
SHAS = [b"\1" * 32, b"\2" * 32]
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
IDLE: dict[str, Any] = {"idle": 0.0, "unpinned": True, "after": LONG_AGO, "after_sha": b"", "limit": 100}
MOVE: dict[str, Any] = {
    "froms": ["hot"],
    "tos": ["hot_cold"],
    "shas": SHAS,
    "cold_keys": ["a", "b"],
    "verified": True,
    "unpinned": True,
}
QUERIES: dict[str, tuple[LiteralString, dict[str, Any]]] = {
    "known": (OBJECTS["known"], {"shas": SHAS}),
    "lease": (OBJECTS["lease"], {"shas": SHAS, "seconds": 1.0}),
    "move": (OBJECTS["move"], MOVE),
    "lock": (OBJECTS["lock"], {"shas": SHAS}),
    "rescue": (OBJECTS["rescue"], {"shas": SHAS}),
    "in_tier": (OBJECTS["in_tier"], {"tier": "hot", **IDLE}),
    "after": (OBJECTS["after"], {"after": b"\1", "limit": 100}),
    "touch": (OBJECTS["touch"], {"shas": SHAS}),
    "unreferenced": (OBJECTS["unreferenced"], {"after": b"\1", "limit": 100, "froms": ["hot"]}),
    "condemn": (OBJECTS["condemn"], {"shas": SHAS, "froms": ["hot"]}),
    "begin_delete": (OBJECTS["begin_delete"], {"shas": SHAS, "grace": 1.0}),
    "condemned": (OBJECTS["condemned"], {"grace": 1.0, "after": b"", "limit": 100}),
    "forget": (OBJECTS["forget"], {"shas": SHAS}),
    "tree": (REVISIONS["tree"], {"paths": [b"1/1", b"2/2"], "parents": [b"5"]}),
    "remove_paths": (REVISIONS["remove_paths"], {"paths": [b"1/1"]}),
    "pages": (REVISIONS["pages"], {"shas": SHAS}),
    "commits": (REVISIONS["commits"], {"before": 100_000, "limit": 50}),
    "commit_at": (REVISIONS["commit_at"], {"revision": 100_000, "at": None}),
    "changes": (REVISIONS["changes"], {"revision": 100_000, "ordinal": 1, "limit": 1000}),
    "settle_durability": (REVISIONS["settle_durability"], {}),
    "conflicts": (REVISIONS["conflicts"], {"state": "open", "after": 100, "limit": 50}),
    "open_conflicts": (REVISIONS["open_conflicts"], {"ids": [7, 8]}),
    "jobs": (PROJECTS["jobs"], {"before": None, "before_id": None, "limit": 50}),
    "measure": (PACKS["measure"], {"after": "p/5", "limit": 100, "entry": 80}),
    "members": (PACKS["members"], {"keys": ["p/1", "p/2"]}),
    "switch": (PACKS["switch"], {"shas": SHAS, "olds": ["a", "b"], "news": ["c", "d"]}),
    "replaced": (PACKS["replaced"], {"keys": ["p/1", "p/2"]}),
    "needed": (PACKS["needed"], {"keys": ["p/1", "p/2"], "grace": 1.0}),
    "gone": (PACKS["gone"], {"keys": ["p/1", "p/2"]}),
    "below": (OBJECTS["below"], {"tier": "cold", "paths": [b"5"], "limit": 200}),
    "content_at": (PROJECTS["content_at"], {"path": b"5/5"}),
    "is_behind": (PROJECTS["is_behind"], {"mount": 1, "rank": 5}),
    "overdue_conflicts": (REVISIONS["overdue_conflicts"], {"limit": 200}),
    "count_conflicts": (REVISIONS["count_conflicts"], {}),
    "numbers": (load("project_numbers")["numbers"], {"most": 10_000, "projects": 500}),
    "activity": (load("project_numbers")["activity"], {"most": 10_000}),
    "due": (DUE["due"], {"mounts": [1, 2], "collect": 86400.0}),
    "kept_from": (SWEEPS["kept_from"], {}),
    "old_pages": (SWEEPS["old_pages"], {"after": b"\1", "revision": 100_000, "limit": 500}),
    "drop_pages": (SWEEPS["drop_pages"], {"shas": SHAS, "revision": 100_000}),
    **{
        name: (SWEEPS[name], {"limit": 5000})
        for name in ("purge_paths", "purge_changes", "purge_pages", "purge_objects", "purge_packs")
    },
    "said_elsewhere": (SWEEPS["said_elsewhere"], {"shas": SHAS, "tenant": "main"}),
}


@pytest.fixture(scope="module")
async def grown(new_database: Databases) -> AsyncIterator[tuple[Connection, int]]:
    url = new_database()
    migrate(url)
    connection = await psycopg.AsyncConnection.connect(url, row_factory=dict_row, options=OPTIONS, autocommit=True)
    project = await make_project(connection, await make_mount(connection))
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("SET synchronous_commit = off")
    for statement in FILL:
        await connection.execute(statement.encode(), {"project": project.id})
    yield connection, project.id
    await connection.close()


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_of_projects_scans_no_table(grown: tuple[Connection, int], name: str) -> None:
    connection, project = grown
    query, values = QUERIES[name]
    nodes = await plan(connection, query, {"project": project, **values}, generic=False)
    scanned = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"} & (BIG - {"project_jobs"})
    assert scanned == set(), [node["Node Type"] for node in nodes]
