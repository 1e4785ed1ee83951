"""What every route can reach: the services it was given, and what this process remembers for a few seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from starlette.requests import Request

    from activities.threads import MountThreads
    from api.auth import Tokens
    from api.downloads import Downloads
    from api.feed import Feed
    from api.known_mounts import KnownMounts
    from api.metrics.looks import Looks
    from api.services import Services
    from api.tus.turns import Turns


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


def front_of(request: Request) -> Front:
    return cast("Front", request.scope["app"].state.front)
