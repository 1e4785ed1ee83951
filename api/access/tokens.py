"""Tokens as this process knows them. What is known of one holds for less than a second, counted from when it was asked: so a
revoked token dies within a second everywhere, and where Postgres is slow or away requests wait or hear 503, and never pass."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import structlog
from psycopg import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from api.access.issuers import Issuers
from schema.errors import Unauthenticated, Unavailable
from schema.principals import Principal
from schema.store import tokens
from schema.store.pool import Pool

log = structlog.get_logger(__name__)

FRESH_SECONDS = 0.4
"""After so long the next request has it asked anew, and does not wait for that."""
HOLDS_SECONDS = 0.9
"""After so long it holds for no request any more."""
ASK_SECONDS = 5.0
"""After so long a request that waits for an answer hears 503."""
NOTE_SECONDS = 30.0
"""How often it is written down which tokens were used."""
CACHED_MAX = 10_000


@dataclass(slots=True)
class TokenAnswer:
    """What Postgres said of a token, to a question that was asked at `asked`."""

    found: Principal | None
    asked: float


@dataclass(slots=True)
class TokenQuestion:
    """A question that is on its way to Postgres."""

    asked: float
    task: asyncio.Task[Principal | None]


class Tokens:
    """What this process knows of tokens: by digest, never by the token itself. Used by its HTTP loop alone."""

    def __init__(self, pool: Pool, clock: Callable[[], float] = monotonic, issuers: Issuers | None = None) -> None:
        """`issuers`: others whose tokens are taken"""
        self._pool, self._clock, self._issuers = pool, clock, issuers
        self._answers: dict[bytes, TokenAnswer] = {}
        self._questions: dict[bytes, TokenQuestion] = {}
        self._used: set[int] = set()
        self._noted = clock()

    async def principal_of(self, token: str) -> Principal:
        """Raises Unauthenticated, and Unavailable where it can not be told."""
        found = await self._find(await self._digest(token))
        if found is None:
            raise Unauthenticated("The token is not known, or it is revoked or expired. Ask an administrator for one.")
        self._used.add(found.token_id)
        return found

    async def _digest(self, token: str) -> bytes:
        """Raises Unauthenticated, Unavailable."""
        if tokens.is_token(token):
            return tokens.digest(token)
        if self._issuers is None or token.count(".") != 2:
            raise Unauthenticated()
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await self._issuers.digest_of(token)
        except (OperationalError, InterfaceError, PoolTimeout, TimeoutError) as error:
            raise Unavailable(
                "It can not be told whether the token holds. Nothing was changed; send the same key again."
            ) from error

    async def _find(self, digest: bytes) -> Principal | None:
        answer, now = self._answers.get(digest), self._clock()
        if answer is not None and now < answer.asked + HOLDS_SECONDS:
            if now >= answer.asked + FRESH_SECONDS:
                self._question(digest, answer.found)
            return answer.found
        question = self._question(digest, None if answer is None else answer.found)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await asyncio.shield(question.task)
        except (OperationalError, InterfaceError, PoolTimeout, TimeoutError) as error:
            raise Unavailable(
                "Postgres does not say whether the token holds. Nothing was changed; send the same key again."
            ) from error

    def _question(self, digest: bytes, known: Principal | None) -> TokenQuestion:
        """The one on its way, unless it was asked too long ago for this request."""
        waiting, now = self._questions.get(digest), self._clock()
        if waiting is not None and not waiting.task.done() and now < waiting.asked + HOLDS_SECONDS:
            return waiting
        question = TokenQuestion(now, asyncio.create_task(self._ask(digest, known, now)))
        question.task.add_done_callback(_heard)
        self._questions[digest] = question
        return question

    async def _ask(self, digest: bytes, known: Principal | None, asked: float) -> Principal | None:
        try:
            async with self._pool.connection() as connection:
                found = await tokens.find(connection, digest, known)
                if self._used and asked >= self._noted + NOTE_SECONDS:
                    self._noted, used, self._used = asked, self._used, set()
                    await tokens.note_use(connection, used)
        finally:
            if (waiting := self._questions.get(digest)) is not None and waiting.asked == asked:
                del self._questions[digest]
        self._keep(digest, found, asked)
        return found

    def _keep(self, digest: bytes, found: Principal | None, asked: float) -> None:
        """An answer to an earlier question never takes the place of a later one's."""
        if found is None:
            self._answers.pop(digest, None)
            return
        if len(self._answers) >= CACHED_MAX:
            self._answers.clear()
        known = self._answers.get(digest)
        if known is None or known.asked < asked:
            self._answers[digest] = TokenAnswer(found, asked)


def _heard(task: asyncio.Task[Principal | None]) -> None:
    """No request may be left that waits for it: then its failure is nobody's to hear."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.debug("a token could not be asked about", error=repr(error))
