"""Requests that make something and are no commands, under the keys of their clients."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from pydantic import BaseModel
from starlette.requests import Request

from api.http.keys import read_key
from schema.principals import Principal
from schema.store import request_keys as store
from schema.store.request_keys import KeyedRequest

if TYPE_CHECKING:
    from schema.store.connection import Connection


def keyed(
    request: Request, principal: Principal, body: BaseModel | None = None, *, secrets: frozenset[str] = frozenset()
) -> KeyedRequest | None:
    """None: its client gave no key. `secrets`: fields that no hash is kept of, as it would tell a short one. Raises
    InvalidRequest."""
    key = read_key(request.headers, None)
    if key is None:
        return None
    said = {} if body is None else body.model_dump(mode="json", exclude=set(secrets))
    asked = [request.method, request.url.path, request.url.query, said]
    return KeyedRequest(principal.tenant, principal.name, key, hashlib.sha256(json.dumps(asked).encode()).digest())


async def made_before(connection: Connection, asked: KeyedRequest | None) -> str | None:
    """The id of what was made under this key. None: nothing; the caller makes it in the transaction in which it asks, and says
    so to `keep`. Raises IdempotencyConflict."""
    return None if asked is None else await store.take(connection, asked)


async def keep(connection: Connection, asked: KeyedRequest | None, made: object) -> None:
    if asked is not None:
        await store.keep(connection, asked, str(made))


async def made_earlier(connection: Connection, asked: KeyedRequest | None) -> str | None:
    """The same where one transaction is not enough: the caller says with `note` what it has made. Raises IdempotencyConflict."""
    return None if asked is None else await store.find(connection, asked)


async def note(connection: Connection, asked: KeyedRequest | None, made: object) -> None:
    """Raises IdempotencyConflict."""
    if asked is not None and await store.take(connection, asked) is None:
        await store.keep(connection, asked, str(made))
