"""What a whole tree costs in the record grows with its nodes, and with nothing else: counted in rows that plans visit, not timed.

The plans are those of the engine's pool: made on an empty record, kept by the session, run for trees of any size.
"""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from schema.commands.command import Command, CommandKind
from schema.ids import CommandId, MountId
from schema.migrate import migrate
from schema.sql import load
from schema.store import begin as begin_store
from schema.store import record as record_store
from schema.store import trees as tree_store
from schema.store.pool import Pool, make_pool
from tests.store.conftest import Databases
from tests.store.helpers import (
    TOKEN_OF_COMMANDS,
    Connection,
    Protocol,
    asked,
    delete,
    make_mount,
    mkdir,
    never_vacuumed,
)

BEGIN, RECORD, ANSWERS, LEFTOVERS, TREES = (
    load("begin"), load("record"), load("answers"), load("leftovers"), load("trees"),
)  # fmt: skip
AROUND = {name: {**BEGIN, **LEFTOVERS}[name] for name in ("look", "disown", "cleanups")}
ELSEWHERE = ("allow_time", "read_running", "raise_attempt", "end", "doubt", "put_back", "keep_first")
"""Run as they are, or never for a tree"""
QUERIES = AROUND | {n: q for n, q in {**RECORD, **ANSWERS, **TREES}.items() if n not in ELSEWHERE}
NAMES = {query: name for name, query in QUERIES.items()}
CHECKS = ("check_parents", "check_children")
PAGE = 100

PLANT = [
    # Nine of ten directories live, with nine files each, as an import makes them. What is in the tenth was deleted long ago.
    """INSERT INTO filestore.nodes (mount_id, parent_id, name, name_text, directory_path, directory_text, depth, kind, state,
           deleted_at, device, inode, birth_ns, first_by)
       SELECT t.mount_id, t.id, d::text::bytea, d::text, t.directory_path || (d || '/')::bytea, t.directory_text || d || '/',
              t.depth + 1, 'directory', s.state, CASE s.state WHEN 'deleted' THEN now() END, 0, d, 1,
              CASE s.state WHEN 'active' THEN gen_random_uuid() END
         FROM filestore.nodes t, generate_series(1, %(directories)s) d,
              LATERAL (SELECT CASE WHEN d %% 10 = 0 THEN 'deleted' ELSE 'active' END::filestore.node_state AS state) s
        WHERE t.id = %(top)s""",
    """INSERT INTO filestore.nodes (mount_id, parent_id, name, name_text, depth, kind, state, deleted_at, size_bytes, sha256,
           device, inode, birth_ns, first_by)
       SELECT d.mount_id, d.id, f::text::bytea, f::text, d.depth + 1, 'file', d.state, d.deleted_at, 1, sha256(''),
              0, f, 1, d.first_by
         FROM filestore.nodes d, generate_series(1, 9) f WHERE d.parent_id = %(top)s""",
    """INSERT INTO filestore.versions (node_id, version, command_id, parent_id, name, kind, state, size_bytes, valid_from)
       SELECT n.id, n.version, gen_random_uuid(), n.parent_id, n.name, n.kind, n.state, n.size_bytes, now()
         FROM filestore.nodes d JOIN filestore.nodes n ON n.parent_id = d.id OR n.id = d.id
        WHERE d.parent_id = %(top)s AND n.first_by IS NULL""",
    """INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count)
       VALUES (%(top)s, 8 * %(directories)s, 8 * %(directories)s, %(directories)s, %(directories)s)""",
]

Visits = Mapping[str, int]
"""Rows that each query has visited, for one tree"""


