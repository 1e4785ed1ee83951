"""Webhooks: subscriptions to the feed, and what became of their deliveries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from schema.ids import MountId
from schema.sql import load
from schema.store import tokens
from schema.store.events import EventFilter
from schema.subscriptions.attempts import DeliveryAttempt

if TYPE_CHECKING:
    from schema.principals import Principal
    from schema.store.connection import Connection, DictRow

SQL = load("subscriptions")


@dataclass(frozen=True, slots=True)
class Due:
    """A subscription, and what its next delivery needs. `valid`: its token is. `redrive`: a dead letter is to be sent once more.
    `seconds`: until the next attempt is due."""

    id: str
    url: str
    secrets: Sequence[str]
    wanted: EventFilter
    token: int
    valid: bool
    redrive: bool
    position: int
    last: int
    replays: int
    failures: int
    seconds: float
    failing_seconds: float


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`data` is None where the event is not kept any more."""

    position: int
    type: str
    attempts: int
    data: str | None


async def create(
    connection: Connection,
    id: str,
    principal: Principal,
    url: str,
    secret: str,
    filter: dict[str, Any],
    description: str | None,
) -> None:
    values = {
        "id": id, "tenant": principal.tenant, "token": principal.token_id, "principal": principal.name, "url": url,
        "secret": secret, "filter": json.dumps(filter), "description": description,
    }  # fmt: skip
    await connection.execute(SQL["create"], values)


async def count(connection: Connection, tenant: str, most: int) -> int:
    row = await (await connection.execute(SQL["count"], {"tenant": tenant, "most": most})).fetchone()
    assert row is not None
    return int(row["number"])


async def find(connection: Connection, id: str, tenant: str) -> DictRow | None:
    return await (await connection.execute(SQL["find"], {"id": id, "tenant": tenant})).fetchone()


async def listed(
    connection: Connection, tenant: str, limit: int, before: tuple[datetime, str] | None = None
) -> list[DictRow]:
    at, id = before or (None, None)
    values = {"tenant": tenant, "limit": limit, "before": at, "before_id": id}
    return await (await connection.execute(SQL["listed"], values)).fetchall()


async def change(connection: Connection, id: str, tenant: str, changes: dict[str, Any]) -> bool:
    """False: there is no such subscription."""
    fields = {name: changes.get(name) for name in ("url", "description", "state")}
    filter = changes.get("filter")
    values = {"id": id, "tenant": tenant, "filter": None if filter is None else json.dumps(filter), **fields}
    return (await connection.execute(SQL["change"], values)).rowcount == 1


async def rotate(connection: Connection, id: str, tenant: str, secret: str, overlap: timedelta) -> bool:
    values = {"id": id, "tenant": tenant, "secret": secret, "seconds": overlap.total_seconds()}
    return (await connection.execute(SQL["rotate"], values)).rowcount == 1


async def remove(connection: Connection, id: str, tenant: str) -> bool:
    return (await connection.execute(SQL["remove"], {"id": id, "tenant": tenant})).rowcount == 1


async def replay(connection: Connection, id: str, tenant: str, after: int) -> bool:
    return (await connection.execute(SQL["replay"], {"id": id, "tenant": tenant, "after": after})).rowcount == 1


async def redrive(connection: Connection, id: str, tenant: str, positions: Sequence[int] | None) -> int:
    """How many dead letters are to be sent once more."""
    values = {"id": id, "tenant": tenant, "positions": None if positions is None else list(positions)}
    return (await connection.execute(SQL["redrive"], values)).rowcount


async def deliveries(
    connection: Connection, id: str, tenant: str, limit: int, before: int | None, states: Sequence[str] | None
) -> list[DictRow]:
    values = {
        "id": id,
        "tenant": tenant,
        "limit": limit,
        "before": before,
        "states": None if states is None else list(states),
    }
    return await (await connection.execute(SQL["deliveries"], values)).fetchall()


async def active(connection: Connection) -> list[str]:
    return [row["id"] for row in await (await connection.execute(SQL["active"])).fetchall()]


async def load_due(connection: Connection, id: str) -> Due | None:
    """None: it is not active, or gone."""
    row = await (await connection.execute(SQL["load"], {"id": id})).fetchone()
    if row is None:
        return None
    valid = (await tokens.standing(connection, [row["token_id"]])).get(row["token_id"]) is not None
    secrets = [secret for secret in (row["secret"], row["previous_secret"]) if secret]
    return Due(
        id, row["url"], secrets, filter_of(row["tenant"], row["filter"]), row["token_id"], valid, row["redrive"],
        row["position"], row["last"], row["replays"], row["failures"], row["seconds"] or 0.0, row["failing"],
    )  # fmt: skip


def filter_of(tenant: str, told: dict[str, Any]) -> EventFilter:
    """From the form that clients read; the prefix is kept as hexadecimal bytes beside its text."""
    mount = told.get("backendMountId")
    return EventFilter(
        tenant, None if mount is None else MountId(mount), bytes.fromhex(told.get("prefixHex", "")), told.get("types")
    )


async def dead_letter(connection: Connection, id: str) -> DeadLetter | None:
    row = await (await connection.execute(SQL["to_redrive"], {"id": id})).fetchone()
    return None if row is None else DeadLetter(row["position"], row["type"], row["attempts"], row["data"])


async def redriven(connection: Connection, id: str, position: int, attempt: DeliveryAttempt, error: str | None) -> None:
    values = {"id": id, "position": position, "succeeded": attempt.succeeded, "status": attempt.status}
    await connection.execute(SQL["redriven"], values | {"error": error, "milliseconds": attempt.milliseconds})


async def delivered(connection: Connection, due: Due, position: int, type: str, attempt: DeliveryAttempt) -> None:
    await connection.execute(SQL["delivered"], _values(due, position, type, attempt))


async def failed(
    connection: Connection,
    due: Due,
    position: int,
    type: str,
    attempt: DeliveryAttempt,
    *,
    error: str,
    seconds: float,
    dead: bool,
) -> None:
    values = _values(due, position, type, attempt) | {"error": error, "seconds": seconds, "dead": dead}
    await connection.execute(SQL["failed"], values)


def _values(due: Due, position: int, type: str, attempt: DeliveryAttempt) -> dict[str, Any]:
    return {
        "id": due.id, "replays": due.replays, "position": position, "type": type, "attempts": due.failures + 1,
        "status": attempt.status, "milliseconds": attempt.milliseconds,
    }  # fmt: skip


async def advance(connection: Connection, due: Due, position: int) -> None:
    await connection.execute(SQL["advance"], {"id": due.id, "replays": due.replays, "position": position})


async def break_off(connection: Connection, id: str, reason: str) -> None:
    await connection.execute(SQL["break"], {"id": id, "reason": reason})


async def forget(connection: Connection, id: str, delivered: timedelta, dead: timedelta) -> None:
    values = {"id": id, "delivered_seconds": delivered.total_seconds(), "dead_seconds": dead.total_seconds()}
    await connection.execute(SQL["forget"], values)
