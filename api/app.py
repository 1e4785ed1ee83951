"""Put the front together: `create_app(services)`. The process that made the services opens and closes them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from api.access import approvals, holds, quotas, second_person, tenant_export, tenants
from api.access import routes as tokens
from api.access.approval_policies import Policies
from api.access.audited import AuditedReads
from api.access.issuers import read_issuers
from api.access.limits import Budget
from api.access.rates import Rates
from api.access.reads import LongReads
from api.access.tokens import Tokens
from api.audit import routes as audit
from api.commands import batch as batches
from api.commands import routes as mutations
from api.commands import run as commands
from api.commands import status
from api.drift import inbox
from api.drift import jobs as reconciliations
from api.drift import policy as drift_policy
from api.drift import schedules as drift_schedules
from api.events import asyncapi, snapshot
from api.events import routes as events
from api.events.feed import Feed
from api.files import content, presign
from api.files.downloads import Downloads
from api.freezes import routes as freezes
from api.http import errors, middleware, openapi
from api.http.descriptors import EnoughDescriptors
from api.http.routes import surround
from api.http.sockets import Sockets
from api.journal import routes as journal
from api.links import follow
from api.links import projects as project_links
from api.links import routes as links
from api.links.admission import LinkPasswords
from api.metastore import namespaces
from api.metastore import routes as metastore
from api.mounts import routes as mounts
from api.mounts.known import KnownMounts
from api.nodes import diff, past, trash
from api.nodes import routes as nodes
from api.nodes import versions as snapshots
from api.nodes.known import KnownPlaces
from api.notifications import routes as notifications
from api.observe import health
from api.observe.metrics import routes as metrics
from api.observe.metrics.commands import CountedCommands
from api.observe.metrics.counts import Counts
from api.observe.metrics.looks import Looks
from api.observe.metrics.requests import CountedRequests
from api.operations import many, steering, undo
from api.operations import routes as operations
from api.pages import docs
from api.rollups import routes as rollups
from api.services import Front, Services
from api.subscriptions import routes as subscriptions
from api.sync import commits as project_commits
from api.sync import conflicts as project_conflicts
from api.sync import contents as project_contents
from api.sync import nodes as project_nodes
from api.sync import presigned as project_presigned
from api.sync import routes as projects
from api.sync import tiers as project_tiers
from api.timestore import routes as timestore
from api.timestore.readers import Readers
from api.uploads import form as uploads
from api.uploads import put as writes
from api.uploads import routes as uploads_of_every_kind
from api.uploads.direct import routes as direct
from api.uploads.tus import routes as resumable
from api.uploads.tus.turns import Turns
from schema.settings import Settings
from schema.version import VERSION

EXPOSED = [
    "ETag", "Location", "Content-Range", "Content-Disposition", "Repr-Digest", "Retry-After", "X-Request-Id", "Tus-Resumable",
    "Upload-Offset", "Upload-Length", "Upload-Expires",
]  # fmt: skip
"""Headers of answers that a page of another origin may read"""
ROUTERS = (
    tokens,
    tenants,
    tenant_export,
    holds,
    quotas,
    approvals,
    links,
    project_links,
    follow,
    uploads,
    writes,
    direct,
    resumable,
    uploads_of_every_kind,
    mutations,
    nodes,
    past,
    diff,
    trash,
    content,
    presign,
    snapshots,
    mounts,
    journal,
    audit,
    events,
    asyncapi,
    snapshot,
    subscriptions,
    operations,
    many,
    steering,
    undo,
    freezes,
    rollups,
    reconciliations,
    drift_policy,
    drift_schedules,
    inbox,
    notifications,
    metastore,
    namespaces,
    timestore,
    projects,
    project_nodes,
    project_contents,
    project_presigned,
    project_commits,
    project_conflicts,
    project_tiers,
    batches,
    commands,
    status,
    health,
    metrics,
    docs,
)


def create_app(services: Services, counts: Counts | None = None) -> FastAPI:
    """`counts`: what is counted in this process, where others count there too."""
    counts = counts or Counts()
    app = FastAPI(
        title="Filestore",
        version=VERSION,
        description="One durable control plane for files on local volumes and S3 buckets. Send a token as Bearer.",
        redirect_slashes=False,
        docs_url=None,  # pages/docs.py
        redoc_url=None,
        openapi_url="/openapi.json" if services.settings.docs else None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # api/metrics, and trace ids in the journal
    )
    services = replace(services, commands=CountedCommands(services.commands, counts))
    feed = Feed(services.pool, services.wakeups, services.settings.events_poll_seconds)
    settings = services.settings
    budget = Budget(settings.content_memory_bytes, settings.content_wait_seconds, counts.refused)
    reads = LongReads(services.pool, settings, counts.refused)
    issuers = read_issuers(services.pool, settings.oidc_path)
    app.state.front = Front(
        services, Tokens(services.pool, issuers=issuers), KnownMounts(services.pool), services.threads, budget, reads,
        Rates(counts.refused, tenant_rate=settings.tenant_requests_per_second),
    )  # fmt: skip
    app.state.feed, app.state.turns, app.state.counts = feed, Turns(), counts
    app.state.link_passwords = LinkPasswords()
    app.state.directory_places = KnownPlaces()
    app.state.audited = AuditedReads(services.pool, settings.audit_reads)
    app.state.readers = Readers(settings)
    app.state.downloads = Downloads(services.pool, services.announce)
    app.state.metrics = metrics.Sources(counts, Looks(services.pool, services.vitals), lambda: feed.followers)
    for module in ROUTERS:
        if (module is docs and not settings.docs) or (module is metrics and not settings.metrics):
            continue
        app.router.routes.extend(module.router.routes)  # flat: each request looks through them
    errors.install(app)
    second_person.install(app, Policies(settings.approvals_path))
    openapi.install(app)
    # Counted outside of what answers defects, so that those are counted too.
    surround(
        app,
        Sockets,
        partial(CountedRequests, counts=counts),
        middleware.RequestIds,
        *_cors(settings),
        EnoughDescriptors,
    )
    return app


def _cors(settings: Settings) -> list[Callable[[ASGIApp], ASGIApp]]:
    """Pages of these origins may ask, with a token that they have; no cookie of ours exists that could be sent along."""
    if not settings.origins:
        return []
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    return [
        partial(
            CORSMiddleware, allow_origins=settings.origins, allow_methods=methods, allow_headers=["*"],
            expose_headers=EXPOSED, max_age=600,
        )
    ]  # fmt: skip
