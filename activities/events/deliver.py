"""`deliver`: events of one subscription go to its target, in order, each at least once under the same id."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic, time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
from temporalio import activity

from schema.faults import areach
from schema.secrets.keyring import of_subscription
from schema.secrets.references import SecretUnreadable
from schema.store import events as event_store
from schema.store import subscriptions as store
from schema.store import tokens
from schema.store.events import visible
from schema.subscriptions import attempts, webhook
from schema.subscriptions.attempts import DeliveryAttempt, DeliveryStep
from schema.subscriptions.targets import refused_address

if TYPE_CHECKING:
    from schema.secrets.keyring import Keyring
    from schema.store.events import Placed
    from schema.store.pool import Pool
    from schema.store.subscriptions import Due

PAGE = 20
NOTICE_SECONDS = 1.0
"""A pause is noticed after so many messages, or after so long and the one that is on its way."""
TURN_SECONDS = 60.0
"""After so long the workflow gets the word."""
LOOK_SECONDS = 0.25
ANSWER_SECONDS = 15.0
"""For all of a target's answer: head and body."""
ANSWER_BYTES = 64 * 1024
DELIVERED_KEPT = timedelta(days=1)
DEAD_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class DeliveryTurn:
    """`ended`: there is nothing to deliver any more. Otherwise the next turn is due after so many seconds."""

    ended: bool
    seconds: float = 0.0


class Deliver:
    """`allowed`: hosts and networks beyond the open internet that events may go to. `keys`: those that secrets are sealed with."""

    def __init__(self, pool: Pool, allowed: Sequence[str], keys: Keyring) -> None:
        self._pool, self._allowed, self._keys = pool, allowed, keys

    @activity.defn(name="deliver")
    async def deliver(self, id: str) -> DeliveryTurn:
        """Deliver what there is and what comes, for a minute, or until an attempt fails."""
        until = monotonic() + TURN_SECONDS
        async with self._pool.connection() as connection:
            await store.forget(connection, id, DELIVERED_KEPT, DEAD_KEPT)
        timeout = httpx2.Timeout(ANSWER_SECONDS)
        async with httpx2.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False) as http:
            while monotonic() < until:
                if (turn := await self._step(http, id)) is not None:
                    return turn
        return DeliveryTurn(ended=False)

    async def _step(self, http: httpx2.AsyncClient, id: str) -> DeliveryTurn | None:
        async with self._pool.connection() as connection:
            due = await store.load_due(connection, id)
        if due is None:
            return DeliveryTurn(ended=True)
        if not due.valid:
            return await self._broken(id, "The token that made this subscription is not valid any more.")
        if due.redrive:
            await self._redrive(http, due)
            return None
        if due.seconds > 0:
            return DeliveryTurn(ended=False, seconds=due.seconds)
        if due.position == due.last:
            await asyncio.sleep(LOOK_SECONDS)
            return None
        return await self._page(http, due)

    async def _page(self, http: httpx2.AsyncClient, due: Due) -> DeliveryTurn | None:
        wanted = due.wanted
        async with self._pool.connection() as connection:
            access = await tokens.load_access(connection, due.token)
            page = await event_store.page(
                connection, due.position, PAGE, tenant=wanted.tenant, mount=wanted.mount, types=wanted.types
            )
            first = page.first if page.first is not None else (await event_store.bounds(connection)).first
        assert access is not None, "the row refers to its token"
        if first > due.position + 1:
            gone = f"Events after {due.position} are not kept any more. Read the lists anew, then replay after {first - 1}."
            return await self._broken(due.id, gone)
        until = monotonic() + NOTICE_SECONDS
        for event in page.events:
            if not (wanted.takes(event) and visible(access, event)):
                continue
            turn = await self._one(http, due, event)
            if turn is not None:
                return turn
            due = replace(due, failures=0, failing_seconds=0.0)
            if monotonic() > until:
                return None  # it may rest by now, want other events, or have lost its token
        async with self._pool.connection() as connection:
            await store.advance(connection, due, page.last)
        return None

    async def _one(self, http: httpx2.AsyncClient, due: Due, event: Placed) -> DeliveryTurn | None:
        """Deliver one event, and write down what became of it. None: the next one may follow."""
        attempt = await self._send(http, due, event.position, event.type, event.data)
        await areach("deliver.sent")
        decision = attempts.decide(attempt, due.failures, due.failing_seconds)
        async with self._pool.connection() as connection:
            if decision.step is DeliveryStep.NEXT:
                await store.delivered(connection, due, event.position, event.type, attempt)
                return None
            await store.failed(
                connection, due, event.position, event.type, attempt, error=decision.reason or "", seconds=decision.seconds,
                dead=decision.step is DeliveryStep.GIVE_UP,
            )  # fmt: skip
        if decision.step is DeliveryStep.BREAK:
            return await self._broken(due.id, decision.reason or "")
        return None if decision.step is DeliveryStep.GIVE_UP else DeliveryTurn(ended=False, seconds=decision.seconds)

    async def _redrive(self, http: httpx2.AsyncClient, due: Due) -> None:
        """Send one dead letter once more."""
        async with self._pool.connection() as connection:
            letter = await store.dead_letter(connection, due.id)
        if letter is None:
            return
        attempt = DeliveryAttempt(None, "the event is not kept any more")
        if letter.data is not None:
            attempt = await self._send(http, due, letter.position, letter.type, letter.data)
        error = None if attempt.succeeded else attempts.said(attempt)
        async with self._pool.connection() as connection:
            await store.redriven(connection, due.id, letter.position, attempt, error)

    async def _broken(self, id: str, reason: str) -> DeliveryTurn:
        async with self._pool.connection() as connection:
            await store.break_off(connection, id, reason)
        return DeliveryTurn(ended=True)

    async def _send(self, http: httpx2.AsyncClient, due: Due, position: int, type: str, data: str) -> DeliveryAttempt:
        body = webhook.body_of(type, position, data, datetime.now(UTC).isoformat())
        try:
            secrets = [self._keys.open(of_subscription(due.id), one) for one in due.secrets]
        except SecretUnreadable as error:
            return DeliveryAttempt(None, str(error))
        return await send(http, due.url, secrets, webhook.message_id(due.id, position), body, self._allowed)


