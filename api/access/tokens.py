"""Tokens as this process knows them. One is looked up every few seconds, so a revoked one dies within five."""

from dataclasses import dataclass
from time import monotonic

from psycopg import InterfaceError, OperationalError

from schema.errors import Unauthenticated, Unavailable
from schema.principals import Principal
from schema.store import tokens
from schema.store.pool import Pool

FRESH_SECONDS = 4.0
"""How long an answer about a token holds."""
GRACE_SECONDS = 1.0
"""Who finds it too old asks again; meanwhile the others go on with it. Together at most five seconds."""
STALE_SECONDS = 60.0
"""How long it holds while Postgres can not be asked: callers hear 503 from where the trouble is, and not 401."""
CACHED_MAX = 10_000


@dataclass(slots=True)
class _Known:
    principal: Principal
    fresh_until: float
    stale_until: float


class Tokens:
    """What this process knows of tokens: by digest, never by the token itself."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._known: dict[bytes, _Known] = {}

    async def principal_of(self, token: str) -> Principal:
        """Raises Unauthenticated, and Unavailable where it can not be told."""
        if not tokens.is_token(token):
            raise Unauthenticated()
        digest, now = tokens.digest(token), monotonic()
        known = self._known.get(digest)
        if known is not None and now < known.fresh_until:
            return known.principal
        if known is not None:
            known.fresh_until = min(now + GRACE_SECONDS, known.stale_until)
        return await self._ask(digest, known)

    async def _ask(self, digest: bytes, known: _Known | None) -> Principal:
        try:
            async with self._pool.connection() as connection:
                found = await tokens.find(connection, digest)
        except (OperationalError, InterfaceError) as error:
            if known is not None and monotonic() < known.stale_until:
                return known.principal
            raise Unavailable() from error
        if found is None:
            self._known.pop(digest, None)
            raise Unauthenticated("The token is not known, or it is revoked or expired. Ask an administrator for one.")
        if len(self._known) >= CACHED_MAX:
            self._known.clear()
        self._known[digest] = _Known(found, monotonic() + FRESH_SECONDS, monotonic() + STALE_SECONDS)
        return found
