"""Every query about links, approvals and locks of objects finds what it needs by index beside 1,000,000 of each."""

from collections.abc import AsyncIterator
from typing import Any, LiteralString

import pytest

from schema.ids import MountId
from schema.sql import load
from tests.store.conftest import Databases
from tests.store.full_record import FILL, TREE, planted
from tests.store.helpers import Connection
from tests.store.plans import PAGES_MAX, indexes, plan, touched

pytestmark = pytest.mark.slow

LINKS, APPROVALS, LOCKS, HOLDS = load("links"), load("approvals"), load("object_locks"), load("holds")
QUOTAS, REQUEST_KEYS = load("quotas"), load("request_keys")
GROWN = [
    """INSERT INTO filestore.tokens (tenant, principal, hash, hint, scopes)
       SELECT 'main', 'p' || i, sha256(i::text::bytea), 'fst_', '{read}' FROM generate_series(1, 1000000) i""",
    """INSERT INTO filestore.projects (tenant, name, mount_id, manifest, principal)
       SELECT 'main', 'p' || i, %(mount)s, sha256(i::text::bytea), 'ann' FROM generate_series(1, 20000) i""",
    """INSERT INTO filestore.links (tenant, token_id, principal, mount_id, path, kind, key, requests_per_second, revoked_at)
       SELECT CASE WHEN i %% 5000 = 0 THEN 'main' ELSE 'other' END, i, 'p' || i, %(mount)s, ('p' || i)::bytea, 'read',
              'sealed:k:' || i, 10,
              CASE WHEN i %% 3 = 0 THEN now() END FROM generate_series(1, 1000000) i""",
    """INSERT INTO filestore.approvals (tenant, act, subject, version, mount_id, shown, request, reason, requester, approvers,
           needed, state, ended_at, expires_at, remind_seconds)
       SELECT CASE WHEN i %% 2500 = 0 THEN 'main' ELSE 'other' END, 'purge', 's' || i, '1', %(mount)s, '{}', '{}', 'why',
              'p' || i, '{ben}', 1, CASE WHEN i %% 5000 = 0 THEN 'waiting' ELSE 'done' END, CASE WHEN i %% 5000 <> 0 THEN now() END,
              now() + interval '1 day', 100000 FROM generate_series(1, 1000000) i""",
    """INSERT INTO filestore.approval_votes (approval_id, principal, yes)
       SELECT i, 'ben', true FROM generate_series(1, 1000000) i""",
    """INSERT INTO filestore.holds (tenant, mount_id, path, kind, reason, created_by, released_by, released_at, lock_state,
           lock_due)
       SELECT 'main', %(mount)s, ('p' || i)::bytea, 'legal', 'why', 'ann', 'ann', now(),
              CASE WHEN i %% 5000 = 0 THEN 'unlocking' ELSE 'unlocked' END, CASE WHEN i %% 5000 = 0 THEN now() END
         FROM generate_series(1, 1000000) i""",
    """INSERT INTO filestore.object_locks (hold_id, object_key, version_id, legal)
       SELECT 1 + i %% 1000, 'k' || i, 'v' || i, true FROM generate_series(1, 1000000) i""",
    """INSERT INTO filestore.quotas (tenant, mount_id, path, max_bytes, trash, created_by)
       SELECT 'main', %(mount)s, ('p' || i)::bytea, 1, true, 'x' FROM generate_series(1, 1000) i""",
    """INSERT INTO filestore.quota_kept (quota_id, content_place, node_id, size_bytes)
       SELECT 1 + i %% 100000, ('20260101/' || i)::bytea, i, 1 FROM generate_series(1, 1000000) i""",
    """INSERT INTO filestore.charges (mount_id, principal, size_bytes, node_count, quota_id)
       SELECT %(mount)s, NULL, i, 1, CASE WHEN i <= 1000 THEN i ELSE i + 1000000 END FROM generate_series(1, 20000) i""",
    """INSERT INTO filestore.charge_deltas (mount_id, principal, size_bytes, node_count, quota_id)
       SELECT %(mount)s, 'user', i, 1, CASE WHEN i %% 100 = 0 THEN i %% 5000 END FROM generate_series(1, 50000) i""",
    """INSERT INTO filestore.request_keys (tenant, principal, key, hash, made, created_at)
       SELECT 'main', 'p' || i %% 100, 'k' || i, sha256(i::text::bytea), i::text, now() - (i || ' seconds')::interval
         FROM generate_series(1, 1000000) i""",
    "ANALYZE",
]
COMES_BACK = """SELECT filestore.quota_keeps_v1(q, -1, jsonb_build_object('node', 499, 'place', encode('20260101/499', 'hex')))
  FROM filestore.quotas q WHERE q.id = %(id)s"""
KEYS = {"keys": "{k1,k2}", "versions": "{v1,v2}"}
KEYED = {"tenant": "main", "principal": "p7", "key": "k7"}
SMALL = {"backend_mounts", "tenants", "object_lock_proofs", "grants"}
SAME = {"tenant": "main", "requester": "p5000", "act": "purge", "subject": "s5000", "version": "1"}

