"""Mounts: list, show, register, change. Secrets go in and never come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access import acts
from api.access.admission import admit, admit_everywhere
from api.access.approval_shapes import WAITS
from api.access.keyed import keyed, made_earlier, note
from api.access.second_person import second_person
from api.http import openapi, responses
from api.http.body import read_json
from api.http.exports import by_offset, exported
from api.http.fields import read_query
from api.http.ids import read_mount_id
from api.http.responses import JSON, pagination
from api.http.routes import Plain
from api.mounts import credentials, register
from api.mounts.bodies import MountChanges, MountCredentials, MountsQuery, NewMountBody, RemoveQuery
from api.mounts.locations import check_location
from api.mounts.register import WriteAct
from api.mounts.shapes import Mount, MountPage
from api.services import Front, front_of
from schema.access.acts import ActKind
from schema.access.approvals import ApprovalAct
from schema.errors import BackendNotFound
from schema.ids import MountId
from schema.paths import ROOT
from schema.principals import Principal, authorise
from schema.store import mounts
from schema.store.approvals import Matter

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["mounts"])

_SECRETS = frozenset({"config"})
_REFUSALS = ("EXECUTOR_NOT_FOUND", "PAYLOAD_TOO_LARGE", "MOUNT_OFFLINE", "STORAGE_FULL")
_CREDENTIALS = openapi.body_of(MountCredentials, {"accessKeyId": "...", "secretAccessKey": "..."})
_NEW = {"mountKey": "projects", "backendKind": "local", "rootPath": "/srv/projects"}
_CHANGES = openapi.body_of(MountChanges, {"state": "inactive", "stateReason": "moving to a new disk"})


@router.get(
    "/v1/backend-mounts",
    operation_id="listMounts",
    summary="The mounts",
    responses=openapi.listed("A page of mounts", MountPage),
    openapi_extra={"parameters": openapi.list_of(MountsQuery)},
)
@exported("mounts", Mount, 100, by_offset)
async def listed(request: Request) -> Response:
    """Of the caller's tenant, by id. `search` looks in key, name, description and contact, in any case."""
    principal = await admit(request, "read")
    query = read_query(MountsQuery, request.query_params)
    async with front_of(request).services.pool.connection() as connection:
        page = await mounts.listed(
            connection, principal.tenant, kinds=query.kinds, states=query.states, access_modes=query.access_modes,
            search=query.search or None, limit=query.limit, offset=query.offset, among=principal.access.mounts("read"),
            without=principal.access.closed_mounts("read"),
        )  # fmt: skip
    filters_set = query.model_dump(by_alias=True, exclude={"limit", "offset"})
    filters = orjson.dumps(
        filters_set | {name: filters_set[name] or [] for name in ("kinds", "states", "accessModes")}
    ).decode()
    return Response(
        f'{{"data":{{"mounts":[{page.items}],"pagination":{pagination(page.total, query.limit, query.offset)},'
        f'"filters":{filters}}}}}'.encode(),
        media_type=JSON,
    )


@router.get(
    "/v1/backend-mounts/{id}",
    operation_id="getMount",
    summary="A mount",
    responses=openapi.answers({200: ("The mount", Mount)}, "BACKEND_NOT_FOUND"),
    openapi_extra={"parameters": [openapi.path_id("The mount")]},
)
async def show(request: Request) -> Response:
    """Its secrets are never shown."""
    principal, mount = await admit(request, "read"), read_mount_id(request)
    authorise(principal, "read", mount)
    return await _shown(front_of(request), principal, mount, 200)


@router.post(
    "/v1/backend-mounts",
    status_code=201,
    operation_id="createMount",
    summary="Register a mount",
    responses=openapi.answers({201: ("Registered", Mount)}, "IDEMPOTENCY_CONFLICT", *_REFUSALS),
    openapi_extra=openapi.keyed(openapi.body_of(NewMountBody, _NEW)),
)
async def create(request: Request) -> Response:
    """Administrators only. The root of a local mount must exist on this host; Filestore keeps its own folder `.filestore` in
    it. Secrets in `config` (accessKeyId, secretAccessKey, sessionToken, ...) are stored apart and never come back. The same request
    under the same key makes no other mount."""
    principal = await admit_everywhere(request, "mounts")
    front = front_of(request)
    body = await read_json(request, NewMountBody)
    services, asked = front.services, keyed(request, principal, body, secrets=_SECRETS)
    async with services.pool.connection() as connection:
        known = await made_earlier(connection, asked)
    if known is not None:
        return await _shown(front, principal, MountId(int(known)), 201)
    act = _act(request, principal, None, ActKind.CREATE_MOUNT)

    async def made(connection: Connection, of: MountId, **fields: dict[str, Any]) -> None:
        await act(connection, of, **fields)
        await note(connection, asked, of)

    await check_location(services.settings, body.root_path, body.config or {})
    mount = await register.register(
        services.settings,
        services.pool,
        services.executors,
        register.new_mount(body, principal.tenant),
        services.keys,
        adopt=body.adopt,
        act=made,
    )
    front.mounts.forget()
    return await _shown(front, principal, mount, 201)


