"""Start the workflow of a list, and know soon when Temporal does not answer: a client waits two seconds for that at most.

A start that takes long is no sign by itself, the server may be busy. So it is asked whether it serves, which costs it
nothing. While it does not, nothing is sent there: what comes then is refused at once, and has not begun.
"""

import asyncio
from datetime import timedelta
from typing import Any

import structlog
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError

from schema import errors
from schema.commands.payloads import Batch
from schema.store.pool import Pool
from workflows.commands.start import start_commands

log = structlog.get_logger("temporal")

_PATIENCE_SECONDS = 0.6
"""After a start has taken so long, Temporal is asked. The question may take most of the two seconds, so that a busy
server can still answer."""
_PROBE_SECONDS = 1.2
_AGAIN_SECONDS = 0.5
_POSTGRES_SECONDS = 1.0

Handle = WorkflowHandle[Any, Any]


class Starting:
    """On the engine's loop. `silent`: Temporal did not answer when it was last asked."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self.silent = pool, False
        self._probing: asyncio.Task[None] | None = None
        self._abandoned: set[asyncio.Future[Any]] = set()

    async def start(self, client: Client | None, commands: Batch) -> Handle:
        """Raises Unavailable, when nothing was sent; OutcomeUnknown, when Temporal did not confirm what was."""
        if client is None or self.silent:
            raise errors.Unavailable("Temporal does not answer. Nothing was changed; send the same key again.")
        starting = asyncio.ensure_future(start_commands(client, commands))
        done, _ = await asyncio.wait([starting], timeout=_PATIENCE_SECONDS)
        if not done and not await answers(client):
            self._abandon(starting)
            self._watch(client)
            raise _unconfirmed("it does not answer")
        try:
            return await starting
        except RPCError as error:
            if not await answers(client):
                self._watch(client)
            raise _unconfirmed(error.status.name.lower().replace("_", " ")) from error

    def _abandon(self, starting: "asyncio.Future[Handle]") -> None:
        """The answer of the start may still come, and is not waited for: if the command began, its row tells."""
        self._abandoned.add(starting)
        starting.add_done_callback(self._over)
        starting.cancel()

    def _over(self, starting: "asyncio.Future[Any]") -> None:
        self._abandoned.discard(starting)
        if not starting.cancelled():
            starting.exception()

    def _watch(self, client: Client) -> None:
        if self._probing is None:
            log.warning("Temporal does not answer: commands are refused until it does")
            self.silent = True
            self._probing = asyncio.create_task(self._until_it_answers(client))

    async def _until_it_answers(self, client: Client) -> None:
        try:
            while not await answers(client):  # noqa: ASYNC110  only Temporal can say it
                await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            self.silent, self._probing = False, None
        log.info("Temporal answers again")

    async def end(self, handle: Handle) -> object:
        """Waits for the end of a list. Raises OutcomeUnknown with the name of the server that failed it."""
        try:
            return await handle.result()
        except WorkflowFailureError as error:
            raise _unanswered(error, postgres=await self._postgres_answers()) from error

    async def _postgres_answers(self) -> bool:
        # Not cancelled when it takes long: that would wait for the server, too.
        asking = asyncio.ensure_future(self._ask_postgres())
        self._abandoned.add(asking)
        asking.add_done_callback(self._over)
        await asyncio.wait([asking], timeout=_POSTGRES_SECONDS)
        return asking.done() and asking.exception() is None

    async def _ask_postgres(self) -> None:
        async with self._pool.connection(timeout=_POSTGRES_SECONDS) as connection:
            await connection.execute("SELECT 1")

    def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()


async def answers(client: Client) -> bool:
    """Whether Temporal serves, asked now."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            return await client.service_client.check_health(retry=False, timeout=timedelta(seconds=_PROBE_SECONDS))
    except (TimeoutError, RPCError, RuntimeError):
        return False


def _unconfirmed(why: str) -> errors.OutcomeUnknown:
    return errors.OutcomeUnknown(
        f"Temporal did not confirm the start of this command: {why}. Send the same key again: it joins this command if it "
        "has begun, and never repeats it."
    )


def _unanswered(error: WorkflowFailureError, *, postgres: bool) -> errors.OutcomeUnknown:
    """The error for the clients of a list that ended without saying how its commands did."""
    if postgres:
        return errors.OutcomeUnknown(cause=type(error.cause).__name__)
    return errors.OutcomeUnknown(
        "Postgres did not answer in time, so the outcome is not known yet. Send the same key again: it joins this command and "
        "never repeats it."
    )
