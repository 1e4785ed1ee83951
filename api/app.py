"""Put the front together: `create_app(services)`. Whoever made the services opens and closes them."""

from dataclasses import replace
from functools import partial

from fastapi import FastAPI

from activities.threads import MountThreads
from api import (
    batches,
    commands,
    content,
    directories,
    errors,
    events,
    health,
    journal,
    middleware,
    mounts,
    mutations,
    nodes,
    openapi,
    presign,
    snapshots,
    uploads,
    writes,
)
from api.auth import Tokens
from api.descriptors import EnoughDescriptors
from api.direct import routes as direct
from api.downloads import Downloads
from api.feed import Feed
from api.front import Front
from api.known_mounts import KnownMounts
from api.metrics import routes as metrics
from api.metrics.commands import CountedCommands
from api.metrics.looks import Looks
from api.metrics.requests import CountedRequests
from api.routes import surround
from api.services import Services
from api.tus import routes as resumable
from api.tus.turns import Turns

VERSION = "0.1.0"
ROUTERS = (
    directories,
    uploads,
    writes,
    direct,
    resumable,
    mutations,
    nodes,
    content,
    presign,
    snapshots,
    mounts,
    journal,
    events,
    batches,
    commands,
    health,
    metrics,
)


def create_app(services: Services) -> FastAPI:
    app = FastAPI(
        title="Filestore",
        version=VERSION,
        description="One durable control plane for files on local volumes and S3 buckets. Send a token as Bearer.",
        redirect_slashes=False,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # api/metrics, and trace ids in the journal
    )
    services = replace(services, commands=CountedCommands(services.commands, services.counts))
    looks = Looks(services.pool, services.vitals)
    downloads = Downloads(services.pool, services.announce)
    feed = Feed(services.pool, services.wakeups, services.settings.events_poll_seconds)
    app.state.front = Front(
        services, Tokens(services.pool), KnownMounts(services.pool), MountThreads(), downloads, Turns(), feed, looks
    )
    for module in ROUTERS:
        app.router.routes.extend(module.router.routes)  # flat: each request looks through them
    errors.install(app)
    openapi.install(app)
    # Counted outside of what answers defects, so that those are counted too.
    surround(app, partial(CountedRequests, counts=services.counts), middleware.RequestIds, EnoughDescriptors)
    return app