ALL: dict[str, tuple[LiteralString, dict[str, Any], set[str]]] = {
    "a link that is used": (LINKS["find"], {"id": 500}, {"links_pkey", "tokens_pkey"}),
    "a use of a link": (LINKS["use"], {"id": 500}, {"links_pkey"}),
    # By the id alone, or by tenant and id: both indexes find the one row.
    "the end of a link": (LINKS["revoke"], {"id": 500, "tenant": "main"}, set()),
    "the key of a link": (LINKS["keep_key"], {"id": 500, "key": "sealed:k:x"}, {"links_pkey"}),
    "links": (LINKS["list"], {"tenant": "main", "only": None, "mount": None, "before": None, "limit": 26}, {"links_of"}),
    "links behind one": (
        LINKS["list"], {"tenant": "main", "only": None, "mount": None, "before": 900000, "limit": 26}, {"links_of"},
    ),
    "approvals": (
        APPROVALS["list"], {"tenant": "main", "only": None, "before": None, "state": None, "limit": 26}, {"approvals_tenant"},
    ),
    "an approval": (APPROVALS["lock"], {"id": 5000, "tenant": "main"}, {"approval_votes_pkey"}),
    "the same that waits": (APPROVALS["open"], SAME, {"approvals_open"}),
    "an approval that expires": (APPROVALS["expire"], {"id": 5000}, {"approvals_pkey"}),
    "an approval that is told of again": (APPROVALS["remind"], {"id": 5000}, {"approvals_pkey"}),
    "how an approval stands": (APPROVALS["moment"], {"id": 5000}, {"approvals_pkey"}),
    "whose an approval is": (APPROVALS["tenant"], {"id": 5000}, {"approvals_pkey"}),
    "acts that are agreed to": (APPROVALS["agreed"], {}, {"approvals_open"}),
    "approvals that no workflow keeps": (APPROVALS["overdue"], {"seconds": 5.0}, {"approvals_open"}),
    "mounts with locks that are due": (LOCKS["due_mounts"], {"mounts": [1], "seconds": 9.0}, {"holds_lock_due"}),
    "a hold whose locks are due": (LOCKS["due"], {"mount": 1}, {"holds_lock_due"}),
    "a held file": (LOCKS["file_at"], {"mount": 1, "directory": b"5/", "name": b"7"}, {"nodes_directory"}),
    "files below a hold": (
        LOCKS["page"], {"mount": 1, "directory": b"5/", "high": b"50", "name": b"7", "limit": 200}, {"nodes_directory"},
    ),
    "directories behind them": (
        LOCKS["behind"], {"mount": 1, "directory": b"5/", "high": b"\xff"}, {"nodes_directory"},
    ),
    "objects that are noted": (LOCKS["note"], {"hold": 5, "legal": True, **KEYS}, set()),
    "objects that are locked": (
        LOCKS["locked"], {"hold": 5, "noted": 2, "directory": b"", "name": b"", "done": True, "problem": None, "seconds": 9.0,
                          **KEYS}, {"object_locks_pkey"},
    ),
    "objects to unlock": (
        LOCKS["to_unlock"], {"hold": 5, "mount": 1, "after_key": "", "after_version": "", "limit": 200}, {"object_locks_object"},
    ),
    "objects that are not locked any more": (LOCKS["drop"], {"hold": 5, **KEYS}, {"object_locks_pkey"}),
    "a hold that is unlocked": (
        LOCKS["unlocked"], {"hold": 5, "gone": 2, "directory": None, "name": None, "at_end": True, "problem": None,
                            "seconds": 9.0}, {"object_locks_pkey"},
    ),
    "a quota that ends": (
        QUOTAS["remove"], {"id": 500}, {"quota_kept_pkey", "charges_quota", "charge_deltas_quota", "quotas_pkey"},
    ),
    "what comes back from the trash": (COMES_BACK, {"id": 500}, {"quotas_pkey"}),
    "a key of a request": (REQUEST_KEYS["find"], KEYED, {"request_keys_pkey"}),
    "a key that is taken": (REQUEST_KEYS["take"], KEYED | {"hash": b"0" * 32}, set()),
    "what was made under a key": (REQUEST_KEYS["keep"], KEYED | {"made": "7"}, {"request_keys_pkey"}),
    "keys that are kept no longer": (
        REQUEST_KEYS["forget"], {"keep": 86_400.0, "limit": 100}, {"request_keys_age", "request_keys_pkey"},
    ),
    "whether a mount has holds or locks": (HOLDS["on_mount"], {"mount": 1}, {"holds_lock_due"}),
}  # fmt: skip

READ = {"links", "links behind one", "approvals"}
"""What routes ask: their pool plans for the values"""


@pytest.fixture(scope="module")
async def grown(new_database: Databases) -> AsyncIterator[tuple[Connection, MountId]]:
    async with planted(new_database(), [*FILL[:TREE], *GROWN], "s3") as record:
        yield record


@pytest.mark.parametrize("name", ALL)
async def test_a_query_about_access_reads_what_it_needs_for(grown: tuple[Connection, MountId], name: str) -> None:
    connection, mount = grown
    query, values, expected = ALL[name]
    if "mount" in values and values["mount"] is not None:
        values = values | {"mount": mount}
    if "mounts" in values:
        values = values | {"mounts": [mount]}
    nodes = await plan(connection, query, values, generic=name not in READ, run=True)
    assert {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"} <= SMALL
    assert expected <= indexes(nodes), indexes(nodes)
    assert touched(nodes) < PAGES_MAX