class GrowingRecord:
    """One session, as the engine has it, with plans that were made when nothing was recorded yet."""

    def __init__(self, pool: Pool, here: MountId, there: MountId) -> None:
        self.pool, self.here, self.there, self.protocol = pool, here, there, Protocol(pool)
        self.visits: Counter[str] = Counter()

    async def prepare(self) -> None:
        async with self.pool.connection() as connection:
            for name, query in QUERIES.items():
                keys = re.findall(r"%\((\w+)\)s", query)
                typed = {key: f"${number}" for number, key in enumerate(dict.fromkeys(keys), 1)}
                await connection.execute(f"PREPARE {name} AS {query % typed}".encode())
            await connection.execute("CREATE TABLE check_plans (name text, plan json)")
            for name in CHECKS:
                cursor = await connection.execute("SELECT prosrc FROM pg_proc WHERE proname = %s", (name,))
                row = await cursor.fetchone()
                assert row is not None
                await connection.execute(_told(name, row["prosrc"]).encode())

    async def plan_all(self) -> None:
        """As the first, small tree of an installation does it."""
        await self.tree("first", 1)

    async def measured(self, name: str, directories: int) -> Visits:
        self.visits.clear()
        async with self.pool.connection() as connection:
            await connection.execute("DELETE FROM check_plans")
        await self.tree(name, directories)
        return dict(self.visits)

    # One tree through all that can happen to it

    async def tree(self, name: str, directories: int) -> None:
        top = await self.plant(self.here, name, directories)
        await self.run(asked(CommandKind.MOVE, self.here, name, target=f"far/{name}"))
        copying = asked(CommandKind.COPY, self.here, f"far/{name}", target=f"{name}-copy")
        async with self.going(copying) as connection:
            await self.staged(connection, copying.id, "plan_entries", top)
            await self.commit(connection, copying.id)
        await self.run(delete(self.here, f"far/{name}", recursive=True))
        restoring = asked(CommandKind.RESTORE, self.here, f"far/{name}", node_id=top)
        async with self.going(restoring) as connection:
            await self.staged(connection, restoring.id, "plan_return", top)
            await self.commit(connection, restoring.id)
            await self.execute(connection, "reidentify", ids=[restoring.id])
            await self.execute(connection, "remaining_page", command=restoring.id, limit=PAGE)
            await self.execute(connection, "forget_cleared", command=restoring.id, first=b"5")
            await self.execute(connection, "forget_entries", ids=[restoring.id])
        leaving = asked(CommandKind.MOVE, self.here, f"far/{name}", target=name, target_mount_id=self.there)
        async with self.going(leaving) as connection:
            await self.staged(connection, leaving.id, "plan_entries", top)
            await self.commit(connection, leaving.id)
            await self.execute(connection, "cleanups", mount=self.here, ids=[leaving.id])
            await self.execute(connection, "disown", command=leaving.id)

    async def plant(self, mount: MountId, name: str, directories: int) -> int:
        await self.protocol.run(mount, mkdir(mount, name))
        async with self.pool.connection() as connection:
            query = "SELECT id FROM filestore.nodes WHERE mount_id = %s AND directory_path = %s AND state <> 'deleted'"
            row = await (await connection.execute(query, (mount, f"{name}/".encode()))).fetchone()
            assert row is not None
            for statement in PLANT:
                await connection.execute(statement.encode(), {"top": row["id"], "directories": directories})
        return int(row["id"])

    async def run(self, request: Command) -> None:
        async with self.going(request) as connection:
            await self.commit(connection, request.id)

    @asynccontextmanager
    async def going(self, request: Command) -> AsyncIterator[Connection]:
        """One transaction between `begin` and the answer."""
        async with self.pool.connection() as connection:
            ends = begin_store._ends(request)
            await self.execute(connection, "look", items=json.dumps(ends))
        begun = await self.protocol.begin(request.runs_on, [request])
        assert request.id in {going.id for going in [*begun.go, *begun.unstaged]} | set(begun.long), begun
        async with self.pool.connection() as connection, connection.transaction():
            yield connection
            await connection.execute("DELETE FROM filestore.claims")

    async def staged(self, connection: Connection, command: CommandId, planned: str, top: int) -> None:
        await self.execute(connection, planned, command=command, directory=top)
        await self.execute(connection, "known_entries", command=command)
        after = b""
        while page := await tree_store.page(connection, command, after, PAGE):
            await self.execute(connection, "planned_page", command=command, after=after, limit=PAGE)
            items = [{"path": e.path.hex(), "identity": [0, 1, 1, 1, 0, 0, 0, 0o644, 1, "e", "v"]} for e in page]
            await self.execute(connection, "keep_entries", command=command, items=json.dumps(items))
            after = page[-1].path
        identity = json.dumps([0, 9, 1, 0, 0, 0, 1, 0o755, 2])
        await self.execute(connection, "record_stage", command=command, attempt=1, staged=identity, tree=True)

    async def commit(self, connection: Connection, command: CommandId) -> None:
        """As `record` does it."""
        ended = await record_store.end(connection, [self.protocol.applied(command)])
        for query in record_store._statements(ended.values()):
            await self.execute(connection, NAMES[query], ids=[command], retention_days=30)

    async def execute(self, connection: Connection, name: str, **values: Any) -> None:
        """Run it, and count the rows that its plan and those of the triggers visited."""
        keys = dict.fromkeys(re.findall(r"%\((\w+)\)s", QUERIES[name]))
        marks = ", ".join(f"%({key})s" for key in keys)
        explaining = psycopg.AsyncClientCursor(connection)
        await explaining.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE {name}({marks})".encode(), values)
        row = await explaining.fetchone()
        assert row is not None
        self.visits[name] += visited(row["QUERY PLAN"])
        cursor = await connection.execute("DELETE FROM check_plans RETURNING name, plan")
        for line in await cursor.fetchall():
            self.visits[line["name"]] += visited(line["plan"])


