"""Administrative acts of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from schema.access.acts import ActKind, AdministrativeAct
from schema.ids import MountId
from schema.principals import Principal
from schema.store import acts

if TYPE_CHECKING:
    from schema.store.connection import Connection

_SHOWN = 255


async def record(
    connection: Connection,
    request: Request,
    principal: Principal,
    kind: ActKind,
    *,
    tenant: str | None = None,
    mount: MountId | None = None,
    **fields: dict[str, Any],
) -> None:
    """In the transaction of what is done. `fields`: `payload`, `before`, `after` of the act."""
    correlation = request.headers.get("x-correlation-id", "")
    act = AdministrativeAct(
        kind=kind, tenant=tenant or principal.tenant, by=principal, mount=mount,
        request_id=request.scope.get("request_id"),
        correlation_id=correlation if correlation.isprintable() and 0 < len(correlation) <= _SHOWN else None, **fields,
    )  # fmt: skip
    await acts.record(connection, act)
