"""The Metastore's consumer: a batch of the feed, or of the nodes, becomes records; its cursor moves in the same transaction.

It takes in, in this order: directories about which an event said something of all that is below; all nodes, where events are
gone that it has not seen; the next events. A process that dies leaves its last batch undone, and the next one does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schema.faults import areach
from schema.store import metastore as store

if TYPE_CHECKING:
    from schema.consumers.following import Following
    from schema.store.connection import Connection
    from schema.store.metastore import Cursor, TreeChild, TreeRest
    from schema.store.pool import Pool

EVENTS = 2000
"""Events of a batch: some 100 ms, so that a route that makes a record need not wait long."""


class Metastore:
    name = "metastore"

    def __init__(self, pool: Pool, batch: int = EVENTS) -> None:
        self._pool, self._batch = pool, batch

    async def step(self) -> int:
        """Take in the next batch; how much was in it. 0: there is nothing, or another process is at it."""
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await store.take_cursor(connection)
            taken = 0 if cursor is None else await self._take(connection, cursor)
            if taken:
                await areach("metastore.taken")
            elif cursor is not None:
                await store.look(connection)
        return taken

    async def complain(self, problem: str) -> None:
        """Say in the record why it stands still."""
        async with self._pool.connection() as connection:
            await store.look(connection, problem)

    async def state(self) -> Following:
        async with self._pool.connection() as connection:
            return await store.state(connection)

    async def _take(self, connection: Connection, cursor: Cursor) -> int:
        if tree := await store.next_tree(connection):
            return await self._take_tree(connection, cursor, tree)
        if cursor.scanned is None and cursor.position < cursor.pruned:
            await store.begin_scan(connection)
            return 1
        if cursor.scanned is not None:
            return await self._take_nodes(connection, cursor, cursor.scanned, cursor.scan_last or 0)
        return await self._take_events(connection, cursor)

    async def _take_events(self, connection: Connection, cursor: Cursor) -> int:
        page = await store.page(connection, cursor.position, self._batch)
        if page.last is None:
            return 0
        await store.sync(connection, page.items)
        if page.trees:
            await store.queue_trees(connection, page.trees)
        await store.move(connection, page.last, None, len(page.items))
        return page.last - cursor.position

    async def _take_nodes(self, connection: Connection, cursor: Cursor, scanned: int, last: int) -> int:
        nodes = await store.scan(connection, scanned, last, self._batch)
        await store.sync(connection, [{"node": node} for node in nodes])
        at = nodes[-1] if len(nodes) == self._batch else None
        await store.move(connection, cursor.position, at, len(nodes))
        return len(nodes) + 1

    async def _take_tree(self, connection: Connection, cursor: Cursor, tree: TreeRest) -> int:
        found = await store.children(connection, tree, self._batch)
        await store.sync(
            connection, [{"node": one.id, "told": True, "origin": one.origin, **tree.facts} for one in found]
        )
        await store.queue_trees(connection, [_below(one, tree) for one in found if one.directory])
        await store.go_on(connection, tree.id, found[-1].name if len(found) == self._batch else None)
        await store.move(connection, cursor.position, cursor.scanned, len(found))
        return len(found) + 1


def _below(child: TreeChild, tree: TreeRest) -> dict[str, Any]:
    buried = None if tree.buried is None else tree.buried.isoformat()
    return {"node": child.id, "origin": child.origin, "buried": buried, "facts": tree.facts}
