"""Tokens as this process knows them. One is looked up every few seconds, so a revoked one dies within five."""

from psycopg import InterfaceError, OperationalError

from api.access.lookups import Holding, Lookups
from schema.errors import Unauthenticated, Unavailable
from schema.principals import Principal
from schema.store import tokens
from schema.store.pool import Pool

FRESH_SECONDS = 4.0
GRACE_SECONDS = 1.0
"""Together at most five seconds: for so long a revoked token is still accepted."""
STALE_SECONDS = 60.0
"""While Postgres can not be asked callers hear 503 from where the trouble is, and not 401."""
CACHED_MAX = 10_000


class Tokens:
    """What this process knows of tokens: by digest, never by the token itself."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lookups: Lookups[bytes, Principal] = Lookups(CACHED_MAX)

    async def principal_of(self, token: str) -> Principal:
        """Raises Unauthenticated, and Unavailable where it can not be told."""
        if not tokens.is_token(token):
            raise Unauthenticated()
        digest, holding = tokens.digest(token), Holding(FRESH_SECONDS, GRACE_SECONDS, STALE_SECONDS)
        try:
            found = await self._lookups.find(digest, lambda: self._ask(digest), holding)
        except (OperationalError, InterfaceError) as error:
            raise Unavailable() from error
        if found is None:
            raise Unauthenticated("The token is not known, or it is revoked or expired. Ask an administrator for one.")
        return found

    async def _ask(self, digest: bytes) -> Principal | None:
        async with self._pool.connection() as connection:
            return await tokens.find(connection, digest)
