"""A command is looked at again when it begins: what its token lost meanwhile it may not do, and it ends as refused."""

from collections.abc import Sequence
from typing import Any

import pytest

from schema.access.acts import ActKind, AdministrativeAct
from schema.access.rules import Grant
from schema.commands.command import Command, CommandKind
from schema.commands.verdicts import Go, Refuse, Replay
from schema.ids import MountId, NodeId
from schema.principals import Principal
from schema.store import acts, tenants, tokens
from schema.store import check as check_store
from schema.store.pool import Pool
from schema.store.tokens import NewToken
from tests.store.helpers import Protocol, asked, delete, mkdir, upload


async def token(pool: Pool, *scopes: str, grants: Sequence[Grant] = (), tenant: str = "main") -> int:
    async with pool.connection() as connection, connection.transaction():
        new = NewToken(principal="ann", scopes=scopes, grants=grants, tenant=tenant)
        id, _ = await tokens.issue(connection, new)
    return id


async def change(pool: Pool, id: int, grants: Sequence[Grant]) -> None:
    async with pool.connection() as connection, connection.transaction():
        await tokens.change(connection, id, {}, grants)


async def code(protocol: Protocol, mount: MountId, request: Command) -> str | None:
    verdict = (await protocol.run(mount, request))[request.id]
    if isinstance(verdict, Refuse):
        assert "Nothing was changed" in verdict.error.message or verdict.error.code != "FORBIDDEN"
        return verdict.error.code
    assert isinstance(verdict, Go | Replay)
    return None


async def test_a_grant_that_is_gone_when_a_command_begins_refuses_it(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    id = await token(pool, "write", grants=[Grant("a")])
    assert await code(protocol, mount, mkdir(mount, "a", token_id=id)) is None
    await change(pool, id, [Grant("a"), Grant("a/b", "deny", scopes=("filestore:write",))])
    assert await code(protocol, mount, mkdir(mount, "a/b", token_id=id)) == "FORBIDDEN"
    assert await code(protocol, mount, mkdir(mount, "a/c", token_id=id)) is None
    await change(pool, id, [Grant("b")])
    taken = mkdir(mount, "a/c", token_id=id)
    assert await code(protocol, mount, taken) == "FORBIDDEN", "and not that the name is taken"


async def test_a_revoked_token_begins_nothing_and_its_ended_commands_keep_their_answers(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    id = await token(pool, "write")
    done = mkdir(mount, "a", token_id=id, key="done")
    assert await code(protocol, mount, done) is None
    async with pool.connection() as connection:
        await tokens.revoke(connection, id)
    assert await code(protocol, mount, mkdir(mount, "b", token_id=id)) == "FORBIDDEN"
    again = mkdir(mount, "a", token_id=id, key="done")
    assert isinstance((await protocol.run(mount, again))[again.id], Replay)


async def test_an_act_on_a_mount_is_no_command_to_the_check(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    await protocol.run(mount, mkdir(mount, "a"))
    async with pool.connection() as connection:
        before, _ = await check_store.record(connection, mount)
        kind, by = ActKind.UPDATE_MOUNT, Principal("ann", "main", 1)
        await acts.record(
            connection, AdministrativeAct(kind=kind, tenant="main", by=by, mount=mount, after={"id": mount})
        )
        after, _ = await check_store.record(connection, mount)
    assert after.journal == before.journal


async def test_a_suspended_tenant_begins_nothing(protocol: Protocol, pool: Pool, mount: MountId) -> None:
    name = f"suspended-{mount}"
    id = await token(pool, "write", tenant=name)
    async with pool.connection() as connection:
        await tenants.create(connection, name, None, "changes")
    assert await code(protocol, mount, mkdir(mount, "a", token_id=id)) == "FORBIDDEN"


async def test_a_directory_goes_whole_only_where_all_below_it_may(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    await protocol.run(mount, mkdir(mount, "d"), mkdir(mount, "t"), upload(mount, "f"))
    await protocol.run(mount, mkdir(mount, "d/kept"))
    id = await token(
        pool, "write", grants=[Grant("d/kept", "deny", scopes=("filestore:delete",)), Grant("**/*.key", "deny")]
    )
    for refused in (
        delete(mount, "d", recursive=True, token_id=id),
        asked(CommandKind.MOVE, mount, "d", target="t/d", token_id=id),
        asked(CommandKind.COPY, mount, "d", target="t/d", token_id=id),
    ):
        assert await code(protocol, mount, refused) == "FORBIDDEN"
    assert await code(protocol, mount, asked(CommandKind.MOVE, mount, "f", target="t/f", token_id=id)) is None, "a file"


@pytest.mark.parametrize("key", ["operation/x/1/back/3", "operation/x/1/3"])
async def test_only_the_way_back_of_an_operation_is_open_to_a_revoked_token(key: str) -> None:
    from activities.commands.rights import Rights

    class Nothing:
        async def execute(self, *_: Any) -> Any:
            raise AssertionError("it is asked about")

    command = mkdir(MountId(1), "a", key=key, operation_id="x", node_id=NodeId(1))
    if "/back/" in key:
        assert (await Rights().standing(Nothing(), [command])) is not None  # type: ignore[arg-type]
    else:
        with pytest.raises(AssertionError, match="it is asked about"):
            await Rights().standing(Nothing(), [command])  # type: ignore[arg-type]
