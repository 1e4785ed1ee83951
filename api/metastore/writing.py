"""Change what is said of a node: one transaction from the version that the client means to the record that it gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.requests import Request

from activities.metastore.schemas import fitting
from api.http.keys import read_correlation
from api.metastore.conditions import check_version
from api.services import front_of
from schema.errors import NodeNotFound
from schema.ids import NodeId
from schema.metastore.changes import RecordAuthor
from schema.metastore.namespaces import settle
from schema.metastore.records import Description, tidy
from schema.principals import Principal, authorise, readable
from schema.store import freezes
from schema.store import records as store
from schema.store.records import HeldRecord, RecordDocument

if TYPE_CHECKING:
    from schema.store.connection import Connection

Change = Callable[[Description], Description]


async def write(
    request: Request, principal: Principal, node: NodeId, version: int | None, change: Change, *, asks_namespace: bool
) -> RecordDocument:
    """Makes the record where the feed has not told of its node yet. Raises NodeNotFound, VersionConflict, InvalidRequest."""
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        was = await _held(connection, principal, node)
        check_version(version, was.version)
        now = tidy(change(was.described))
        rule = await store.rule(connection, principal.tenant, was.mount, was.path)
        settled = settle(now.namespace, rule, asked=asks_namespace)
        now = Description(settled.namespace, now.tags, now.owner, now.metadata)
        schema = await fitting(connection, principal.tenant, now)
        by = _author(request, principal)
        await store.change(connection, was, now, change="updated", by=by, schema=schema, violation=settled.violation)
        document = await shown(connection, principal, node)
    front_of(request).services.announce()
    return document


async def remove(request: Request, principal: Principal, node: NodeId, version: int | None) -> RecordDocument:
    """Close a record and forget what was said; its history keeps it. Raises NodeNotFound, VersionConflict."""
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        was = await _held(connection, principal, node)
        check_version(version, was.version)
        if not was.removed:
            now, by = Description(was.described.namespace), _author(request, principal)
            await store.change(connection, was, now, change="removed", by=by, schema=None, violation=None, removed=True)
        document = await shown(connection, principal, node)
    front_of(request).services.announce()
    return document


def _author(request: Request, principal: Principal) -> RecordAuthor:
    """Raises InvalidRequest: its name for the piece of work is none."""
    return RecordAuthor.asking(principal, request.scope.get("request_id"), read_correlation(request.headers))


async def shown(connection: Connection, principal: Principal, node: NodeId) -> RecordDocument:
    found = await store.document(connection, node, principal.tenant)
    if found is None:
        raise NodeNotFound()
    return found


async def _held(connection: Connection, principal: Principal, node: NodeId) -> HeldRecord:
    """Raises NodeNotFound, Forbidden, Frozen."""
    place = await store.node_place(connection, node, principal.tenant)
    if place is None or not readable(principal, place.mount, place.path):
        raise NodeNotFound()
    authorise(principal, "describe", place.mount, place.path)
    await freezes.check(connection, principal.tenant, place.mount)
    held = await store.hold(connection, node, principal.tenant) or await store.make(connection, node, principal.tenant)
    if held is None:
        raise NodeNotFound()
    return held
