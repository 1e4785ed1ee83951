"""What a command leaves on its storage is what its executor says, whatever kind of storage that is."""

from dataclasses import replace

from schema.commands.command import Command, CommandKind
from schema.commands.payloads import Ended
from schema.ids import CommandId, MountId
from schema.store import leftovers as leftover_store
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, mkdir, upload


async def carried_out(
    protocol: Protocol, mount: MountId, request: Command, leaves: bool | None, holds: bool | None
) -> Ended:
    (going,) = (await protocol.begin(mount, [request])).go
    applied = protocol.applied(going.id, size=request.size)
    return await protocol.commit(mount, [replace(applied, leaves=leaves, holds=holds)])


async def claimed(pool: Pool, command: CommandId) -> set[bytes]:
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT path FROM filestore.claims WHERE command_id = %s", (command,))
        return {bytes(row["path"]) for row in await cursor.fetchall()}


async def cleared(pool: Pool, mount: MountId) -> list[CommandId]:
    async with pool.connection() as connection:
        found = await leftover_store.leftovers(connection, mount, None)
        await leftover_store.close_leftovers(connection, [one.cleanup for one in found])
    return [one.row.id for one in found]


def moved(mount: MountId) -> Command:
    return asked(CommandKind.MOVE, mount, "a", target="b")


async def test_nothing_is_cleared_where_the_executor_leaves_nothing(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    for request in (upload(mount, "a"), moved(mount)):
        assert (await carried_out(protocol, mount, request, False, False)).leftovers == []
        assert await claimed(pool, request.id) == set()
    assert await cleared(pool, mount) == []


async def test_what_the_executor_leaves_is_cleared_and_the_old_name_is_held_until_then(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    new, move = upload(mount, "a"), moved(mount)
    assert (await carried_out(protocol, mount, new, True, False)).leftovers == [new.id]
    assert await claimed(pool, new.id) == set()
    assert (await carried_out(protocol, mount, move, True, True)).leftovers == [move.id]
    assert await claimed(pool, move.id) == {b"a"}, "what was moved lies there still"
    assert await cleared(pool, mount) == [new.id, move.id]
    assert await claimed(pool, move.id) == set()


async def test_of_what_an_earlier_release_applied_all_that_it_may_have_left_is_looked_for(
    protocol: Protocol, pool: Pool, mount: MountId
) -> None:
    """Its `apply` has ended and its `commit` runs here: the payload does not say what was left."""
    new, move, gone = upload(mount, "a"), moved(mount), asked(CommandKind.DELETE, mount, "b")
    for request in (new, move):
        assert (await carried_out(protocol, mount, request, None, None)).leftovers == [request.id]
    assert await claimed(pool, move.id) == {b"a"}
    assert await cleared(pool, mount) == [new.id, move.id]
    assert await claimed(pool, move.id) == set(), "the name is free again"
    assert (await carried_out(protocol, mount, gone, None, None)).leftovers == [], "a delete leaves nothing"
    assert (await carried_out(protocol, mount, mkdir(mount, "a"), False, False)).leftovers == []
