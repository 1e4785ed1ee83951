"""Projects: made, looked at, changed, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from activities.sync.pages import TierOrder
from api.access.admission import admit
from api.http import openapi
from api.http.body import read_json
from api.http.exports import exported
from api.http.fields import read_query
from api.http.routes import Plain
from api.services import front_of
from api.sync.bodies import NewProjectBody, ProjectChangesBody, ProjectsQuery
from api.sync.found import PATH_NAME, answer, authorise_project, note, project_of
from api.sync.shapes import ProjectPage, ProjectShape
from schema.access.acts import ActKind
from schema.errors import ProjectExists, WrongState
from schema.ids import MountId
from schema.principals import readable
from schema.store import freezes, objects, project_log, projects, revisions
from schema.store.projects import NewProject, Project
from schema.sync.happenings import state_changed
from schema.sync.merge import ConflictRule
from workflows.sync.start import work
from workflows.sync.tiers import ProjectJob

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["projects"])

_BODY = openapi.body_of(NewProjectBody, {"name": "site", "backendMountId": 1})
_CHANGES = openapi.body_of(ProjectChangesBody, {"conflictRule": "keep_both"})
_CREATE_REFUSALS = ("BACKEND_NOT_FOUND", "FORBIDDEN", "PROJECT_EXISTS", "FROZEN")
_SHOWN: dict[int, Any] = {200: ("The project", ProjectShape)}


@router.post(
    "/v1/projects",
    status_code=201,
    operation_id="createProject",
    summary="Make a project",
    responses=openapi.answers({201: ("The project", ProjectShape)}, *_CREATE_REFUSALS),
    openapi_extra={"requestBody": _BODY},
)
async def create(request: Request) -> Response:
    """A tree of files that follows to every server that attaches a folder to it. `backendMountId`: where it is cold."""
    principal = await admit(request, "mounts")
    front, body = front_of(request), await read_json(request, NewProjectBody)
    mount = await front.mounts.get(MountId(body.backend_mount_id), principal.tenant)
    authorise_project(principal, "mounts", mount.id)
    new = NewProject(
        tenant=principal.tenant, name=body.name, mount=mount.id, principal=principal.name, description=body.description,
        rule=ConflictRule(body.conflict_rule), promotion=body.promotion, keep_days=body.keep_days,
        evict_after=body.evict_after_seconds, hot_max=body.hot_max_bytes, decide_after=body.decide_after_seconds,
        decide_as=body.decide_as,
    )  # fmt: skip
    async with front.services.pool.connection() as connection, connection.transaction():
        await freezes.check(connection, principal.tenant, mount.id)
        made = await projects.create(connection, new)
        if made is None:
            raise ProjectExists()
        await note(connection, request, principal, made, ActKind.CREATE_PROJECT, settings=_settings(body))
        return answer(await _document(connection, made), 201)


@router.get(
    "/v1/projects",
    operation_id="listProjects",
    summary="The projects",
    responses=openapi.listed("A page of projects", ProjectPage),
    openapi_extra={"parameters": openapi.list_of(ProjectsQuery)},
)
@exported("projects", ProjectShape, 200)
async def listed(request: Request) -> Response:
    """By name. A page can be short where the token may not read all mounts: go on until `nextCursor` is null."""
    principal = await admit(request, "read")
    query = read_query(ProjectsQuery, request.query_params)
    async with front_of(request).services.pool.connection() as connection:
        found = await projects.listed(connection, principal.tenant, query.cursor, query.limit)
        shown = [await _document(connection, one) for one in found if readable(principal, one.mount)]
    following = found[-1].name if len(found) == query.limit else None
    return answer({"projects": shown, "pagination": {"limit": query.limit, "nextCursor": following}})


@router.get(
    "/v1/projects/{name}",
    operation_id="getProject",
    summary="A project",
    responses=openapi.answers(_SHOWN, "NOT_FOUND"),
    openapi_extra={"parameters": [PATH_NAME]},
)
async def show(request: Request) -> Response:
    """Its head, what it holds, and in which state its contents are."""
    _, project = await project_of(request, "read")
    async with front_of(request).services.pool.connection() as connection:
        return answer(await _document(connection, project))


@router.patch(
    "/v1/projects/{name}",
    operation_id="updateProject",
    summary="Change a project",
    responses=openapi.answers(_SHOWN, "NOT_FOUND", "FORBIDDEN"),
    openapi_extra={"parameters": [PATH_NAME], "requestBody": _CHANGES},
)
async def change(request: Request) -> Response:
    """Its rule for conflicts, how durable a commit has to be, how long former contents are kept."""
    principal, project = await project_of(request, "mounts")
    body = await read_json(request, ProjectChangesBody)
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        await note(connection, request, principal, project, ActKind.UPDATE_PROJECT, settings=_settings(body))
        await projects.change(
            connection, project.id, description=body.description, promotion=body.promotion, keep_days=body.keep_days,
            rule=None if body.conflict_rule is None else ConflictRule(body.conflict_rule), evict_after=body.evict_after_seconds,
            hot_max=body.hot_max_bytes, decide_after=body.decide_after_seconds, decide_as=body.decide_as,
        )  # fmt: skip
        changed = await projects.of_id(connection, project.id)
        assert changed is not None
        return answer(await _document(connection, changed))


@router.delete(
    "/v1/projects/{name}",
    operation_id="deleteProject",
    summary="Delete a project",
    responses=openapi.answers(_SHOWN, "NOT_FOUND", "FORBIDDEN", "WRONG_STATE", "FROZEN"),
    openapi_extra={"parameters": [PATH_NAME]},
)
async def delete(request: Request) -> Response:
    """Its nodes keep their folders, and follow no more. Its name is free at once; its contents go when `keepDays` are over."""
    principal, project = await project_of(request, "mounts")
    front = front_of(request)
    async with front.services.pool.connection() as connection, connection.transaction():
        await freezes.check(connection, project.tenant, project.mount)
        if not await projects.set_state(connection, project.id, ("active", "inactive"), "deleted"):
            raise WrongState(
                "The project is being deactivated or reactivated; wait for that to end.", state=project.state
            )
        await revisions.tell(connection, project, [state_changed(project, "deleted", principal.name)])
        await note(connection, request, principal, project, ActKind.DELETE_PROJECT)
        deleted = await projects.of_id(connection, project.id)
        assert deleted is not None
        shown = await _document(connection, deleted)
    front.services.announce()
    front.services.start(work, job=ProjectJob("delete", TierOrder(project.mount, project.id)))
    return answer(shown)


def _settings(body: NewProjectBody | ProjectChangesBody) -> dict[str, Any]:
    """What was asked for."""
    return body.model_dump(mode="json", by_alias=True, exclude_unset=True)


async def _document(connection: Connection, project: Project) -> dict[str, Any]:
    totals = await objects.totals(connection, project.id)
    nodes = [one for one in await projects.nodes(connection, project.id) if one["state"] == "attached"]
    conflicts = await project_log.count_conflicts(connection, project.id)
    return {
        "id": project.uuid, "name": project.name, "backendMountId": project.mount, "description": project.description,
        "state": project.state, "tier": _tier(totals), "conflictRule": project.rule.value, "promotion": project.promotion,
        "keepDays": project.keep_days, "evictAfterSeconds": project.evict_after, "hotMaxBytes": project.hot_max,
        "decideAfterSeconds": project.decide_after, "decideAs": project.decide_as, "revision": project.revision,
        "manifestSha": project.manifest, "files": project.files, "sizeBytes": project.size,
        "objects": {tier: {"objects": number, "sizeBytes": size} for tier, (number, size) in totals.items()},
        "nodes": len(nodes), "conflicts": conflicts, "principal": project.principal, "createdAt": project.created_at,
        "updatedAt": project.updated_at,
    }  # fmt: skip


def _tier(totals: dict[str, tuple[int, int]]) -> str:
    hot = any(tier in totals for tier in ("hot", "hot_cold"))
    cold = any(tier in totals for tier in ("cold", "restoring", "rehydrating", "evicting"))
    return "mixed" if hot and cold else "cold" if cold else "hot"