@router.patch(
    "/v1/backend-mounts/{id}",
    operation_id="updateMount",
    summary="Change a mount",
    responses=openapi.answers({200: ("The mount", Mount)}, "BACKEND_NOT_FOUND", "PATH_BUSY", *_REFUSALS),
    openapi_extra={"parameters": [openapi.path_id("The mount")], "requestBody": _CHANGES},
)
async def update(request: Request) -> Response:
    """Administrators only. Only the fields that are sent change; a secret that is sent as null is withdrawn. The root changes
    only while the mount is inactive and no command of it is running; its epoch rises then."""
    principal = await admit(request, "mounts")
    front = front_of(request)
    mount = read_mount_id(request)
    authorise(principal, "mounts", mount, ROOT)
    body = await read_json(request, MountChanges)
    if register.names_secrets(body):
        authorise(principal, "credentials", mount, ROOT)
    await check_location(front.services.settings, body.root_path, body.config or {})
    await register.change(front, principal, mount, body, _act(request, principal, mount, ActKind.UPDATE_MOUNT))
    front.mounts.forget()
    await front.services.executors.refresh()
    return await _shown(front, principal, mount, 200)


@router.delete(
    "/v1/backend-mounts/{id}",
    status_code=204,
    operation_id="removeMount",
    summary="Remove a mount",
    responses=openapi.answers({202: WAITS, 204: "Removed"}, "BACKEND_NOT_FOUND", "PATH_BUSY", "CHILDREN_EXIST"),
    openapi_extra={"parameters": [openapi.path_id("The mount"), *openapi.query_of(RemoveQuery)]},
)
async def remove(request: Request) -> Response:
    """Administrators only. Refused while it has nodes, unless `forget=true`. No byte of its storage is touched: its files, and our
    own folder with what was kept, stay where they are, and `adopt: true` makes the place a mount again. What the journal says of
    it stays."""
    principal = await admit(request, "mounts")
    front, mount = front_of(request), read_mount_id(request)
    authorise(principal, "mounts", mount, ROOT)
    query = read_query(RemoveQuery, request.query_params)
    act = _act(request, principal, mount, ActKind.REMOVE_MOUNT)

    async def agreed(connection: Connection, of: MountId, **fields: dict[str, Any]) -> None:
        seen = fields["before"]
        matter = Matter(subject=f"mount/{of}", version=str(seen.get("updatedAt")), shown=seen, mount=of)
        await second_person(connection, request, principal, ApprovalAct.REMOVE_MOUNT, matter)
        await act(connection, of, **fields)

    await register.remove(front, principal, mount, agreed, forget=query.forget)
    front.mounts.forget()
    await front.services.executors.refresh()
    return Response(status_code=204)


@router.put(
    "/v1/backend-mounts/{id}/credentials",
    operation_id="changeMountCredentials",
    summary="Change the secrets of a mount",
    responses=openapi.answers({200: ("The mount", Mount)}, "BACKEND_NOT_FOUND", "NOT_SUPPORTED", *_REFUSALS),
    openapi_extra={"parameters": [openapi.path_id("The mount")], "requestBody": _CREDENTIALS},
)
async def change_credentials(request: Request) -> Response:
    """The new ones are tried first: where the storage does not show the mount under them, the old ones stay. Only those that are
    sent change; null withdraws one. Processes use the new ones within seconds, without a restart. The journal names them,
    and not what they are."""
    principal, mount = await admit(request, "credentials"), read_mount_id(request)
    authorise(principal, "credentials", mount, ROOT)
    front, body = front_of(request), await read_json(request, MountCredentials)
    act = _act(request, principal, mount, ActKind.CHANGE_CREDENTIALS)
    await credentials.change(front, principal, mount, body.named(), act)
    front.mounts.forget()
    await front.services.executors.refresh()
    return await _shown(front, principal, mount, 200)


def _act(request: Request, principal: Principal, mount: MountId | None, kind: ActKind) -> WriteAct:
    """Writes down what is done, in the transaction that does it."""

    async def write(connection: Connection, of: MountId, **fields: dict[str, Any]) -> None:
        told = acts.ActDetails(**fields)
        await acts.record(connection, request, principal, kind, told, mount=mount or of)

    return write


async def _shown(front: Front, principal: Principal, mount: MountId, status: int) -> Response:
    async with front.services.pool.connection() as connection:
        document = await mounts.show(connection, mount, principal.tenant)
    if document is None:
        raise BackendNotFound(backendMountId=mount)
    answer = responses.data(document, status)
    if status == 201:
        answer.headers["location"] = f"/v1/backend-mounts/{mount}"
    return answer
