"""GET /health: the process lives. GET /ready: it can do its work."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.http import openapi
from api.http.responses import JSON
from api.http.routes import Plain
from api.observe.shapes import Health, Readiness
from api.services import front_of

router = APIRouter(route_class=Plain, tags=["health"])

REPORT_SECONDS = 5.0
NEEDED = ("postgres", "temporal")
"""Without these no command is taken. Without Redis events wait, without NATS projects are cold; all else goes on."""


@router.get("/healthz", include_in_schema=False)
@router.get(
    "/health",
    operation_id="health",
    summary="Is the process alive?",
    responses={200: openapi.bare("Yes", Health)},
)
async def health(_: Request) -> Response:
    """It does not look at anything else: see /ready."""
    return Response(b'{"status":"ok"}', media_type=JSON)


@router.get("/readyz", include_in_schema=False)
@router.get(
    "/ready",
    operation_id="ready",
    summary="Can it do its work?",
    responses={200: openapi.bare("Yes: `ok` or `degraded`", Readiness), 503: openapi.bare("No", Readiness)},
)
async def ready(request: Request) -> Response:
    """503 while Postgres or Temporal can not be reached. `degraded`: Redis, NATS, a mount, the worker or the watcher of this host
    is amiss, and work goes on. A sentence says what is amiss."""
    report = await _report(request)
    status = status_of(report)
    body = orjson.dumps({"status": status, "checks": report}, default=str)
    return Response(body, 503 if status == "unavailable" else 200, media_type=JSON)


async def _report(request: Request) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(REPORT_SECONDS):
            return await front_of(request).services.health.report()
    except TimeoutError:
        return {
            "process": f"The report was not complete within {REPORT_SECONDS:g} s. This process is very busy, or hangs."
        }


def status_of(report: Mapping[str, Any]) -> str:
    """One word for all of it."""
    if any(report.get(name) != "ok" for name in NEEDED):
        return "unavailable"
    mounts = report.get("mounts") or {}
    fine = all(
        report.get(name, "ok") in ("ok", "inline", "off") for name in ("redis", "nats", "worker", "watcher")
    ) and all(state == "ok" for state in mounts.values() if isinstance(state, str))
    return "ok" if fine else "degraded"
