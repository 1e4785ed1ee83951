"""The contents that an import recorded get their hashes, where that is wanted now."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING
from uuid import UUID

from activities.operations.hashes import hash_some
from activities.operations.import_turns import ImportTurn, counted, goes_on, lock_turn
from schema.faults import areach
from schema.ids import new_command_id
from schema.store import imports as store
from schema.store import operation_turns as turn_store
from schema.store import operations as operation_store

if TYPE_CHECKING:
    from activities.threads import MountThreads
    from schema.store.pool import Pool

_PAGE = 4000
"""Files that are asked for at once"""


async def hash_contents(pool: Pool, threads: MountThreads, turn: ImportTurn) -> None:
    """Until the turn is over, or all contents have a hash. Raises ImportStopped."""
    while monotonic() < turn.until:
        if not await _hash_page(pool, threads, turn):
            return


async def _hash_page(pool: Pool, threads: MountThreads, turn: ImportTurn) -> bool:
    """Whether there is more that may be read at once."""
    place = turn.cursor.get("hashed_to")
    after = (bytes.fromhex(place[0]), bytes.fromhex(place[1])) if place else None
    operation = turn.operation
    async with pool.connection() as connection:
        files, following = await store.unhashed(connection, operation.mount_id, operation.path, after, _PAGE)
    wanted = partial(_wanted, pool, operation.id)
    done = await hash_some(threads, operation.mount_id, turn.executor, files, wanted)
    if not done.whole:
        following = done.place or after
        if following is None:
            return False  # nothing is done yet
    cursor = counted(turn.cursor)
    cursor["hashed_bytes"] = turn.cursor.get("hashed_bytes", 0) + done.size
    cursor["over"] = following is None
    if following is not None:
        cursor["hashed_to"] = [part.hex() for part in following]
    async with pool.connection() as connection, connection.transaction():
        operation = await lock_turn(connection, turn)
        hashed = await store.put_hashes(connection, operation, UUID(new_command_id()), done.hashes)
        cursor["hashed"] = turn.cursor.get("hashed", 0) + hashed
        states = await store.put_items(connection, operation.id, done.items, again=True)
        rate = operation.options.bytes_per_second
        pace = done.size / rate if rate else 0.0
        await store.advance(connection, operation.id, cursor, items=states, seconds=pace)
    turn.cursor = cursor
    await areach("import.hashed")
    return following is not None and not rate


async def _wanted(pool: Pool, id: str) -> bool:
    """Whether it is to go on."""
    async with pool.connection() as connection, connection.transaction():
        locked = await operation_store.lock(connection, id)
        await turn_store.touch(connection, id)
    return locked is not None and goes_on(locked.operation)
