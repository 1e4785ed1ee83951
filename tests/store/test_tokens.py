"""Tokens and grants as rows: what is found for a token, and what Postgres selects by patterns."""

import argparse
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.access.decision import access_of, may
from schema.access.patterns import pattern
from schema.access.places import Places, reach
from schema.access.rules import Grant
from schema.ids import MountId
from schema.paths import NodePath
from schema.principals import TokenLimits
from schema.store import tenants, tokens
from schema.store.tokens import NewToken
from tests.store.helpers import Connection, make_mount
from workers import tokens as operators

NAMES = st.sampled_from([b"a", b"b", b"ab", b"a-", b"a0", b"\xff", "é".encode(), b"x.key", b"A"])
PATHS = st.lists(NAMES, max_size=4).map(lambda names: NodePath(b"/".join(names)))
SUBTREES = ["", "a", "a/b", "ab", "a-", "a0", "é"]
GLOBS = ["*", "a/*", "**/b", "a/**/b", "*.key", "**/*.key", "?", "a?", "[ab]", "[!a]", "é/*", "a.b*", "(*"]
PATTERNS = st.sampled_from([*SUBTREES, *GLOBS]).map(pattern)


@given(st.lists(PATTERNS, max_size=5), st.lists(PATTERNS, max_size=3), st.lists(PATHS, min_size=1, max_size=20))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_postgres_selects_what_the_decision_allows(
    connection: Connection, allowed: list[object], denied: list[object], paths: list[NodePath]
) -> None:
    places = Places(reach(allowed), reach(denied))  # type: ignore[arg-type]
    query = """SELECT p.path FROM unnest(%(paths)s::bytea[]) AS p(path)
                WHERE %(all_readable)s OR filestore.held_v1(p.path, %(allowed)s::bytea[], %(allowed_glob)s)
                      AND NOT filestore.held_v1(p.path, %(denied)s::bytea[], %(denied_glob)s)"""
    cursor = await connection.execute(query, {"paths": [path.raw for path in paths], **places.values()})
    selected = [bytes(row["path"]) for row in await cursor.fetchall()]
    assert selected == [path.raw for path in paths if places.hold(path)]


async def test_a_token_is_found_with_all_it_was_given(connection: Connection) -> None:
    mount = await make_mount(connection)
    grants = [Grant("team", scopes=("filestore:write",), mount=mount), Grant("team/**/*.key", "deny")]
    new = NewToken(principal="ann", scopes=["read"], grants=grants, limits=TokenLimits(2.5, 3))
    _, token = await tokens.issue(connection, new)
    found = await tokens.find(connection, tokens.digest(token))
    assert found is not None and found.limits == TokenLimits(2.5, 3)
    assert may(found.access, "write", mount, NodePath(b"team/a")).allowed
    assert not may(found.access, "read", mount, NodePath(b"team/a/x.key")).allowed
    assert await tokens.find(connection, tokens.digest(token), found) is found, "what has not changed is not read anew"


async def test_a_change_makes_another_state_and_is_seen(connection: Connection) -> None:
    id, token = await tokens.create(connection, "ann", ["write"])
    first = await tokens.find(connection, tokens.digest(token))
    assert first is not None
    await tokens.change(connection, id, {"scopes": ["read"]}, [Grant("a")])
    second = await tokens.find(connection, tokens.digest(token), first)
    assert second is not None and second.state != first.state
    assert may(second.access, "read", MountId(1), NodePath(b"a")).allowed
    assert not may(second.access, "write", MountId(1), NodePath(b"a")).allowed
    assert await tokens.standing(connection, [id, 2**40]) == {id: second.state, 2**40: None}
    loaded = await tokens.load_access(connection, id)
    assert loaded is not None and loaded.rules == second.access.rules


