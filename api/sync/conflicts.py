"""The inbox of conflicts: both contents are there; one is chosen, or both."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from activities.sync.commit import CommitRef
from api.http import openapi
from api.http.body import read_json
from api.http.exports import exported
from api.http.fields import read_query
from api.http.routes import Plain
from api.services import front_of
from api.sync.bodies import ConflictDecision, ConflictsQuery
from api.sync.commits import news_of, refusal
from api.sync.found import PATH_NAME, answer, note, project_of
from api.sync.shapes import ConflictPage, ConflictShape, Decided
from schema.access.acts import ActKind
from schema.errors import Unavailable
from schema.store import freezes, project_log, revisions
from schema.store.revisions import ChangeBatch
from schema.sync.happenings import INBOX, shown_path
from workflows.sync.start import commit as carry_out

if TYPE_CHECKING:
    from schema.store.connection import DictRow

router = APIRouter(route_class=Plain, tags=["projects"])

_BODY = openapi.body_of(ConflictDecision, {"ids": [1], "decision": "loser"})


@router.get(
    "/v1/projects/{name}/conflicts",
    operation_id="listConflicts",
    summary="What two nodes changed without knowing of each other",
    responses=openapi.listed("A page of conflicts", ConflictPage, "NOT_FOUND"),
    openapi_extra={"parameters": [PATH_NAME, *openapi.list_of(ConflictsQuery)]},
)
@exported("conflicts", ConflictShape, 200)
async def listed(request: Request) -> Response:
    """The oldest first. Both contents can be read, at `/objects/{sha}`; the loser's is kept while its conflict is open."""
    _, project = await project_of(request, "read")
    query = read_query(ConflictsQuery, request.query_params)
    async with front_of(request).services.pool.connection() as connection:
        rows = await project_log.conflicts(connection, project.id, query.state, query.cursor, query.limit)
    following = str(rows[-1]["id"]) if len(rows) == query.limit else None
    page = {"limit": query.limit, "nextCursor": following}
    return answer({"conflicts": [_document(row) for row in rows], "pagination": page})


@router.post(
    "/v1/projects/{name}/conflicts/decide",
    operation_id="decideConflicts",
    summary="Choose",
    responses=openapi.answers({200: ("How many were decided", Decided)}, "NOT_FOUND", "FORBIDDEN", "FROZEN"),
    openapi_extra={"parameters": [PATH_NAME], "requestBody": _BODY},
)
async def decide(request: Request) -> Response:
    """`winner`: what stands there stays. `loser`: its content takes the place. `both`: it gets a name beside it. Those that are
    decided already are left out. What is put back is a commit of its own."""
    principal, project = await project_of(request, "write")
    front, body = front_of(request), await read_json(request, ConflictDecision)
    async with front.services.pool.connection() as connection, connection.transaction():
        await freezes.check(connection, project.tenant, project.mount)
        rows = await project_log.open_conflicts(connection, project.id, body.ids)
    changes = [one for row in rows if (one := project_log.decided_change(row, body.decision)) is not None]
    if changes:
        batch = uuid.uuid4().hex
        offered = ChangeBatch(batch, INBOX, principal.name, batch.encode(), None, changes)
        async with front.services.pool.connection() as connection:
            await revisions.offer(connection, project.id, offered)
        ref = CommitRef(project.mount, project.id, batch, project.tenant, project.uuid)
        end = await front.services.carry(carry_out, ref=ref, node=INBOX)
        if end.code == "frozen":
            raise refusal(end.code, end.outcome)
        if end.code:
            raise Unavailable("The chosen contents could not be committed. Decide again.", code=end.code)
        news_of(request).rang(project.uuid)
    async with front.services.pool.connection() as connection, connection.transaction():
        ids = [row["id"] for row in rows]
        decided = await project_log.decide(connection, project.id, ids, body.decision, principal.name)
        told = {"conflicts": ids, "decision": body.decision}
        await note(connection, request, principal, project, ActKind.DECIDE_PROJECT_CONFLICTS, **told)
    return answer({"decided": decided})


def _document(row: DictRow) -> dict[str, Any]:
    return {
        "id": row["id"], "revision": row["revision"], **shown_path("path", row["path"]), "rule": row["rule"],
        "winnerSha": row["winner"], "loserSha": row["loser"], "loserSizeBytes": row["loser_size"],
        "loserNode": row["loser_node"], "keptAs": None if row["kept_as"] is None else row["kept_as"].decode("utf-8", "replace"),
        "state": row["state"], "decision": row["decision"], "decidedBy": row["decided_by"], "decidedAt": row["decided_at"],
        "createdAt": row["created_at"],
    }  # fmt: skip
