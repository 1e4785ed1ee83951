"""Take the notifications of buckets. They are hints: nothing of them is believed, and each leads to a look at most."""

from __future__ import annotations

import hmac

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.admission import admit, bearer_of
from api.http import openapi, responses
from api.http.body import read_json
from api.http.routes import Plain
from api.notifications.bodies import BucketNotification
from api.notifications.shapes import Noticed
from api.services import front_of
from schema.access.decision import may
from schema.drift.notifications import named_keys
from schema.mounts import Mount
from schema.paths import ROOT
from schema.principals import Principal
from schema.store import bucket_notifications, mounts
from workflows.drift.start import look_at

router = APIRouter(route_class=Plain, tags=["drift"])

_RECORD = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "photos"}, "object": {"key": "2026/a+b.jpg"}}}
_BODY = openapi.body_of(BucketNotification, {"Records": [_RECORD]})


@router.post(
    "/v1/notifications/s3",
    operation_id="notifyS3",
    summary="Take a bucket's notification",
    responses=openapi.answers({200: ("Noticed", Noticed)}),
    openapi_extra={"requestBody": _BODY},
)
async def notify(request: Request) -> Response:
    """Events of S3, MinIO, SeaweedFS or EventBridge, also inside of an SNS message. The token is the one that
    FILESTORE_NOTIFICATIONS_TOKEN names, which opens nothing else, or one that may `reconcile` the mount. Keys outside of every
    mount are passed over, and so is what our own commands wrote. Sending one again does no harm."""
    principal = await _principal(request)
    named = named_keys((await read_json(request, BucketNotification)).root)
    async with front_of(request).services.pool.connection() as connection:
        meant = [mount for mount in await mounts.every(connection) if principal is None or _may_look(principal, mount)]
        hinted = await bucket_notifications.notice(connection, meant, named)
    for mount in hinted:
        front_of(request).services.start(look_at, mount=mount)
    return responses.data(orjson.dumps({"mounts": len(hinted)}).decode())


async def _principal(request: Request) -> Principal | None:
    """None: the stores' own token, which may name the objects of every mount. Raises as `admit`."""
    secret = front_of(request).services.settings.notifications_token
    # Compared in a time that does not tell how much of it was right.
    if secret and hmac.compare_digest(bearer_of(request).encode("latin-1"), secret.encode()):
        return None
    return await admit(request, "reconcile")


def _may_look(principal: Principal, mount: Mount) -> bool:
    return mount.tenant == principal.tenant and may(principal.access, "reconcile", mount.id, ROOT, tree=True).allowed
