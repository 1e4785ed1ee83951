"""Bearer tokens: `fst_<8 hex>_<43 characters>`, the last part holding 256 random bits. Stored as SHA-256 alone."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from schema.access.decision import access_of
from schema.principals import Principal
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("tokens")

_TOKEN = re.compile(r"fst_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")
"""A fixed beginning, so that scanners for leaked secrets can recognise one."""
_HINT = len("fst_00000000")


def mint() -> str:
    return f"fst_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"


def is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


def digest(token: str) -> bytes:
    """What is stored and looked up: how long the lookup takes tells nothing about the token itself."""
    return hashlib.sha256(token.encode("ascii")).digest()


async def find(connection: Connection, hash: bytes) -> Principal | None:
    """The principal of the token with this digest. None: there is no such token, or it is revoked or expired."""
    cursor = await connection.execute(SQL["find"], {"hash": hash})
    row = await cursor.fetchone()
    if row is None:
        return None
    return Principal(row["principal"], row["tenant"], row["id"], access_of(row["scopes"]))


async def create(
    connection: Connection,
    principal: str,
    scopes: Collection[str],
    *,
    tenant: str = "main",
    expires_at: datetime | None = None,
) -> tuple[int, str]:
    """A new token: its id, and the token, which can not be read again."""
    token = mint()
    values = {
        "tenant": tenant,
        "principal": principal,
        "hash": digest(token),
        "hint": token[:_HINT],
        "scopes": sorted(scopes),
        "expires_at": expires_at,
    }
    cursor = await connection.execute(SQL["create"], values)
    row = await cursor.fetchone()
    assert row is not None
    return row["id"], token


async def revoke(connection: Connection, token_id: int, *, tenant: str = "main") -> bool:
    """False: there is no such token, or it was revoked before."""
    cursor = await connection.execute(SQL["revoke"], {"id": token_id, "tenant": tenant})
    return await cursor.fetchone() is not None


async def ensure_bootstrap(connection: Connection, token: str, principal: str = "admin") -> None:
    """Make the operator's own token valid, with every scope. Raises ValueError when it is not shaped like a token."""
    if not is_token(token):
        raise ValueError("FILESTORE_BOOTSTRAP_TOKEN is not of the form fst_<8 hex>_<43 characters>")
    values = {"principal": principal, "hash": digest(token), "hint": token[:_HINT]}
    await connection.execute(SQL["ensure_bootstrap"], values)
