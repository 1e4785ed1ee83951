"""GET /metrics: the page. Open like health, unless a token is set for it."""

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from fastapi import APIRouter, Request
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from starlette.responses import Response

from api.access.admission import bearer_of
from api.http import openapi
from api.http.routes import Plain
from api.observe.metrics.counts import Counts
from api.observe.metrics.gauges import Page
from api.observe.metrics.looks import Looks
from api.services import Front, front_of
from schema.errors import Unauthenticated


@dataclass(frozen=True, slots=True)
class Sources:
    """What the page is made from, beside what every route can reach."""

    counts: Counts
    looks: Looks
    followers: Callable[[], int]
    """Streams of events that are open here"""


router = APIRouter(route_class=Plain, tags=["health"])

_PAGE = {"description": "All of it", "content": {"text/plain": {"schema": {"type": "string"}}}}


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="What there is to measure",
    responses={200: _PAGE, 401: openapi.refusals("UNAUTHENTICATED")},
    openapi_extra={"security": [{}, {"token": []}]},
)
async def metrics(request: Request) -> Response:
    """The text format of Prometheus. Where `FILESTORE_METRICS_TOKEN` is set, that token is needed as Bearer; tokens of the
    service itself do not open this page."""
    front = front_of(request)
    _admit(request, front.services.settings.metrics_token)
    body = generate_latest(await _page(request, front))
    return Response(body, headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4, "cache-control": "no-store"})


def _admit(request: Request, token: str | None) -> None:
    """Compared in a time that does not tell how much of it was right. Raises Unauthenticated."""
    if token is None:
        return
    if not hmac.compare_digest(bearer_of(request).encode("latin-1"), token.encode()):
        raise Unauthenticated("This page needs the token that FILESTORE_METRICS_TOKEN names.")


async def _page(request: Request, front: Front) -> Page:
    services, seen = front.services, cast(Sources, request.app.state.metrics)
    looks = seen.looks
    (work, servers, mounts, watches, notifications), (drift, scrubs, quotas, projects, locks) = await asyncio.gather(
        asyncio.gather(
            looks.work.answer(), looks.servers.answer(), looks.mounts.answer(), looks.watches.answer(),
            looks.notifications.answer(),
        ),
        asyncio.gather(
            looks.drift.answer(), looks.scrubs.answer(), looks.quotas.answer(), looks.projects.answer(), looks.locks.answer()
        ),
    )  # fmt: skip
    vitals = services.vitals
    return Page(
        counts=seen.counts,
        version=request.app.version,
        followers=seen.followers(),
        loads=vitals.loads() if vitals else [],
        pools=vitals.pools() if vitals else {"api": services.pool.get_stats()},
        work=work,
        servers=servers,
        mounts=mounts,
        watches=watches,
        notifications=notifications,
        quotas=quotas,
        locks=locks,
        drift=drift,
        scrubs=scrubs,
        projects=projects,
        traffic=None if services.contents is None else services.contents.traffic,
    )
