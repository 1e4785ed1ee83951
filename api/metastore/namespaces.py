"""Namespaces: what kinds of things records are, which paths belong to them, and what their metadata must look like."""

import json
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from psycopg.errors import UniqueViolation
from starlette.responses import Response

from activities.metastore.schemas import check_schema
from api.access import acts
from api.access.admission import admit, admit_everywhere
from api.http import openapi, responses
from api.http.body import read_json
from api.http.exports import exported, in_one
from api.http.routes import Plain
from api.metastore.bodies import NamespaceRule, NewNamespace
from api.metastore.conditions import check_version, wanted_version
from api.metastore.shapes import Namespace, NamespaceList
from api.metastore.switch import refuse_if_off
from api.services import front_of
from schema import paths
from schema.access.acts import ActKind
from schema.errors import InvalidRequest, NotFound
from schema.ids import MountId
from schema.metastore.namespaces import checked_name
from schema.store import records as store
from schema.store.records import RecordDocument

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["metastore"])

_OFF = "NOT_SUPPORTED"
_REFUSALS = ("BACKEND_NOT_FOUND", "INVALID_PATH", "VERSION_CONFLICT", "PAYLOAD_TOO_LARGE", _OFF)
_NAME = {
    "name": "name", "in": "path", "required": True, "description": "The namespace", "schema": {"type": "string"},
    "example": "reports",
}  # fmt: skip
_BODY = openapi.body_of(
    NewNamespace,
    {"name": "reports", "schema": {"type": "object"}, "rules": [{"pathPrefix": "reports", "mode": "correct"}]},
)


@router.get(
    "/v1/metastore/namespaces",
    operation_id="listNamespaces",
    summary="Namespaces",
    responses=openapi.listed("All of them", NamespaceList, _OFF),
    openapi_extra={"parameters": [openapi.FORMAT]},
)
@exported("namespaces", Namespace, 200, in_one)
async def every(request: Request) -> Response:
    """Those that say something of their records. A record may be in any other one, too."""
    principal = await admit(request, "read")
    refuse_if_off(request)
    async with front_of(request).services.pool.connection() as connection:
        found = await store.namespaces(connection, principal.tenant)
    return responses.data(f'{{"namespaces":[{",".join(one.text for one in found)}]}}')


@router.get(
    "/v1/metastore/namespaces/{name}",
    operation_id="getNamespace",
    summary="A namespace",
    responses=openapi.answers({200: ("The namespace", Namespace)}, "NOT_FOUND", _OFF),
    openapi_extra={"parameters": [_NAME]},
)
async def show(request: Request) -> Response:
    """Its schema and its rules."""
    principal = await admit(request, "read")
    refuse_if_off(request)
    async with front_of(request).services.pool.connection() as connection:
        return _shown(await _found(connection, principal.tenant, request.path_params["name"]))


@router.post(
    "/v1/metastore/namespaces",
    status_code=201,
    operation_id="createNamespace",
    summary="Make a namespace, or change it",
    responses=openapi.answers({201: ("The namespace", Namespace)}, *_REFUSALS),
    openapi_extra={"requestBody": _BODY},
)
async def create(request: Request) -> Response:
    """All that it says: schema and rules that are left out are taken away. A rule holds at its path and below it, the longest
    one where several do. `refuse` tells a client that names another namespace so, and marks a record that was moved there as a
    `violation`; `correct` puts it right. Records that are there already are looked at again."""
    return await _put(request, None, 201)


@router.put(
    "/v1/metastore/namespaces/{name}",
    operation_id="putNamespace",
    summary="Make a namespace, or change it",
    responses=openapi.answers({200: ("The namespace", Namespace)}, *_REFUSALS),
    openapi_extra={"parameters": [_NAME], "requestBody": _BODY},
)
async def put(request: Request) -> Response:
    """As POST, with the name in the address."""
    return await _put(request, request.path_params["name"], 200)


@router.delete(
    "/v1/metastore/namespaces/{name}",
    status_code=204,
    operation_id="deleteNamespace",
    summary="Forget a namespace",
    responses=openapi.answers({204: "It is gone"}, "NOT_FOUND", _OFF),
    openapi_extra={"parameters": [_NAME]},
)
async def delete(request: Request) -> Response:
    """Its rules and its schema go. Its records stay in it."""
    principal = await admit_everywhere(request, "mounts")
    refuse_if_off(request)
    name = request.path_params["name"]
    async with front_of(request).services.pool.connection() as connection, connection.transaction():
        if await store.hold_namespace(connection, principal.tenant, name) is None:
            raise NotFound("There is no such namespace.")
        told = acts.ActDetails(before=_told(await _found(connection, principal.tenant, name)))
        await store.drop_namespace(connection, principal.tenant, name)
        await acts.record(connection, request, principal, ActKind.REMOVE_NAMESPACE, told)
    return Response(status_code=204)


async def _put(request: Request, named: str | None, status: int) -> Response:
    principal = await admit_everywhere(request, "mounts")
    refuse_if_off(request)
    front, body = front_of(request), await read_json(request, NewNamespace)
    name = checked_name(named or body.name or "")
    if body.schema_ is not None:
        check_schema(body.schema_)
    for rule in body.rules:
        if rule.backend_mount_id is not None:
            await front.mounts.get(MountId(rule.backend_mount_id), principal.tenant)
    rules = [_stored(rule) for rule in body.rules]
    version = wanted_version(request.headers, None, body.version)
    try:
        async with front.services.pool.connection() as connection, connection.transaction():
            check_version(version, await store.hold_namespace(connection, principal.tenant, name) or 0)
            before = await _found(connection, principal.tenant, name)
            await store.put_namespace(connection, principal.tenant, name, body.description, body.schema_, rules)
            after = await _found(connection, principal.tenant, name)
            told = acts.ActDetails(before=_told(before), after=_told(after))
            await acts.record(connection, request, principal, ActKind.PUT_NAMESPACE, told)
    except UniqueViolation as error:
        raise InvalidRequest(
            "Two rules name the same path of the same mount; a path belongs to one namespace.",
            fields=[{"field": "rules", "message": "another rule has this path"}],
        ) from error
    return _shown(after, status)


async def _found(connection: "Connection", tenant: str, name: str) -> RecordDocument | None:
    return next(iter(await store.namespaces(connection, tenant, name)), None)


def _told(found: RecordDocument | None) -> dict[str, Any] | None:
    """As the journal keeps it."""
    return None if found is None else json.loads(found.text)


def _stored(rule: NamespaceRule) -> dict[str, Any]:
    prefix = paths.decode(rule.path_prefix, None, allow_root=True).as_directory
    return {"mount": rule.backend_mount_id, "prefix": prefix.hex(), "mode": rule.mode}


def _shown(found: RecordDocument | None, status: int = 200) -> Response:
    if found is None:
        raise NotFound("There is no such namespace.")
    answer = responses.data(found.text, status)
    answer.headers["etag"] = f'"{found.version}"'
    return answer
