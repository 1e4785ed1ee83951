"""Share links: made, listed, revoked."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access import acts
from api.access.acts import ActDetails
from api.access.admission import admit
from api.access.keyed import keep, keyed, made_before
from api.http import openapi, responses
from api.http.body import read_json
from api.http.exports import exported
from api.http.fields import read_query
from api.http.ids import read_token_id
from api.http.routes import Plain
from api.links.bodies import LinksQuery, NewLinkBody, ProjectLinkBody
from api.links.shapes import Link, LinkPage
from api.services import Front, front_of
from schema import paths
from schema.access.acts import ActKind
from schema.errors import InvalidRequest, NodeNotFound, NotADirectory, NotFound
from schema.ids import MountId
from schema.links.link import LinkKind, hash_password, new_key
from schema.paths import NodePath
from schema.principals import Principal, authorise, readable
from schema.secrets.keyring import of_link
from schema.secrets.references import SecretUnreadable
from schema.store import links, nodes
from schema.store.links import LinkRow, NewLink

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["links"])

_PARAMETERS = [openapi.path_id("The link")]
_SECRETS = frozenset({"password"})
_EXAMPLE = {"backendMountId": 1, "path": "reports/2026.pdf", "kind": "read", "expiresIn": 86_400, "maxUses": 10}
_REFUSALS = (
    "BACKEND_NOT_FOUND",
    "NODE_NOT_FOUND",
    "NOT_A_DIRECTORY",
    "INVALID_PATH",
    "FORBIDDEN",
    "IDEMPOTENCY_CONFLICT",
)


@router.post(
    "/v1/links",
    status_code=201,
    operation_id="createLink",
    summary="Share a file or a folder by an address",
    responses=openapi.answers({201: ("The link, with its address", Link)}, *_REFUSALS),
    openapi_extra=openapi.keyed(openapi.body_of(NewLinkBody, _EXAMPLE)),
)
async def create(request: Request) -> Response:
    """`read`: the content of one file. `list`: what lies in a folder and below it. `upload`: new files into one folder. Whoever
    has the address needs no token. It gives at no time more than its maker may do then, and ends with the maker's token. The same
    request under the same key makes no other."""
    principal = await admit(request, "share")
    front, body = front_of(request), await read_json(request, NewLinkBody)
    path = paths.decode(body.path, body.path_b64, allow_root=True)
    mount = await front.mounts.get(MountId(body.backend_mount_id), principal.tenant)
    tree = body.kind is not LinkKind.READ
    for action in ("read", "share", "write") if body.kind is LinkKind.UPLOAD else ("read", "share"):
        authorise(principal, action, mount.id, path, tree=tree)
    new = await new_link(body, mount.id, path, body.kind)
    async with front.services.pool.connection() as connection, connection.transaction():
        await _check_node(connection, principal, new)
        row = await made(connection, request, principal, body, new)
    return shown(front, request, principal, row, 201)


async def new_link(
    body: ProjectLinkBody, mount: MountId, path: NodePath, kind: LinkKind, project: int | None = None
) -> NewLink:
    """Raises InvalidRequest."""
    return NewLink(
        mount=mount, path=path, kind=kind, description=body.description, max_uses=body.max_uses, project=project,
        password=None if body.password is None else await asyncio.to_thread(hash_password, body.password),
        requests_per_second=body.requests_per_second, expires_at=_expiry(body),
    )  # fmt: skip


async def made(
    connection: Connection, request: Request, principal: Principal, body: ProjectLinkBody, new: NewLink
) -> LinkRow:
    """In the caller's transaction. Raises IdempotencyConflict."""
    asked = keyed(request, principal, body, secrets=_SECRETS)
    known = await made_before(connection, asked)
    if known is not None:
        return await _row(connection, principal, int(known))
    front = front_of(request)
    link = await links.create(connection, principal, new)
    await keep(connection, asked, link.id)
    await links.keep_key(connection, link.id, front.services.keys.seal(of_link(link.id), new_key()))
    [row] = await links.listed(connection, principal.tenant, only=link.id)
    details = ActDetails(after=json.loads(orjson.dumps(row.document)))
    await acts.record(connection, request, principal, ActKind.CREATE_LINK, details, mount=new.mount)
    return row


