"""Steer many operations with one request: those of a selection, one after the other, and what was done to each is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit
from api.http import openapi
from api.http.body import read_json
from api.http.keys import read_key
from api.http.routes import Plain
from api.operations import answers
from api.operations.bodies import CancelManyBody, ManyBody, OperationsSelection
from api.operations.shapes import SteeredOperations
from api.operations.steering import AskedControl, steer_one
from api.services import Front, front_of
from schema import paths
from schema.errors import FilestoreError, NotFound
from schema.ids import MountId
from schema.operations.control import Control
from schema.operations.operation import OperationState
from schema.principals import Principal
from schema.store import operations as store
from schema.store.operations import OperationFilter
from workflows.operations.start import drive

router = APIRouter(route_class=Plain, tags=["operations"])

_PAGE = 200
_S = OperationState
_FITTING = {
    Control.PAUSE: (_S.RUNNING, _S.WAITING, _S.ROLLING_BACK),
    Control.RESUME: (_S.PAUSED,),
    Control.CANCEL: (_S.PLANNING, _S.PLANNED, _S.RUNNING, _S.WAITING, _S.PAUSED, _S.ROLLING_BACK),
    Control.RETRY: (_S.PARTIAL, _S.FAILED),
}
"""The states that are meant where the selection names none"""
_EXAMPLE = {"selection": {"backendMountId": 1}, "reason": "The array is slow."}
_ROUTES = (
    (Control.PAUSE, ManyBody, "Pause many"),
    (Control.RESUME, ManyBody, "Go on with many"),
    (Control.CANCEL, CancelManyBody, "Cancel many"),
    (Control.RETRY, ManyBody, "Retry many"),
)
_TEXT = (
    "Each operation of the selection by itself, as the request for one does it. The answer says what was done to each; the "
    "reason stands in each."
)


def _many(control: Control, model: type[ManyBody]) -> Callable[[Request], Awaitable[Response]]:
    async def asked(request: Request) -> Response:
        principal = await admit(request, "operate")
        body = await read_json(request, model)
        back = isinstance(body, CancelManyBody) and body.rollback
        key = read_key(request.headers, body.idempotency_key)
        wanted = AskedControl(Control.ROLLBACK if back else control, body, key)
        front = front_of(request)
        each = [
            await _one(front, principal, id, wanted) async for id in _ids(front, principal, control, body.selection)
        ]
        results = [one for one in each if one is not None]
        accepted = sum(one["outcome"] == "accepted" for one in results)
        counts = {"accepted": accepted, "refused": len(results) - accepted}
        return answers.as_json({"results": results, "counts": counts})

    return asked


for _control, _model, _summary in _ROUTES:
    router.post(
        f"/v1/operations/{_control}", operation_id=f"{_control}Operations", summary=_summary, description=_TEXT,
        responses=openapi.answers({200: ("What was done to each", SteeredOperations)}, *answers.REFUSALS),
        openapi_extra={"parameters": openapi.headers("Idempotency-Key"), "requestBody": openapi.body_of(_model, _EXAMPLE)},
    )(_many(_control, _model))  # fmt: skip


async def _ids(
    front: Front, principal: Principal, control: Control, selection: OperationsSelection
) -> AsyncIterator[str]:
    """The newest first, page by page."""
    chosen = None if selection.ids is None else [id.lower() for id in selection.ids]
    states = selection.state or (_FITTING[control] if chosen is None else None)
    mount = None if selection.backend_mount_id is None else MountId(selection.backend_mount_id)
    path = None if selection.path is None else paths.parse(selection.path, allow_root=True)
    asked = OperationFilter(
        states=states, kinds=selection.kind, mount=mount, path=path, principal=selection.principal, ids=chosen
    )
    while True:
        async with front.services.pool.connection() as connection:
            page = await store.listed(connection, principal.tenant, asked, _PAGE)
        for id in page:
            yield id
        if len(page) < _PAGE:
            return
        asked = replace(asked, before=page[-1])


async def _one(front: Front, principal: Principal, id: str, asked: AskedControl) -> dict[str, Any] | None:
    """In a transaction of its own: an operation that can not be asked for it stops no other one. None: it is not there for this
    principal."""
    refusal: FilestoreError | None = None
    async with front.services.pool.connection() as connection:
        try:
            async with connection.transaction():
                _, steered = await steer_one(connection, principal, id, asked)
        except NotFound:
            return None
        except FilestoreError as error:
            refusal, steered = error, None
        found = await store.find(connection, id)
    assert found is not None
    if steered is not None and steered.state.moves:
        front.services.start(drive, mount=found.mount_id, id=id, turn=steered.turn, plans=False)
    return {
        "id": id, "outcome": "accepted" if refusal is None else "refused", "state": found.state, "want": found.want,
        "code": None if refusal is None else refusal.code, "message": None if refusal is None else refusal.message,
    }  # fmt: skip