async def send(
    http: httpx2.AsyncClient, url: str, secrets: Sequence[str], id: str, body: bytes, allowed: Sequence[str]
) -> DeliveryAttempt:
    """One attempt: bounded in time and bytes, without redirects, to an address that was looked at."""
    began = monotonic()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            attempt = await _asked(http, url, webhook.headers(secrets, id, int(time()), body), body, allowed)
    except TimeoutError:
        attempt = DeliveryAttempt(None, f"no whole answer came within {ANSWER_SECONDS:.0f} s")
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        attempt = DeliveryAttempt(None, f"{type(error).__name__}: {error}".rstrip(": ")[:500])
    return replace(attempt, milliseconds=(monotonic() - began) * 1000)


async def _asked(
    http: httpx2.AsyncClient, url: str, headers: dict[str, str], body: bytes, allowed: Sequence[str]
) -> DeliveryAttempt:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    address = await _address_of(host, port, allowed)
    if isinstance(address, DeliveryAttempt):
        return address
    # To the very address that was looked at: a name can stand for another one a moment later.
    place = f"[{address}]" if ":" in address else address
    target = parts._replace(netloc=f"{place}:{port}").geturl()
    named = {**headers, "host": parts.netloc}
    request = http.build_request("POST", target, content=body, headers=named, extensions={"sni_hostname": host})
    answer = await http.send(request, stream=True)
    try:
        size = 0
        async for piece in answer.aiter_raw():
            size += len(piece)
            if size > ANSWER_BYTES:
                break  # the status says all there is to know
    finally:
        await answer.aclose()
    retry_after = answer.headers.get("retry-after", "")
    seconds = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
    return DeliveryAttempt(answer.status_code, retry_after=seconds)


async def _address_of(host: str, port: int, allowed: Sequence[str]) -> str | DeliveryAttempt:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(one[4][0]) for one in found]
    refused = [why for why in (None if host in allowed else refused_address(one, allowed) for one in addresses) if why]
    return DeliveryAttempt(None, f"{host} {refused[0]}") if refused else addresses[0]
