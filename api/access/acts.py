"""Administrative acts of requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from schema.access.acts import ActKind, AdministrativeAct
from schema.ids import MountId
from schema.principals import Principal
from schema.store import acts

if TYPE_CHECKING:
    from schema.store.connection import Connection

_SHOWN = 255


@dataclass(frozen=True, slots=True)
class ActDetails:
    """The subject before and after, as clients read it, and what else was asked. Never a secret."""

    payload: dict[str, Any] | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


async def record(
    connection: Connection,
    request: Request,
    principal: Principal,
    kind: ActKind,
    told: ActDetails,
    *,
    tenant: str | None = None,
    mount: MountId | None = None,
) -> None:
    """In the transaction of what is done."""
    correlation = request.headers.get("x-correlation-id", "")
    act = AdministrativeAct(
        kind=kind, tenant=tenant or principal.tenant, by=principal, mount=mount,
        request_id=request.scope.get("request_id"),
        correlation_id=correlation if correlation.isprintable() and 0 < len(correlation) <= _SHOWN else None,
        payload=told.payload or {},
        before=told.before, after=told.after,
    )  # fmt: skip
    await acts.record(connection, act)
