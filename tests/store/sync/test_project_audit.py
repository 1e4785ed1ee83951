"""What is done to projects, from the journal into the audit stream of a real NATS."""

import json
import uuid
from collections.abc import AsyncIterator

import pytest

from activities.sync.hot import HotUnavailable, NoHotStore
from activities.sync.nats.store import NatsHot
from activities.sync.nats.tenants import OneHot
from activities.sync.telling import TellsProjects
from schema.access.acts import ActKind
from schema.sql import load
from schema.store import project_acts
from schema.store.pool import Pool
from schema.store.projects import Project
from schema.sync.changes import ChangeKind, PathChange
from tests.store.helpers import Connection, make_mount
from tests.store.plans import plan
from tests.store.sync.projects import make_project, send
from workers.project_audit import verify


@pytest.fixture
async def connection(pool: Pool) -> AsyncIterator[Connection]:
    async with pool.connection() as opened:
        await opened.execute(
            b"UPDATE filestore.project_feed SET audited = (SELECT coalesce(max(id), 0) FROM filestore.journal_entries)"
        )
        yield opened


async def settle(connection: Connection) -> None:
    """As the publisher does."""
    await connection.execute(
        b"UPDATE filestore.event_feed SET settled = (SELECT coalesce(max(id), 0) FROM filestore.journal_entries)"
    )


async def told(hot: NatsHot, project: Project) -> list[tuple[str, str]]:
    entries = [json.loads(entry) async for page in hot.noted() for entry in page]
    return [(one["what"], one["principal"]) for one in entries if one["details"]["projectId"] == project.uuid]


async def test_what_was_done_is_told_once_and_in_order_and_what_was_taken_out_is_found(
    pool: Pool, connection: Connection, hot: NatsHot, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant, telling = f"t-{uuid.uuid4().hex[:8]}", TellsProjects(pool, OneHot(hot))
    project = await make_project(connection, await make_mount(connection), tenant=tenant)
    await project_acts.record(connection, project, ActKind.CREATE_PROJECT, "ann")
    await send(connection, project, PathChange(ChangeKind.MKDIR, b"d", None, mode=0o755, checked=False))
    assert await telling.audit() == 0, "an entry may still come before these"
    await settle(connection)
    assert (await telling.audit(), await telling.audit()) == (2, 0)
    await project_acts.record(connection, project, ActKind.PIN_PROJECT_CONTENTS, "bob", objects=None)
    await settle(connection)
    with pytest.raises(HotUnavailable):
        await TellsProjects(pool, NoHotStore()).audit()
    assert await telling.audit() == 1
    # What was acknowledged and not remembered is told again, and is there once.
    await connection.execute(b"UPDATE filestore.project_feed SET audited = audited - 1")
    await telling.audit()
    expected = [("createProject", "ann"), ("commitProject", "admin"), ("pinProjectContents", "bob")]
    assert await told(hot, project) == expected
    await whole_only_with_all(connection, hot, project, expected, capsys)


async def whole_only_with_all(
    connection: Connection,
    hot: NatsHot,
    project: Project,
    expected: list[tuple[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    tenants = [project.tenant]
    assert await verify(connection, OneHot(hot), tenants) == 0
    await hot._link.api("STREAM.DELETE.FS_AUDIT")  # there are no accounts here that could forbid it
    hot._streams.forget("FS_AUDIT")
    assert await verify(connection, OneHot(hot), tenants, mends=True) == 1
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])["missing"]) == 3
    assert await verify(connection, OneHot(hot), tenants) == 0 and await told(hot, project) == expected


async def test_entries_about_projects_are_found_by_an_index_of_their_own(connection: Connection) -> None:
    project = await make_project(connection, await make_mount(connection))
    await connection.execute(
        b"""INSERT INTO filestore.journal_entries (tenant, command_id, attempt, kind, mount_id, path, principal, key, executor,
                outcome, payload, started_at)
            SELECT 'main', gen_random_uuid(), 1, 'mkdir', %s, 'p', 'ann', i::text, 'local', 'succeeded', '{}', now()
              FROM generate_series(1, 5000) i""",
        (project.mount,),
    )
    await project_acts.record(connection, project, ActKind.CREATE_PROJECT, "ann")
    await connection.execute(b"ANALYZE filestore.journal_entries")
    for query, values in (
        ("page", {"after": 0, "settled": 2**40, "limit": 500}),
        ("of_tenant", {"tenant": "main", "after": 0, "last": 2**40, "limit": 500}),
    ):
        nodes = await plan(connection, load("project_acts")[query], values, generic=True)
        assert {node.get("Index Name") for node in nodes} & {"journal_entries_projects"}, nodes
