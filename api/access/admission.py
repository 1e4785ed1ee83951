"""Bearer token -> principal: the first line of every route."""

import re
from collections.abc import Collection
from typing import cast

from starlette.requests import Request

from api.services import front_of
from schema.access.actions import Action
from schema.access.decision import may
from schema.errors import Forbidden, Unauthenticated
from schema.ids import MountId
from schema.paths import NodePath
from schema.principals import Principal, authorise

_COUNTED = "filestore.counted"
ACTS_AS = "filestore.acts_as"
"""In the scope of a request that the service sends to itself: the principal that it is sent for"""
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)


async def admit(
    request: Request, action: Action, mount: MountId | None = None, path: NodePath | None = None
) -> Principal:
    """The first line of every route: the principal that asks, if it may do this. Raises Unauthenticated,
    Unavailable, RateLimited, and as `authorise`.

    The header `x-filestore-principal` of earlier clients is not looked at: only a token names the principal.
    """
    principal = await _principal(request)
    authorise(principal, action, mount, path)
    return principal


async def admit_any(request: Request, actions: Collection[Action]) -> Principal:
    """The same of a route that does several things: the principal may do one of them, and is asked again about each."""
    principal = await _principal(request)
    if not any(may(principal.access, action).allowed for action in actions):
        authorise(principal, min(actions))
    return principal


async def admit_everywhere(request: Request, action: Action) -> Principal:
    """The same of a route about all mounts there are or will be: a grant for some of them is not enough."""
    principal = await admit(request, action)
    check_everywhere(principal, action)
    return principal


def check_everywhere(principal: Principal, action: Action) -> None:
    """Raises Forbidden."""
    if not principal.access.everywhere(action):
        raise Forbidden(
            f"This needs {action!r} on every mount, and grants of the token say where it holds.", action=action
        )


async def _principal(request: Request) -> Principal:
    """A request counts once, however often its route looks whether the token still holds."""
    if (sent_for := request.scope.get(ACTS_AS)) is not None:
        return cast(Principal, sent_for)
    front = front_of(request)
    principal = await front.tokens.principal_of(bearer_of(request))
    if not request.scope.get(_COUNTED):
        request.scope[_COUNTED] = True
        front.rates.take(principal)
    return principal


def bearer_of(request: Request) -> str:
    """The token of a request, whatever it is. Raises Unauthenticated."""
    bearer = _BEARER.fullmatch(request.headers.get("authorization", "").strip())
    if bearer is None:
        raise Unauthenticated()
    return bearer[1]
