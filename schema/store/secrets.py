"""Stored secrets are sealed with another key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from schema.secrets.keyring import Keyring, of_link, of_mount, of_subscription
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("secrets")


async def reseal(connection: Connection, keys: Keyring, *, plain_only: bool = False) -> int:
    """Seal with the current key what another one sealed, or, with `plain_only`, what none did: a hundred rows a transaction. How
    many rows. Raises SecretUnreadable where a key is missing; what was done until then stays."""
    key = keys.current
    values = {"key": key, "plain": plain_only, "sealed": f"^sealed:{key}:"}
    done = 0
    while number := await _some(connection, keys, values):
        done += number
    return done


async def _some(connection: Connection, keys: Keyring, values: Mapping[str, Any]) -> int:
    async with connection.transaction():
        mounts = await (await connection.execute(SQL["of_mounts"], values)).fetchall()
        for row in mounts:
            value = _again(keys, of_mount(row["mount_id"], row["name"]), row["value"])
            told = {"mount": row["mount_id"], "name": row["name"], "value": value}
            await connection.execute(SQL["keep_of_mount"], told)
        subscriptions = await (await connection.execute(SQL["of_subscriptions"], values)).fetchall()
        for row in subscriptions:
            place = of_subscription(row["id"])
            secret, previous = (_again(keys, place, row[name]) for name in ("secret", "previous_secret"))
            await connection.execute(
                SQL["keep_of_subscription"], {"id": row["id"], "secret": secret, "previous": previous}
            )
        links = await (await connection.execute(SQL["of_links"], values)).fetchall()
        for row in links:
            told = {"id": row["id"], "key": _again(keys, of_link(row["id"]), row["key"])}
            await connection.execute(SQL["keep_of_link"], told)
    return len(mounts) + len(subscriptions) + len(links)


def _again(keys: Keyring, place: str, stored: str | None) -> str | None:
    return None if stored is None else keys.seal(place, keys.open(place, stored))


async def keys_in_use(connection: Connection) -> dict[str | None, int]:
    """How many secrets each key has sealed. None: those that are not sealed."""
    return {row["key"]: row["number"] for row in await (await connection.execute(SQL["keys"])).fetchall()}