@router.get(
    "/v1/links",
    operation_id="listLinks",
    summary="The links",
    responses=openapi.listed("A page of links", LinkPage, "BACKEND_NOT_FOUND"),
    openapi_extra={"parameters": openapi.list_of(LinksQuery)},
)
@exported("links", Link, 100)
async def listed(request: Request) -> Response:
    """The newest first, also those that have ended. A page can be short where the token may not read all places: go on until
    `nextCursor` is null."""
    principal = await admit(request, "share")
    front, query = front_of(request), read_query(LinksQuery, request.query_params)
    mount = None if query.backend_mount_id is None else MountId(query.backend_mount_id)
    if mount is not None:
        await front.mounts.get(mount, principal.tenant)
        authorise(principal, "share", mount)
    async with front.services.pool.connection() as connection:
        rows = await links.listed(connection, principal.tenant, mount=mount, before=query.cursor, limit=query.limit + 1)
    page = rows[: query.limit]
    known = [_shown(front, request, principal, row) for row in page if _sees(principal, row)]
    following = str(page[-1].link.id) if len(rows) > query.limit else None
    document = {"links": known, "pagination": {"limit": query.limit, "nextCursor": following}}
    return responses.data(orjson.dumps(document).decode())


@router.get(
    "/v1/links/{id}",
    operation_id="getLink",
    summary="A link",
    responses=openapi.answers({200: ("The link", Link)}, "NOT_FOUND"),
    openapi_extra={"parameters": _PARAMETERS},
)
async def show(request: Request) -> Response:
    """Also after its end."""
    principal = await admit(request, "share")
    front = front_of(request)
    async with front.services.pool.connection() as connection:
        return shown(front, request, principal, await _row(connection, principal, read_token_id(request)))


@router.delete(
    "/v1/links/{id}",
    operation_id="revokeLink",
    summary="End a link",
    responses=openapi.answers({200: ("As it is now", Link)}, "NOT_FOUND"),
    openapi_extra={"parameters": _PARAMETERS},
)
async def revoke(request: Request) -> Response:
    """At once, in every process."""
    principal = await admit(request, "share")
    front, id = front_of(request), read_token_id(request)
    async with front.services.pool.connection() as connection, connection.transaction():
        found = await _row(connection, principal, id)
        authorise(principal, "share", found.link.mount, found.link.place)
        if await links.revoke(connection, id, principal.tenant):
            row = await _row(connection, principal, id)
            details = ActDetails(before=found.document, after=row.document)
            await acts.record(connection, request, principal, ActKind.REVOKE_LINK, details, mount=found.link.mount)
        row = await _row(connection, principal, id)
    return shown(front, request, principal, row)


async def _check_node(connection: Connection, principal: Principal, new: NewLink) -> None:
    """Raises NodeNotFound, NotADirectory, InvalidRequest."""
    found = await nodes.by_path(connection, new.mount, new.path, principal.tenant)
    node = None if found is None else json.loads(found.document)
    if node is None or node["state"] == "deleted":
        raise NodeNotFound(backendMountId=new.mount, path=new.path.text)
    if new.kind is LinkKind.READ and node["kind"] != "file":
        raise InvalidRequest("A link of the kind 'read' is for a file; choose 'list' for a folder.", field="kind")
    if new.kind is not LinkKind.READ and node["kind"] != "directory":
        raise NotADirectory(f"A link of the kind {new.kind.value!r} is for a folder.")


def _expiry(body: ProjectLinkBody) -> datetime | None:
    """Raises InvalidRequest."""
    now = datetime.now(UTC)
    if body.expires_in is not None:
        if body.expires_at is not None:
            raise InvalidRequest("Send expiresAt or expiresIn.", field="expiresIn")
        return now + timedelta(seconds=body.expires_in)
    if body.expires_at is not None and body.expires_at <= now:
        raise InvalidRequest("expiresAt lies in the past.", field="expiresAt")
    return body.expires_at


def _sees(principal: Principal, row: LinkRow) -> bool:
    return readable(principal, row.link.mount, row.link.place)


async def _row(connection: Connection, principal: Principal, id: int) -> LinkRow:
    """Raises NotFound."""
    rows = await links.listed(connection, principal.tenant, only=id)
    if not rows or not _sees(principal, rows[0]):
        raise NotFound("There is no such link.")
    return rows[0]


def _shown(front: Front, request: Request, principal: Principal, row: LinkRow) -> dict[str, Any]:
    """Another one could do with the address what the maker may do, and not itself."""
    url = None
    if row.principal == principal.name and row.document["revokedAt"] is None:
        try:
            text = row.link.text(front.services.keys.open(of_link(row.link.id), row.key))
            url = str(request.base_url).rstrip("/") + f"/s/{text}"
        except SecretUnreadable:
            url = None
    return row.document | {"url": url}


def shown(front: Front, request: Request, principal: Principal, row: LinkRow, status: int = 200) -> Response:
    answer = responses.data(orjson.dumps(_shown(front, request, principal, row)).decode(), status)
    answer.headers["cache-control"] = "no-store"
    return answer
