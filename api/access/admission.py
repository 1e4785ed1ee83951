"""Bearer token -> principal. A token is looked up at most every few seconds, so a revoked one dies within five."""

import re

from starlette.requests import Request

from api.services import front_of
from schema.errors import Unauthenticated
from schema.ids import MountId
from schema.paths import NodePath
from schema.principals import Principal, Scope, authorise

_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)


async def admit(
    request: Request, action: Scope, mount: MountId | None = None, path: NodePath | None = None
) -> Principal:
    """The first line of every route: the principal that asks, if it may do this. Raises Unauthenticated, MissingScope, Unavailable.

    The header `x-filestore-principal` of earlier clients is not looked at: only a token names the principal.
    """
    principal = await front_of(request).tokens.principal_of(bearer_of(request))
    authorise(principal, action, mount, path)
    return principal


def bearer_of(request: Request) -> str:
    """The token of a request, whatever it is. Raises Unauthenticated."""
    bearer = _BEARER.fullmatch(request.headers.get("authorization", "").strip())
    if bearer is None:
        raise Unauthenticated()
    return bearer[1]
