"""What is done with contents of a project: promote, evict, pin, repair, deactivate, reactivate, collect; its jobs and metrics."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from activities.sync.pages import order_of
from api.http import openapi
from api.http.body import read_json
from api.http.exports import exported
from api.http.fields import read_query
from api.http.routes import Plain
from api.services import front_of
from api.sync.bodies import EvictBody, NothingBody, PathsBody, PinBody, ProjectJobsQuery
from api.sync.found import PATH_NAME, answer, contents_of, note, path_part, project_of
from api.sync.shapes import JobPage, JobShape, Pinned, ProjectMetrics
from schema.access.acts import ActKind
from schema.errors import NotFound, WrongState
from schema.principals import Principal
from schema.store import freezes, objects, project_log, project_numbers, projects, revisions
from schema.sync.happenings import state_changed
from schema.sync.jobs import JobProgress, totals_of
from schema.sync.ranks import WorkRank, name_of, rank_in, rank_of
from workflows.sync.start import stop, work
from workflows.sync.tiers import ProjectJob

if TYPE_CHECKING:
    from schema.store.connection import DictRow
    from schema.store.projects import Project

router = APIRouter(route_class=Plain, tags=["projects"])
Handler = Callable[[Request], Awaitable[Response]]

_NAME = [PATH_NAME]
_JOB: dict[int, Any] = {202: ("The job", JobShape)}
_REFUSALS = ("NOT_FOUND", "FORBIDDEN", "WRONG_STATE")
_FREEZABLE = (*_REFUSALS, "FROZEN")
_NOTHING = openapi.body_of(NothingBody, {})
_EVICT = openapi.body_of(EvictBody, {"idleSeconds": 86400})
_PIN = openapi.body_of(PinBody, {"until": "2026-12-01T00:00:00Z"})
_PATHS = openapi.body_of(PathsBody, {"paths": ["current"]})
_JOB_ID = path_part("job", "The job", "01900000-0000-7000-8000-000000000000")
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


def _job(verb: str, operation_id: str, summary: str, body: dict[str, Any] = _NOTHING) -> Callable[[Handler], Handler]:
    """A route that begins a job of a project."""
    return router.post(
        f"/v1/projects/{{name}}/{verb}",
        status_code=202,
        operation_id=operation_id,
        summary=summary,
        responses=openapi.answers(_JOB, *_FREEZABLE),
        openapi_extra={"parameters": _NAME, "requestBody": body},
    )


@_job("promote", "promoteProject", "Make contents hot", _PATHS)
async def promote(request: Request) -> Response:
    """All that is cold comes into the hot store, too; with `paths` what these have, and all below them: before it is needed."""
    principal, project = await project_of(request, "operate")
    body = await read_json(request, PathsBody)
    options = {"first": body.encoded, "only": True} if body.encoded else {}
    rank = rank_of(body.priority, paths_alone=bool(options))
    return await _begun(request, principal, project, "promote", options, rank)


@_job("evict", "evictProject", "Take contents out of the hot store", _EVICT)
async def evict(request: Request) -> Response:
    """What has a cold copy, and is not pinned; each copy is verified right before. `idleSeconds`: only what was not used for so
    long."""
    principal, project = await project_of(request, "operate")
    body = await read_json(request, EvictBody)
    return await _begun(
        request, principal, project, "evict", {"idle": body.idle_seconds}, rank_of(body.priority, paths_alone=False)
    )


@_job("repair", "repairProject", "Look for all contents")
async def repair(request: Request) -> Response:
    """Both stores are asked for all that they should have. What one has lost comes from the other; what both have, from a node."""
    principal, project = await project_of(request, "operate")
    return await _begun(request, principal, project, "repair")


@_job("resync", "resyncProject", "Tell the hot store anew")
async def resync(request: Request) -> Response:
    """Its pointer and index are written anew from the record, and contents that it has lost are looked for."""
    principal, project = await project_of(request, "operate")
    async with front_of(request).services.pool.connection() as connection:
        await projects.republish(connection, project.id)
    return await _begun(request, principal, project, "repair")


@_job("gc", "collectProject", "Collect what nothing needs")
async def collect(request: Request) -> Response:
    """Contents that neither the tree, nor a former one that is kept, nor the inbox refers to are condemned, looked at again after
    the grace time, and deleted."""
    principal, project = await project_of(request, "operate")
    return await _begun(request, principal, project, "gc")


@_job("deactivate", "deactivateProject", "Make a project cold")
async def deactivate(request: Request) -> Response:
    """Nodes commit what they have (`flushing`), then it takes no commits. All is archived and verified, the hot store is emptied,
    and nodes take the files out of their folders, but for what they could not commit and what is left out."""
    principal, project = await project_of(request, "operate")
    return await _begun(request, principal, project, "deactivate", froms=("active",), state="flushing")


@_job("reactivate", "reactivateProject", "Make a project hot again", _PATHS)
async def reactivate(request: Request) -> Response:
    """It takes commits at once, and contents are read from the cold store until they are hot. `paths`: those whose contents are hot
    first."""
    principal, project = await project_of(request, "operate")
    body = await read_json(request, PathsBody)
    rank = rank_of(body.priority, paths_alone=False)
    return await _begun(
        request,
        principal,
        project,
        "reactivate",
        {"first": body.encoded},
        rank,
        froms=("inactive",),
        state="reactivating",
    )


async def _begun(
    request: Request, principal: Principal, project: Project, kind: str, options: dict[str, Any] | None = None,
    rank: WorkRank = WorkRank.NORMAL, *, froms: tuple[str, ...] = (), state: str = "",
) -> Response:  # fmt: skip
    """With `paths` alone its totals are not known. What is promoted is read on the mount; all else may change what lies there."""
    services = front_of(request).services
    chosen = (options or {}) | {"rank": int(rank)}
    async with services.pool.connection() as connection, connection.transaction():
        if kind != "promote":
            await freezes.check(connection, project.tenant, project.mount)
        before = (0, 0) if chosen.get("only") else totals_of(kind, await objects.totals(connection, project.id))
        id = str(uuid.uuid4())
        row, new = await projects.begin_job(connection, id, project.id, kind, chosen, principal.name, before)
        if new and state:
            if not await projects.set_state(connection, project.id, froms, state):
                raise WrongState(f"The project is {project.state}.", state=project.state)
            await revisions.tell(connection, project, [state_changed(project, state, principal.name)])
        if new:
            told = {"job": id, "work": kind, "options": chosen}
            await note(connection, request, principal, project, ActKind.BEGIN_PROJECT_JOB, **told)
    order = order_of(project.mount, project.id, str(row["id"]), row["options"])
    services.start(work, job=ProjectJob(kind, order, services.settings.sync_grace_seconds))
    services.announce()
    return answer(_document(row), 202)


@router.post(
    "/v1/projects/{name}/pin",
    operation_id="pinProject",
    summary="Keep contents hot",
    responses=openapi.answers({200: ("How many", Pinned)}, "NOT_FOUND", "FORBIDDEN"),
    openapi_extra={"parameters": _NAME, "requestBody": _PIN},
)
async def pin(request: Request) -> Response:
    """They are not evicted before `until`, or at all without it. Without `shas`: all that there are now."""
    return await _pinned(request, lambda body: body.until or FOREVER)


@router.post(
    "/v1/projects/{name}/unpin",
    operation_id="unpinProject",
    summary="Let contents be evicted",
    responses=openapi.answers({200: ("How many", Pinned)}, "NOT_FOUND", "FORBIDDEN"),
    openapi_extra={"parameters": _NAME, "requestBody": openapi.body_of(PinBody, {})},
)
async def unpin(request: Request) -> Response:
    """Those that were pinned before."""
    return await _pinned(request, lambda body: None)


async def _pinned(request: Request, until_of: Callable[[PinBody], datetime | None]) -> Response:
    principal, project = await project_of(request, "operate")
    body = await read_json(request, PinBody)
    until = until_of(body)
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        pinned = await objects.pin(connection, project.id, body.shas, until)
        told = {"objects": body.shas, "until": None if until is None else until.isoformat(), "pinned": pinned}
        await note(connection, request, principal, project, ActKind.PIN_PROJECT_CONTENTS, **told)
    return answer({"pinned": pinned})


@router.get(
    "/v1/projects/{name}/jobs",
    operation_id="listProjectJobs",
    summary="The jobs of a project",
    responses=openapi.listed("A page of jobs", JobPage, "NOT_FOUND"),
    openapi_extra={"parameters": [PATH_NAME, *openapi.list_of(ProjectJobsQuery)]},
)
@exported("jobs", JobShape, 200)
async def jobs(request: Request) -> Response:
    """The newest first, with how far each is."""
    _, project = await project_of(request, "read")
    query = read_query(ProjectJobsQuery, request.query_params)
    async with front_of(request).services.pool.connection() as connection:
        rows = await projects.jobs(connection, project.id, query.limit, _place(query.cursor))
    following = f"{rows[-1]['started_at'].isoformat()}~{rows[-1]['id']}" if len(rows) == query.limit else None
    page = {"limit": query.limit, "nextCursor": following}
    return answer({"jobs": [_document(row) for row in rows], "pagination": page})


@router.post(
    "/v1/projects/{name}/jobs/{job}/cancel",
    status_code=202,
    operation_id="cancelProjectJob",
    summary="Stop a job",
    responses=openapi.answers({202: ("The job, which stops soon", JobShape)}, *_REFUSALS),
    openapi_extra={"parameters": [PATH_NAME, _JOB_ID], "requestBody": _NOTHING},
)
async def cancel(request: Request) -> Response:
    """It ends behind the contents that it is at, as `cancelled`. A project that was to be deactivated is active as before; what had
    become cold by then, or hot, stays so."""
    _, project = await project_of(request, "operate")
    services = front_of(request).services
    async with services.pool.connection() as connection:
        row = await projects.ask_cancel(connection, project.id, _job_id(request))
        if row is None:
            raise NotFound("The project has no running job of this id. GET .../jobs lists them.")
    services.start(stop, project=project.id, kind=row["kind"])
    return answer(_document(row), 202)


def _job_id(request: Request) -> str:
    try:
        return str(uuid.UUID(request.path_params["job"]))
    except ValueError:
        raise NotFound("This is no id of a job. GET .../jobs lists them.") from None


@router.get(
    "/v1/projects/{name}/metrics",
    operation_id="getProjectMetrics",
    summary="What there is to measure of a project",
    responses=openapi.answers({200: ("Numbers", ProjectMetrics)}, "NOT_FOUND"),
    openapi_extra={"parameters": _NAME},
)
async def metrics(request: Request) -> Response:
    """Hot and cold bytes and objects, how far behind each node is, what waits in the inbox, how many reads were hot, what was
    committed in the last minute, and how long the last rehydration took."""
    _, project = await project_of(request, "read")
    async with front_of(request).services.pool.connection() as connection:
        totals = await objects.totals(connection, project.id)
        nodes = await projects.nodes(connection, project.id)
        conflicts = await project_log.count_conflicts(connection, project.id)
        activity = await project_numbers.activity(connection, project.id)
    hot = [totals[tier] for tier in ("hot", "hot_cold") if tier in totals]
    cold = [totals[tier] for tier in ("hot_cold", "evicting", "cold", "restoring", "rehydrating") if tier in totals]
    return answer({
        "hotObjects": sum(one[0] for one in hot), "hotBytes": sum(one[1] for one in hot),
        "coldObjects": sum(one[0] for one in cold), "coldBytes": sum(one[1] for one in cold),
        "missingObjects": totals.get("missing", (0, 0))[0], "revision": project.revision,
        "unpublished": project.revision - project.published, "conflicts": conflicts,
        "lag": {one["name"]: one["lag"] for one in nodes if one["state"] == "attached"},
        "hitRatio": contents_of(request).traffic.hit_ratio(project.id), "commitsPerMinute": activity.commits,
        "changesPerMinute": activity.changes, "rehydration": _rehydration(activity.rehydrated),
    })  # fmt: skip


def _rehydration(last: tuple[int, int, float] | None) -> dict[str, Any] | None:
    return None if last is None else {"objects": last[0], "sizeBytes": last[1], "seconds": last[2]}


def _place(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    at, _, id = cursor.partition("~")
    try:
        return datetime.fromisoformat(at), str(uuid.UUID(id))
    except ValueError:
        raise NotFound("This cursor is of no list of jobs.") from None


def _document(row: DictRow) -> dict[str, Any]:
    progress = JobProgress(row["items_done"], row["items_total"], row["bytes_done"], row["bytes_total"], row["seconds"])
    return {
        "id": str(row["id"]), "kind": row["kind"], "state": row["state"], "phase": row["phase"], "itemsDone": row["items_done"],
        "bytesDone": row["bytes_done"], "itemsTotal": row["items_total"] or None, "bytesTotal": row["bytes_total"] or None,
        "etaSeconds": progress.eta if row["state"] == "running" else None, "problem": row["problem"],
        "priority": name_of(rank_in(row["options"])), "principal": row["principal"],
        "startedAt": row["started_at"], "endedAt": row["ended_at"],
    }  # fmt: skip
