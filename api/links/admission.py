"""An address of a link -> a principal that may do what the link is for, and no more than its maker may do now."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import dataclass

from starlette.requests import Request

from api.services import Front, front_of
from schema.errors import Forbidden, NotFound, Unauthenticated
from schema.links.link import LinkKind, ShareLink, access_of, is_password, may_make, parse
from schema.principals import Principal, TokenLimits
from schema.secrets.keyring import of_link
from schema.secrets.references import SecretUnreadable
from schema.store import links
from schema.store.links import FoundLink

TRIES_PER_SECOND = 1.0
"""Passwords of one link that are tried in one process"""
_KNOWN_MAX = 10_000


class LinkPasswords:
    """Those that were right: trying one costs a processor 50 ms."""

    def __init__(self) -> None:
        self._right: set[tuple[str, bytes]] = set()

    async def check(self, front: Front, found: FoundLink, given: str | None) -> None:
        """Raises Unauthenticated, RateLimited."""
        stored = found.password
        if stored is None:
            return
        if given is None:
            raise Unauthenticated("The link has a password. Send it as that of Basic authentication, with any name.")
        seen = (stored, hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest())
        if seen in self._right:
            return
        front.rates.spend(f"password of link {found.link.id}", TRIES_PER_SECOND)
        if not await asyncio.to_thread(is_password, stored, given):
            raise Unauthenticated("The password is wrong.")
        if len(self._right) >= _KNOWN_MAX:
            self._right.clear()
        self._right.add(seen)


@dataclass(frozen=True, slots=True)
class LinkUse:
    """A link that holds, and the principal that it is now."""

    link: ShareLink
    principal: Principal


async def admit_link(request: Request, kinds: tuple[LinkKind, ...]) -> LinkUse:
    """Whatever is wrong with an address is answered alike. Raises NotFound, Unauthenticated, RateLimited, Forbidden."""
    front = front_of(request)
    found = await _find(front, request.path_params["link"])
    link = found.link
    front.rates.spend(link.name, found.requests_per_second)
    await request.scope["app"].state.link_passwords.check(front, found, _password(request))
    if link.kind not in kinds:
        raise Forbidden(f"This link is for {link.kind.value!r} alone.", kind=link.kind.value)
    if not may_make(found.maker, link):
        raise _unknown()
    access = access_of(found.maker, link)
    limits = TokenLimits(tenant_requests_per_second=found.tenant_rate)
    principal = Principal(link.name, link.tenant, found.token, access, limits, found.state)
    front.rates.take_of_tenant(principal)
    return LinkUse(link, principal)


async def count_use(front: Front, link: ShareLink) -> None:
    """Before anything is given. Raises NotFound."""
    async with front.services.pool.connection() as connection:
        if not await links.use(connection, link.id):
            raise _unknown()


async def _find(front: Front, text: str) -> FoundLink:
    parsed = parse(text)
    if parsed is None:
        raise _unknown()
    async with front.services.pool.connection() as connection:
        found = await links.find(connection, parsed[0])
    if found is None:
        raise _unknown()
    try:
        key = front.services.keys.open(of_link(parsed[0]), found.key)
    except SecretUnreadable as error:
        raise _unknown() from error
    if not found.link.is_signed(key, parsed[1]):
        raise _unknown()
    return found


def _password(request: Request) -> str | None:
    scheme, _, told = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(told.strip(), validate=True).decode("utf-8").partition(":")[2]
    except ValueError:
        return None


def _unknown() -> NotFound:
    return NotFound("There is no such link, or it does not hold any more. Ask the one who sent it for another one.")