def _told(name: str, body: str) -> str:
    """The same check, which tells the plans of its queries."""
    query = re.compile(r"SELECT (\S+) INTO wrong(\s.*?);", re.DOTALL)
    assert len(query.findall(body)) == body.count("SELECT n") > 0
    notice = (
        r"FOR line IN EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) SELECT \1 \2 LOOP"
        f" INSERT INTO check_plans VALUES ('{name}', line); END LOOP; "
        r"\g<0>"
    )
    body = query.sub(notice, body).replace("DECLARE wrong bigint;", "DECLARE wrong bigint; line json;")
    return f"CREATE OR REPLACE FUNCTION filestore.{name}() RETURNS trigger LANGUAGE plpgsql AS $body${body}$body$"


def visited(plan: list[dict[str, Any]]) -> int:
    return sum(_rows(node) for node in _flat(plan[0]["Plan"]))


def _rows(node: dict[str, Any]) -> int:
    removed = sum(value for name, value in node.items() if name.startswith("Rows Removed by"))
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])


def _flat(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _flat(child)


FEW, MANY = 30, 300
"""Directories; there are ten nodes to each"""


@pytest.fixture(scope="module", params=["planned on an empty record", "planned on a small one that was analysed"])
async def grown(request: pytest.FixtureRequest, new_database: Databases) -> AsyncIterator[dict[str, Visits]]:
    url = new_database()
    migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TOKEN_OF_COMMANDS)
    pool = make_pool(url, name="growth", min_size=1, max_size=1, generic_plans=True)
    await pool.open(wait=True)
    async with pool.connection() as connection:
        await never_vacuumed(connection)
        record = GrowingRecord(pool, await make_mount(connection), await make_mount(connection))
        stranger = await make_mount(connection)
    await record.prepare()
    await record.protocol.run(record.here, mkdir(record.here, "far"))
    await record.plan_all()
    if "analysed" in request.param:
        async with pool.connection() as connection:
            await connection.execute("ANALYZE")
    seen = {"few": await record.measured("few", FEW), "many": await record.measured("many", MANY)}
    await record.plant(stranger, "theirs", 2 * MANY)
    await record.run(delete(stranger, "theirs", recursive=True))
    await record.plant(stranger, "theirs too", 2 * MANY)
    seen["few beside others"] = await record.measured("beside", FEW)
    async with pool.connection() as connection:
        await connection.execute("ANALYZE")
    seen["few beside others, analysed"] = await record.measured("analysed", FEW)
    yield seen
    await pool.close()


@pytest.mark.parametrize("name", [*QUERIES, *CHECKS])
def test_ten_times_the_nodes_cost_ten_times_as_much(grown: dict[str, Visits], name: str) -> None:
    few, many = grown["few"][name], grown["many"][name]
    assert few > 0 and many <= 11 * few + 50, (few, many)


@pytest.mark.parametrize("others", ["few beside others", "few beside others, analysed"])
@pytest.mark.parametrize("name", [*QUERIES, *CHECKS])
def test_what_others_have_costs_nothing(grown: dict[str, Visits], name: str, others: str) -> None:
    alone, beside = grown["few"][name], grown[others][name]
    assert 0 < beside <= 1.2 * alone + 50, (alone, beside)
