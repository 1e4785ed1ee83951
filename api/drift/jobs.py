"""Reconciliations by hand: ask for one, list them, look at one."""

from __future__ import annotations

from functools import partial

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from activities.drift.jobs import JobRef
from api.access.admission import admit
from api.access.keyed import keep, keyed, made_before
from api.drift.bodies import NewReconciliation
from api.drift.queries import JobsQuery
from api.drift.shapes import Enqueued, JobPage, ReconciliationJob
from api.http import openapi, responses
from api.http.body import read_json
from api.http.exports import by_offset, exported
from api.http.fields import read_query
from api.http.ids import read_drift_id
from api.http.responses import JSON, pagination
from api.http.routes import Plain
from api.services import front_of
from schema import paths
from schema.errors import NotFound
from schema.ids import MountId
from schema.principals import Principal, authorise, readable
from schema.store import reconciliations as store
from workflows.drift.start import reconcile

router = APIRouter(route_class=Plain, tags=["drift"])

_REFUSALS = ("BACKEND_NOT_FOUND", "INVALID_PATH", "FORBIDDEN", "IDEMPOTENCY_CONFLICT")
_BODY = openapi.body_of(NewReconciliation, {"backendMountId": 1, "path": "projects", "detectChildren": True})


@router.post(
    "/v1/reconciliation",
    status_code=202,
    operation_id="reconcile",
    summary="Compare a place with its storage",
    responses=openapi.answers({202: ("Queued", Enqueued)}, *_REFUSALS),
    openapi_extra=openapi.keyed(_BODY),
)
async def ask(request: Request) -> Response:
    """Look at a path on the storage, with `detectChildren` at everything below it, and let the record follow what is there, also
    where the mount only observes. What is gone is looked for everywhere, twice, before its node is `missing`. The job tells
    how it ends; so does the event `filestore.reconciliation.job.completed`. The same request under the same key is the same job."""
    principal = await admit(request, "reconcile")
    front, body = front_of(request), await read_json(request, NewReconciliation)
    path = paths.decode(body.path, body.path_b64, allow_root=True)
    mount = await front.mounts.get(MountId(body.backend_mount_id), principal.tenant)
    authorise(principal, "reconcile", mount.id, path, tree=body.detect_children)
    new = store.NewJob(
        principal.tenant, principal.name, mount.id, path, body.reason, body.node_id, body.detect_children,
        bool(body.requested_hash),
    )  # fmt: skip
    asked = keyed(request, principal, body)
    async with front.services.pool.connection() as connection, connection.transaction():
        known = await made_before(connection, asked)
        job = int(known) if known is not None else await store.ask(connection, new)
        await keep(connection, asked, job)
    if known is None:
        front.services.announce()
        front.services.start(reconcile, mount=mount.id, job=JobRef(job, principal.tenant))
    shown = {"enqueued": True, "id": job, "jobId": job, "jobKey": f"reconcile:{mount.id}:{job}"}
    answer = responses.data(orjson.dumps(shown).decode(), 202)
    answer.headers["location"] = f"/v1/reconciliation/jobs/{job}"
    return answer


@router.get(
    "/v1/reconciliation/jobs",
    operation_id="listReconciliations",
    summary="Reconciliations by hand",
    responses=openapi.listed("A page of jobs", JobPage, "INVALID_PATH"),
    openapi_extra={"parameters": openapi.list_of(JobsQuery)},
)
@exported("jobs", ReconciliationJob, 200, by_offset)
async def listed(request: Request) -> Response:
    """Of the caller's tenant, the newest first."""
    principal = await admit(request, "read")
    query = read_query(JobsQuery, request.query_params)
    asked = store.JobFilter(
        None if query.backend_mount_id is None else MountId(query.backend_mount_id),
        None if query.path is None else paths.parse(query.path, allow_root=True),
        query.status,
    )
    async with front_of(request).services.pool.connection() as connection:
        jobs, total = await store.listed(
            connection, principal.tenant, asked, limit=query.limit, offset=query.offset, seen=_seen(principal)
        )
    shown = ",".join(job.text for job in jobs)
    filters = {"backendMountId": query.backend_mount_id, "path": query.path, "status": query.status or []}
    return Response(
        f'{{"data":{{"jobs":[{shown}],"pagination":{pagination(total, query.limit, query.offset)},'
        f'"filters":{orjson.dumps(filters).decode()}}}}}'.encode(),
        media_type=JSON,
    )


def _seen(principal: Principal) -> store.Seen | None:
    """A token without grants reads all that its tenant has."""
    return partial(readable, principal) if principal.access.narrowed else None


@router.get(
    "/v1/reconciliation/jobs/{id}",
    operation_id="getReconciliation",
    summary="A reconciliation by hand",
    responses=openapi.answers({200: ("The job", ReconciliationJob)}, "NOT_FOUND"),
    openapi_extra={"parameters": [openapi.path_id("The job")]},
)
async def show(request: Request) -> Response:
    """How far it is, and how it ended."""
    principal = await admit(request, "read")
    async with front_of(request).services.pool.connection() as connection:
        job = await store.document(connection, read_drift_id(request), principal.tenant)
    if job is None or not readable(principal, job.mount, job.path):
        raise NotFound("There is no such job.")
    return responses.data(job.text)
