"""The inbox: what waits for a person, and the looks that a brake holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from activities.drift.observe import LookOrder
from api.access.admission import admit
from api.access.keyed import keyed, made_earlier, note
from api.access.second_person import second_person
from api.drift import decide
from api.drift.bodies import DecisionBody
from api.drift.queries import FindingsQuery, HeldLooksQuery
from api.drift.shapes import Decided, DriftFinding, FindingPage, HeldLooks, HeldLookShape, example
from api.http import openapi
from api.http.body import read_json
from api.http.exports import exported, in_one
from api.http.fields import ID_MAX, read_query
from api.http.ids import read_drift_id
from api.http.responses import JSON
from api.http.routes import Plain
from api.services import front_of
from schema import paths
from schema.access.approvals import ApprovalAct
from schema.drift.looks import Look, LookPlace, LookState
from schema.errors import InvalidRequest, NotFound, WrongState
from schema.ids import MountId
from schema.paths import NodePath
from schema.principals import Principal, authorise, readable
from schema.store import findings as store
from schema.store import heals, looks
from schema.store.approvals import Matter
from workflows.drift.start import answer_audit, heal

if TYPE_CHECKING:
    from schema.store.connection import Connection

router = APIRouter(route_class=Plain, tags=["drift"])

_REFUSALS = (
    "NOT_FOUND",
    "STALE_FINDING",
    "IDEMPOTENCY_CONFLICT",
    "PATH_BUSY",
    "WRONG_STATE",
    "MOUNT_OFFLINE",
    "FORBIDDEN",
    "BACKEND_NOT_FOUND",
)

_ANSWER_REFUSALS = ("NOT_FOUND", "WRONG_STATE", "FORBIDDEN", "IDEMPOTENCY_CONFLICT")


@router.get(
    "/v1/drift",
    operation_id="listFindings",
    summary="What differs and waits",
    responses=openapi.listed("A page of findings", FindingPage, "INVALID_PATH"),
    openapi_extra={"parameters": openapi.list_of(FindingsQuery)},
)
@exported("findings", DriftFinding, 1000)
async def listed(request: Request) -> Response:
    """Of the caller's tenant, the oldest first: what we believed, what lies there, since when. A page can be short, or empty, and
    have a `nextCursor`: go on until that is null."""
    principal = await admit(request, "read")
    query = read_query(FindingsQuery, request.query_params)
    states = query.state if query.state is not None else ["open", "waiting"]
    asked = store.FindingFilter(
        mount=None if query.backend_mount_id is None else MountId(query.backend_mount_id),
        kinds=query.kind,
        states=states,
        path=None if query.path is None else paths.parse(query.path, allow_root=True),
    )
    async with front_of(request).services.pool.connection() as connection:
        found = await store.listed(connection, principal.tenant, asked, after=_after(query), limit=query.limit)
    further = str(found[-1].id) if len(found) == query.limit else None
    shown = [one.document for one in found if readable(principal, one.mount, one.path)]
    return _data({"findings": shown, "pagination": {"limit": query.limit, "nextCursor": further}})


def _after(query: FindingsQuery) -> int:
    if query.cursor is None:
        return 0
    if not (query.cursor.isascii() and query.cursor.isdigit() and int(query.cursor[:20]) <= ID_MAX):
        raise InvalidRequest("The cursor is not one of this service: send it as it came, or none.")
    return int(query.cursor)


@router.get(
    "/v1/drift/looks",
    operation_id="listHeldLooks",
    summary="Looks that wait for a yes",
    responses=openapi.listed("The looks", HeldLooks, "BACKEND_NOT_FOUND"),
    openapi_extra={"parameters": openapi.list_of(HeldLooksQuery)},
)
@exported("looks", HeldLookShape, 200, in_one)
async def held(request: Request) -> Response:
    """Of a mount: audits that would change more than its brake allows, and the plan of each."""
    principal = await admit(request, "read")
    query, front = read_query(HeldLooksQuery, request.query_params), front_of(request)
    mount = await front.mounts.get(MountId(query.backend_mount_id), principal.tenant)
    authorise(principal, "read", mount.id)
    async with front.services.pool.connection() as connection:
        found = await looks.held(connection, mount.id)
    shown = [
        {"id": one.id, "backendMountId": mount.id, "reason": one.reason, "plan": one.plan}
        for one in found
        if _seen(principal, mount.id, one.places)
    ]
    return _data({"looks": shown})


@router.post(
    "/v1/drift/looks/{id}/release",
    operation_id="releaseLook",
    summary="Say yes to the plan of a look",
    responses=openapi.answers({202: ("It goes on", HeldLooks)}, *_ANSWER_REFUSALS),
    openapi_extra=openapi.keyed(None, openapi.path_id("The look")),
)
async def release(request: Request) -> Response:
    """For this plan alone: the mount is looked at once more, and what would change more than this plan waits again."""
    return await _answer(request, yes=True)


@router.post(
    "/v1/drift/looks/{id}/refuse",
    operation_id="refuseLook",
    summary="Say no to the plan of a look",
    responses=openapi.answers({202: ("It is thrown away", HeldLooks)}, *_ANSWER_REFUSALS),
    openapi_extra=openapi.keyed(None, openapi.path_id("The look")),
)
async def refuse(request: Request) -> Response:
    """Nothing is changed. The next audit looks again."""
    return await _answer(request, yes=False)


def _seen(principal: Principal, mount: MountId, places: Sequence[LookPlace]) -> bool:
    """A look is what it is about: all of its places."""
    return all(readable(principal, mount, NodePath(place.path)) for place in places)


async def _answer(request: Request, *, yes: bool) -> Response:
    principal = await admit(request, "reconcile")
    front, id, asked = front_of(request), read_drift_id(request), keyed(request, principal)
    async with front.services.pool.connection() as connection:
        if (known := await made_earlier(connection, asked)) is not None:
            return _data(orjson.loads(known), 202)
        look = await looks.held_one(connection, id, principal.tenant)
        if look is None or not _seen(principal, look.mount, look.places):
            raise NotFound("No look of this id waits.")
        for place in look.places:
            authorise(principal, "reconcile", look.mount, NodePath(place.path), tree=place.subtree)
        if yes:
            await _release(connection, request, principal, id, look)
        else:
            if look.reason == heals.HEAL:
                await heals.answer(connection, look.mount, id, principal.name, yes=False)
            await looks.give_up(connection, id, LookState.DISCARDED, f"{principal.name} has refused it.")
    plan = look.plan or {}
    order = LookOrder(
        look.mount, look.reason, principal.name, True, look.by_hand, [place.path.hex() for place in look.places],
        all(place.subtree for place in look.places), allows=int(plan.get("changes", 0)),
    )  # fmt: skip
    if look.reason == heals.HEAL:
        front.services.start(heal, mount=look.mount)
    else:
        front.services.start(answer_audit, order=order, look=id, yes=yes)
    shown = {"looks": [{"id": id, "backendMountId": look.mount, "reason": look.reason, "plan": plan}]}
    async with front.services.pool.connection() as connection, connection.transaction():
        await note(connection, asked, orjson.dumps(shown).decode())
    return _data(shown, 202)


async def _release(connection: Connection, request: Request, principal: Principal, id: int, look: Look) -> None:
    """Raises WrongState, and what a policy has to say."""
    plan = orjson.dumps(look.plan or {}, option=orjson.OPT_SORT_KEYS)
    matter = Matter(
        subject=f"look/{id}", version=hashlib.sha256(plan).hexdigest(), shown={"reason": look.reason, "plan": look.plan},
        mount=look.mount, path=NodePath(look.places[0].path) if len(look.places) == 1 else None,
    )  # fmt: skip
    async with connection.transaction():
        if look.reason == heals.HEAL:
            goes_on = await heals.answer(connection, look.mount, id, principal.name, yes=True)
        else:
            goes_on = await looks.release(connection, look.mount, id, principal.name)
        if not goes_on:
            raise WrongState("A person has said yes to this look already.")
        await second_person(connection, request, principal, ApprovalAct.RELEASE_BRAKE, matter)


@router.get(
    "/v1/drift/{id}",
    operation_id="getFinding",
    summary="A finding",
    responses=openapi.answers({200: ("The finding", DriftFinding)}, "NOT_FOUND"),
    openapi_extra={"parameters": [openapi.path_id("The finding")]},
)
async def show(request: Request) -> Response:
    """What we believed, what lies there, since when, and what was decided by whom."""
    principal = await admit(request, "read")
    asked = store.FindingFilter(ids=[read_drift_id(request)])
    async with front_of(request).services.pool.connection() as connection:
        found = await store.listed(connection, principal.tenant, asked, after=0, limit=1)
    if not found or not readable(principal, found[0].mount, found[0].path):
        raise NotFound("There is no such finding.")
    return _data(found[0].document)


@router.post(
    "/v1/drift/decide",
    operation_id="decideFindings",
    summary="Decide about findings",
    responses=openapi.answers({200: ("What was decided, or the plan", Decided)}, *_REFUSALS),
    openapi_extra=openapi.keyed(openapi.body_of(DecisionBody, example())),
)
async def decided(request: Request) -> Response:
    """Each finding is named with the version that was shown: what was seen anew since is refused, with what it says now, and
    nothing is decided. `accept`: the place is looked at once more, and the record follows it. `restore` and `quarantine`
    begin a heal: commands of the caller's name, and `problem` says why one could not go. `ignore`: neither record nor heals
    touch the place, up to `until`. The same request under the same key decides nothing more: it shows the findings as they are."""
    principal = await admit(request, "reconcile")
    front, body = front_of(request), await read_json(request, DecisionBody)
    return _data(await decide.decide(front, principal, body, keyed(request, principal, body)))


def _data(shown: Any, status: int = 200) -> Response:
    return Response(orjson.dumps({"data": shown}), status, media_type=JSON)