async def test_after_a_rotation_both_hold_until_the_old_one_ends(connection: Connection) -> None:
    id, old = await tokens.create(connection, "ann", ["read"])
    new = await tokens.rotate(connection, id, 60)
    assert new is not None and new != old
    for token in (old, new):
        found = await tokens.find(connection, tokens.digest(token))
        assert found is not None and found.token_id == id
    await connection.execute("UPDATE filestore.tokens SET previous_until = now() WHERE id = %s", [id])
    assert await tokens.find(connection, tokens.digest(old)) is None
    newest = await tokens.rotate(connection, id, 0)
    assert newest is not None and await tokens.find(connection, tokens.digest(new)) is None, "no grace, no old one"
    await tokens.rotate(connection, id, 60)
    assert await tokens.revoke(connection, id)
    assert await tokens.find(connection, tokens.digest(newest)) is None, "revoked with what it was before"
    assert await tokens.rotate(connection, id, 60) is None


async def test_a_suspended_tenant_is_part_of_a_tokens_state(connection: Connection) -> None:
    await tenants.create(connection, "theirs", "Theirs", None)
    assert not await tenants.create(connection, "theirs", None, None)
    _, token = await tokens.create(connection, "ann", ["write"], tenant="theirs")
    before = await tokens.find(connection, tokens.digest(token))
    for suspended, reads in (("changes", True), ("all", False)):
        assert await tenants.change(connection, "theirs", {"suspended": suspended})
        found = await tokens.find(connection, tokens.digest(token), before)
        assert found is not None and not may(found.access, "write").allowed
        assert may(found.access, "read").allowed is reads
    await tenants.change(connection, "theirs", {"suspended": None})
    found = await tokens.find(connection, tokens.digest(token), before)
    assert found is before
    [(_, document)] = await tenants.listed(connection, only="theirs")
    assert '"tokens" : 1' in document


async def test_an_expired_token_is_not_found(connection: Connection) -> None:
    _, token = await tokens.create(connection, "ann", ["read"], expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert await tokens.find(connection, tokens.digest(token)) is None


async def test_the_bootstrap_token_loses_its_grants(connection: Connection) -> None:
    token = tokens.mint()
    await tokens.ensure_bootstrap(connection, token)
    first = await tokens.find(connection, tokens.digest(token))
    assert first is not None
    await tokens.change(connection, first.token_id, {}, [Grant("a", "deny")])
    await tokens.ensure_bootstrap(connection, token)
    found = await tokens.find(connection, tokens.digest(token))
    assert found is not None and found.access.rules == access_of(["admin"]).rules


async def test_operators_make_list_rotate_and_revoke(record_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    def asked(*words: str) -> argparse.Namespace:
        return operators.parser().parse_args([*words, "--tenant", "locked-out"])

    assert await operators.run(record_url, asked("create", "ann", "--scope", "admin", "--expires-in", "60")) == 0
    token = capsys.readouterr().out.strip()
    async with await Connection.connect(record_url) as connection:
        cursor = await connection.execute("SELECT id FROM filestore.tokens WHERE hash = %s", [tokens.digest(token)])
        [(id,)] = await cursor.fetchall()
    assert await operators.run(record_url, asked("rotate", str(id))) == 0
    assert tokens.is_token(capsys.readouterr().out.strip())
    assert await operators.run(record_url, asked("list")) == 0
    assert f'"id" : {id}' in capsys.readouterr().out
    assert await operators.run(record_url, asked("revoke", str(id))) == 0
    assert await operators.run(record_url, asked("revoke", str(id))) == 1
    assert await operators.run(record_url, asked("rotate", str(id))) == 1
    assert await operators.run(record_url, asked("list")) == 0
    assert capsys.readouterr().out == ""
    async with await Connection.connect(record_url) as connection:
        cursor = await connection.execute(
            "SELECT kind FROM filestore.journal_entries WHERE tenant = 'locked-out' ORDER BY id"
        )
        kinds = [row[0] for row in await cursor.fetchall()]  # type: ignore[index]
    assert kinds == ["createToken", "rotateToken", "revokeToken"]
