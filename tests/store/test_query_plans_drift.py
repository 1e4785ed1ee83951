"""Every query about drift finds what it needs by index beside 1,000,000 nodes, looks, findings and reconciliations."""

from collections.abc import AsyncIterator
from typing import Any, LiteralString

import pytest

from schema.ids import MountId
from schema.sql import load
from tests.store.conftest import Databases
from tests.store.full_record import FILL, TREE, planted
from tests.store.helpers import Connection
from tests.store.plans import PAGES_MAX, indexes, plan, scanned, touched

pytestmark = pytest.mark.slow

LOOKS, CONCLUDE, FINDINGS = load("looks"), load("conclude"), load("findings")
JOBS, HINTS, PRUNING = load("reconciliations"), load("drift_hints"), load("drift_pruning")
GROWN = [
    """INSERT INTO filestore.looks (tenant, mount_id, reason, principal, places, subtrees, whole, state, entries, conclusions,
           claimed, ended_at)
       SELECT 'main', %(mount)s, 'drift', 'x', ARRAY[('p' || i)::bytea], ARRAY[i %% 10000 = 1], false,
              CASE WHEN i %% 5000 = 0 THEN 'waiting' ELSE 'concluded' END::filestore.look_state, 0, 0, '{}',
              CASE WHEN i %% 5000 <> 0 THEN now() - i * interval '1 s' END FROM generate_series(1, 1000000) i""",
    """INSERT INTO filestore.findings (tenant, mount_id, path, kind, state, believed, observed, action, look_id, ended_at)
       SELECT 'main', %(mount)s, ('p' || i)::bytea, 'new', CASE WHEN i %% 2000 = 0 THEN 'open' ELSE 'accepted'
              END::filestore.finding_state, '{}', '{}', 'import', 1, CASE WHEN i %% 2000 <> 0 THEN now() - i * interval '1 s' END
         FROM generate_series(1, 1000000) i""",
    """INSERT INTO filestore.reconciliation_jobs (tenant, principal, mount_id, path, reason, status, completed_at)
       SELECT 'main', 'x', %(mount)s, ('p' || i)::bytea, 'manual', CASE WHEN i %% 5000 = 0 THEN 'running' ELSE 'succeeded'
              END::filestore.job_status, CASE WHEN i %% 5000 <> 0 THEN now() - i * interval '1 s' END
         FROM generate_series(1, 1000000) i""",
    """INSERT INTO filestore.look_entries (look_id, path, state, kind, facts, stable, code, message)
       SELECT 7 + i %% 2, ('p' || i)::bytea, CASE WHEN i %% 4 < 2 THEN 'absent' ELSE 'seen' END, 'file', '[]', true, '', ''
         FROM generate_series(1, 200000) i""",
    """INSERT INTO filestore.drift_hints (mount_id, path, subtree, reason)
       SELECT %(mount)s, ('p' || i)::bytea, false, 'changed' FROM generate_series(1, 200000) i""",
    "ANALYZE",
]
PLACE = {"mount": 1, "kinds": None, "path": None}
JOB_FILTER = {"tenant": "main", "mount": 1, "prefix": None, "statuses": None, "mounts": None, "paths": None}

