"""What drift leaves behind goes page by page some time after its end. What stands, runs, or says when a mount was audited stays."""

from datetime import timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities.upkeep import retention
from activities.upkeep.retention import Pruned, Retention
from schema.ids import MountId
from schema.migrate import migrate
from schema.store.pool import Pool, make_pool
from tests.store.conftest import Databases
from tests.store.helpers import make_mount

LONG = timedelta(days=1)
LOOK = """INSERT INTO filestore.looks (tenant, mount_id, reason, principal, places, subtrees, whole, state, entries, conclusions,
       claimed, started_at, ended_at)
   SELECT 'main', %(mount)s, 'audit', 'x', '{""}', '{true}', true, %(state)s::filestore.look_state, 0, 0, '{}',
          now() - %(age)s::interval, CASE WHEN %(over)s THEN now() - %(age)s::interval END
     FROM generate_series(1, %(many)s) RETURNING id"""
FINDING = """INSERT INTO filestore.findings (tenant, mount_id, path, kind, state, believed, observed, action, look_id, ended_at)
   SELECT 'main', %(mount)s, (%(age)s || i)::bytea, 'new',
          CASE WHEN %(over)s THEN 'accepted' ELSE 'open' END::filestore.finding_state, '{}', '{}', 'import', 1,
          CASE WHEN %(over)s THEN now() - %(age)s::interval END FROM generate_series(1, %(many)s) i"""
JOB = """INSERT INTO filestore.reconciliation_jobs (tenant, principal, mount_id, path, reason, status, completed_at)
   SELECT 'main', 'x', %(mount)s, 'p', 'manual', CASE WHEN %(over)s THEN 'succeeded' ELSE 'running' END::filestore.job_status,
          CASE WHEN %(over)s THEN now() - %(age)s::interval END FROM generate_series(1, %(many)s)"""
COUNTS = """SELECT (SELECT count(*) FROM filestore.looks) AS looks, (SELECT count(*) FROM filestore.findings) AS findings,
       (SELECT count(*) FROM filestore.reconciliation_jobs) AS jobs, (SELECT count(*) FROM filestore.look_entries) AS entries,
       (SELECT count(*) FROM filestore.look_pages) AS pages"""


async def made(pool: Pool, mount: MountId, statement: str, *, age: str, over: bool, many: int = 2) -> int:
    values = {"mount": mount, "age": age, "over": over, "many": many, "state": "concluded" if over else "reading"}
    async with pool.connection() as connection:
        cursor = await connection.execute(statement.encode(), values)
        return (await cursor.fetchone() or {"id": 0})["id"] if statement is LOOK else 0


async def read_by(pool: Pool, look: int) -> None:
    async with pool.connection() as connection:
        await connection.execute(
            b"""INSERT INTO filestore.look_entries (look_id, path, state, kind, facts, stable, code, message)
                VALUES (%s, 'p', 'seen', 'file', '[]', true, '', '')""",
            [look],
        )
        await connection.execute(b"INSERT INTO filestore.look_pages VALUES (%s, 0, '', '', 0)", [look])


async def test_drift_is_pruned_by_page_some_time_after_its_end(
    new_database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_PAGE", 2)
    url = new_database()
    migrate(url)
    pool = make_pool(url, name="test", min_size=1, max_size=2)
    await pool.open()
    async with pool.connection() as connection:
        mount = await make_mount(connection)
    for statement in (LOOK, FINDING, JOB):
        await made(pool, mount, statement, age="2 days", over=True, many=5)
        await made(pool, mount, statement, age="1 hour", over=True)
        await made(pool, mount, statement, age="1 hour", over=False)
    audited = await made(pool, mount, LOOK, age="9 days", over=True, many=1)
    dead = await made(pool, mount, LOOK, age="9 days", over=False, many=1)
    running = await made(pool, mount, LOOK, age="0", over=False, many=1)
    for look in (audited, dead, running, 10**9):
        await read_by(pool, look)
    async with pool.connection() as connection:
        await connection.execute(
            b"INSERT INTO filestore.drift_mounts (mount_id, audit) VALUES (%s, %s)", [mount, audited]
        )
    prune = Retention(pool, LONG, LONG, LONG, drift=LONG).prune
    assert await ActivityEnvironment().run(prune) == Pruned(drift=15)
    async with pool.connection() as connection:
        left = await (await connection.execute(COUNTS.encode())).fetchone()
        kept = await (
            await connection.execute(
                b"SELECT id, state::text FROM filestore.looks WHERE id >= %s ORDER BY id", [audited]
            )
        ).fetchall()
    assert left == {"looks": 7, "findings": 4, "jobs": 4, "entries": 1, "pages": 1}
    assert kept == [
        {"id": audited, "state": "concluded"}, {"id": dead, "state": "failed"}, {"id": running, "state": "reading"},
    ]  # fmt: skip
    await pool.close()
