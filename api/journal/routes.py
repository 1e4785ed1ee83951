"""GET /v1/journal: what was done, by whom, how it ended."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.access.audited import note_read
from api.http import openapi
from api.http.exports import exported
from api.http.fields import read_query
from api.http.responses import JSON
from api.http.routes import Plain
from api.journal.queries import JournalQuery
from api.journal.shapes import JournalEntry, JournalPage
from api.services import front_of
from schema import paths
from schema.access.acts import ActKind
from schema.access.decision import may
from schema.ids import CommandId, MountId, NodeId
from schema.paths import NodePath
from schema.principals import Principal, authorise, readable
from schema.store import journal
from schema.store.journal import EntryPlaces, JournalFilter

router = APIRouter(route_class=Plain, tags=["journal"])


def _following(data: Mapping[str, Any]) -> Mapping[str, str] | None:
    """Newest first to the end; oldest first as far as the journal is settled."""
    page = data["pagination"]
    if not page["more"]:
        return None
    return {"before": str(page["nextBefore"])} if page["nextAfter"] is None else {"after": str(page["nextAfter"])}


@router.get(
    "/v1/journal",
    operation_id="listJournal",
    summary="What was done",
    responses=openapi.listed("A page of entries", JournalPage, "INVALID_PATH", "BACKEND_NOT_FOUND"),
    openapi_extra={"parameters": openapi.list_of(JournalQuery)},
)
@exported("entries", JournalEntry, 200, _following)
async def entries(request: Request) -> Response:
    """Newest first; `before` goes on behind an entry: send `pagination.nextBefore`. To follow, send `after`, first 0, then
    `pagination.nextAfter`: oldest first, and nothing is ever missed. Followers get an entry when everything before it
    has been recorded, mostly within a second. `after` and `before` together bound a range, in either `order`. Failed
    and refused commands are here too, with code and context; administrative acts are shown to tokens with `audit`. A page can
    be short where the token may not read all places: go on while `more`."""
    principal = await admit(request, "read")
    front = front_of(request)
    query = read_query(JournalQuery, request.query_params)
    asked = _asked(query)
    if asked.mount is not None:
        await front.mounts.get(asked.mount, principal.tenant)
    authorise(principal, "read", asked.mount)
    oldest_first = _oldest_first(query)
    page = await front.reads.run(
        lambda connection: journal.entries(
            connection,
            principal.tenant,
            asked,
            limit=query.limit,
            oldest_first=oldest_first,
            shown=_shown(principal, asked),
        )
    )
    filters = query.model_dump(by_alias=True, exclude={"limit", "after", "before"}, mode="json")
    set_ones = query.model_dump(by_alias=True, exclude_unset=True, mode="json")
    await note_read(request, principal, ActKind.READ_JOURNAL, asked.mount, {"asked": set_ones, "last": page.last})
    pagination = {
        "limit": query.limit,
        "more": page.more,
        "nextAfter": (page.last or query.after or 0) if oldest_first else None,
        "nextBefore": page.last if page.more and not oldest_first else None,
    }
    return Response(
        f'{{"data":{{"entries":[{page.items}],"pagination":{orjson.dumps(pagination).decode()},'
        f'"filters":{orjson.dumps(filters).decode()}}}}}'.encode(),
        media_type=JSON,
    )


def _shown(principal: Principal, asked: JournalFilter) -> Callable[[EntryPlaces], bool]:
    """Whether an entry is to be shown: of a move and of a copy both places may be read. Administrative acts need `audit`, and are
    no part of the history of a mount's files: among those they are shown where `command` names them."""
    named = asked.mount is None or any(isinstance(kind, ActKind) for kind in asked.kinds or ())
    audits = named and may(principal.access, "audit").allowed

    def shown(entry: EntryPlaces) -> bool:
        if entry.act:
            return audits
        return not principal.access.narrowed or all(readable(principal, mount, path) for mount, path in entry.places)

    return shown


def _oldest_first(query: JournalQuery) -> bool:
    """As asked; otherwise forward for a client that names a place to go on after."""
    if query.order is not None:
        return query.order == "asc"
    return query.after is not None and query.before is None


def _asked(query: JournalQuery) -> JournalFilter:
    return JournalFilter(
        mount=None if query.backend_mount_id is None else MountId(query.backend_mount_id),
        path=_path(query.path, query.path_b64),
        prefix=_path(query.path_prefix, query.path_prefix_b64),
        node=None if query.node_id is None else NodeId(query.node_id),
        principal=query.principal,
        kinds=query.command,
        outcomes=query.outcome,
        codes=query.code,
        command=None if query.command_id is None else CommandId(query.command_id.lower()),
        operation=query.operation_id,
        atomic=query.atomic_id,
        correlation=query.correlation_id,
        since=query.recorded_from,
        until=query.recorded_to,
        after=query.after,
        before=query.before,
    )


def _path(text: str | None, b64: str | None) -> NodePath | None:
    return None if text is None and b64 is None else paths.decode(text, b64, allow_root=True)