ALL: dict[str, tuple[LiteralString, dict[str, Any], set[str]]] = {
    "known directories": (
        LOOKS["known_directories"], {"mount": 1, "first": b"5/", "beyond": b"\xff", "most": 100}, {"nodes_directory"},
    ),
    "a look": (LOOKS["find"], {"look": 500}, {"looks_pkey"}),
    "the look of an order": (LOOKS["of_key"], {"key": "0190a6c1-0000-7000-8000-000000000000"}, {"looks_key"}),
    "looks that were interrupted": (LOOKS["interrupted"], {"mount": 1}, {"looks_open"}),
    "held looks": (LOOKS["held"], {"mount": 1}, {"looks_open"}),
    "released looks": (LOOKS["forget_released"], {"mount": 1}, {"looks_open"}),
    "the end of a look": (LOOKS["give_up"], {"look": 500, "state": "failed", "problem": ""}, set()),
    "consistency": (LOOKS["consistency"], {"mount": 1, "path": b"nowhere"}, {"looks_trees"}),
    "policies with audits": (LOOKS["audited_mounts"], {"mounts": [1]}, set()),
    "a page of names": (
        LOOKS["children_page"], {"directory": 5, "after": b"a", "upto": b"\xff", "most": 100}, {"nodes_name"},
    ),
    "some names": (LOOKS["children_named"], {"directory": 5, "names": [b"a", b"b"]}, {"nodes_name"}),
    "what was not there": (LOOKS["absent"], {"look": 8, "after": b"", "most": 100}, {"look_entries_absent"}),
    "keys to forget": (LOOKS["forget_keys"], {"look": 7, "keys": [b"a"]}, {"look_entries_pkey"}),
    "a page": (LOOKS["page"], {"look": 7, "number": 0}, set()),
    "standing findings": (FINDINGS["standing"], {"tenant": "main", "after": 0, "limit": 100, "states": ["open"], **PLACE},
                          {"findings_open"}),
    "findings by id": (
        FINDINGS["documents"], {"tenant": "main", "after": 0, "limit": 9, "ids": [500, 501], "states": None, **PLACE}, set(),
    ),
    "findings of a decision": (FINDINGS["lock"], {"ids": [500, 501]}, {"findings_pkey"}),
    "where findings stand": (CONCLUDE["standing"], {"mount": 1}, set()),
    "ignored places": (CONCLUDE["ignored"], {"mount": 1}, set()),
    "findings that are over": (CONCLUDE["settle"], {"mount": 1, "paths": [b"p2000"]}, {"findings_standing"}),
    "findings that policy ignores": (CONCLUDE["leave"], {"mount": 1, "paths": [b"p2000"]}, {"findings_standing"}),
    "a name that is taken back": (
        CONCLUDE["take_name_back"], {"node": 500, "name": b"again", "name_text": "again"}, {"nodes_pkey"},
    ),
    "numbers": (LOOKS["numbers"], {}, {"looks_open"}),
    "jobs of a mount": (JOBS["documents"], {"job": None, "limit": 50, "offset": 0, **JOB_FILTER}, set()),
    "a job": (JOBS["start"], {"job": 500}, set()),
    "jobs that are due": (JOBS["due"], {"mount": 1, "silent": 9.0}, {"reconciliation_jobs_open"}),
    "looks to prune": (PRUNING["prune_looks"], {"keep": 90.0, "limit": 100}, {"looks_ended"}),
    "findings to prune": (PRUNING["prune_findings"], {"keep": 90.0, "limit": 100}, {"findings_ended"}),
    "jobs to prune": (PRUNING["prune_jobs"], {"keep": 90.0, "limit": 100}, {"reconciliation_jobs_ended"}),
    "looks to give up": (PRUNING["give_up_looks"], {"keep": 90.0, "limit": 100}, {"looks_open"}),
    "readings": (PRUNING["readings"], {}, {"look_entries_pkey"}),
    "hints to take": (HINTS["take"], {"mount": 1, "limit": 100}, {"drift_hints_oldest"}),
}  # fmt: skip

READ = {"consistency", "numbers", "standing findings", "findings by id", "jobs of a mount"}
"""What routes ask: their pool plans for the values"""


@pytest.fixture(scope="module")
async def grown(new_database: Databases) -> AsyncIterator[tuple[Connection, MountId]]:
    async with planted(new_database(), [*FILL[:TREE], *GROWN]) as record:
        yield record


@pytest.mark.parametrize("name", ALL)
async def test_a_query_about_drift_reads_what_it_needs_for(grown: tuple[Connection, MountId], name: str) -> None:
    connection, mount = grown
    query, values, expected = ALL[name]
    if "mount" in values:
        values = values | {"mount": mount}
    nodes = await plan(connection, query, values, generic=name not in READ, run=True)
    assert scanned(nodes) == set()
    assert expected <= indexes(nodes), indexes(nodes)
    assert touched(nodes) < PAGES_MAX
