"""What every route can reach: the services it was given, and what this process remembers for a few seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from starlette.requests import Request

    from activities.threads import MountThreads
    from api.access.limits import Budget
    from api.access.tokens import Tokens
    from api.events.feed import Feed
    from api.files.downloads import Downloads
    from api.mounts.known import KnownMounts
    from api.observe.metrics.looks import Looks
    from api.services import Services
    from api.uploads.tus.turns import Turns


@dataclass(frozen=True, slots=True)
class Front:
    services: Services
    tokens: Tokens
    mounts: KnownMounts
    threads: MountThreads
    downloads: Downloads
    turns: Turns
    feed: Feed
    looks: Looks
    budget: Budget


def front_of(request: Request) -> Front:
    return cast("Front", request.scope["app"].state.front)
