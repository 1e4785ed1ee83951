"""Bearer tokens: `fst_<8 hex>_<43 characters>`, the last part holding 256 random bits. Stored as SHA-256 alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from schema.access.decision import Access, access_of
from schema.access.rules import Grant
from schema.ids import MountId
from schema.principals import NO_LIMITS, Principal, TokenLimits
from schema.sql import load

if TYPE_CHECKING:
    from schema.access.claims import IssuedRights
    from schema.store.connection import Connection

SQL = load("tokens")

_TOKEN = re.compile(r"fst_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")
"""A fixed beginning, so that scanners for leaked secrets can recognise one."""
_HINT = len("fst_00000000")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """As it was asked for. The code that builds this has checked it."""

    principal: str
    scopes: Collection[str]
    tenant: str = "main"
    grants: Sequence[Grant] = ()
    description: str | None = None
    expires_at: datetime | None = None
    limits: TokenLimits = NO_LIMITS
    created_by: str | None = None


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What a token is given, held still until the transaction ends."""

    id: int
    tenant: str
    principal: str
    scopes: Sequence[str]
    grants: Sequence[Grant]
    revoked: bool


def mint() -> str:
    return f"fst_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"


def is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


def hint(token: str) -> str:
    """Its beginning, which tells tokens apart and is no secret."""
    return token[:_HINT]


def digest(token: str) -> bytes:
    """What is stored and looked up: how long the lookup takes tells nothing about the token itself."""
    return hashlib.sha256(token.encode("ascii")).digest()


async def find(connection: Connection, hash: bytes, known: Principal | None = None) -> Principal | None:
    """The principal of the token with this digest. `known`: as it was found before; what has not changed is kept. None: there is
    no such token, or it is revoked or expired."""
    cursor = await connection.execute(SQL["find"], {"hash": hash, "known": known and known.state})
    row = await cursor.fetchone()
    if row is None or not hmac.compare_digest(bytes(row["hash"]), hash):
        return None
    if row["grants"] is None:
        return known
    limits = TokenLimits(row["requests_per_second"], row["uploads_max"], row["tenant_rate"])
    return Principal(row["principal"], row["tenant"], row["id"], _access(row), limits, row["state"])


def _access(row: Mapping[str, Any]) -> Access:
    return access_of(row["scopes"], grants_of(row["grants"]), suspended=row["suspended"])


def grants_of(told: Sequence[Mapping[str, Any]]) -> list[Grant]:
    """From the form that clients read."""
    return [
        Grant(one["pattern"], one["effect"], None if one["backendMountId"] is None else MountId(one["backendMountId"]),
              tuple(one["scopes"]))
        for one in told
    ]  # fmt: skip


async def standing(connection: Connection, ids: Collection[int]) -> dict[int, str | None]:
    """The state of each of these tokens. None: it is not valid any more."""
    cursor = await connection.execute(SQL["standing"], {"ids": sorted(ids)})
    return {row["id"]: row["state"] if row["valid"] else None for row in await cursor.fetchall()}


async def load_access(connection: Connection, id: int) -> Access | None:
    row = await (await connection.execute(SQL["load"], {"id": id})).fetchone()
    return None if row is None else _access(row)


async def note_use(connection: Connection, ids: Collection[int]) -> None:
    await connection.execute(SQL["note_use"], {"ids": sorted(ids)})


async def create(
    connection: Connection,
    principal: str,
    scopes: Collection[str],
    *,
    tenant: str = "main",
    expires_at: datetime | None = None,
) -> tuple[int, str]:
    """A new token without grants: its id, and the token, which can not be read again."""
    return await issue(connection, NewToken(principal=principal, scopes=scopes, tenant=tenant, expires_at=expires_at))


async def issue(connection: Connection, new: NewToken) -> tuple[int, str]:
    """A new token: its id, and the token, which can not be read again."""
    token = mint()
    values = {
        "tenant": new.tenant, "principal": new.principal, "hash": digest(token), "hint": hint(token),
        "scopes": sorted(new.scopes), "expires_at": new.expires_at, "description": new.description,
        "requests_per_second": new.limits.requests_per_second, "uploads_max": new.limits.uploads_max,
        "created_by": new.created_by,
    }  # fmt: skip
    row = await (await connection.execute(SQL["create"], values)).fetchone()
    assert row is not None
    await _give(connection, row["id"], new.grants)
    return row["id"], token


async def keep_issued(connection: Connection, rights: IssuedRights, until: float) -> None:
    """The row that stands for a token of another issuer. One that was revoked here stays revoked."""
    values = {
        "tenant": rights.tenant, "principal": rights.principal, "hash": rights.digest, "scopes": list(rights.scopes),
        "until": until, "description": f"{rights.subject[:200]} of {rights.issuer[:200]}",
    }  # fmt: skip
    row = await (await connection.execute(SQL["keep_issued"], values)).fetchone()
    assert row is not None
    if row["made"]:
        await _give(connection, row["id"], rights.grants)


async def _give(connection: Connection, token_id: int, grants: Sequence[Grant]) -> None:
    if grants:
        items = [{"mount": g.mount, "pattern": g.pattern, "effect": g.effect, "scopes": list(g.scopes)} for g in grants]
        await connection.execute(SQL["grant"], {"id": token_id, "grants": json.dumps(items)})


async def strange_mounts(connection: Connection, tenant: str, mounts: Collection[MountId]) -> list[MountId]:
    """Those of them that are not the tenant's."""
    cursor = await connection.execute(SQL["strange_mounts"], {"tenant": tenant, "mounts": sorted(mounts)})
    return [MountId(row["id"]) for row in await cursor.fetchall()]


async def lock(connection: Connection, token_id: int, tenant: str) -> TokenRecord | None:
    row = await (await connection.execute(SQL["lock"], {"id": token_id, "tenant": tenant})).fetchone()
    if row is None:
        return None
    grants, revoked = grants_of(row["grants"]), row["revoked_at"] is not None
    return TokenRecord(row["id"], row["tenant"], row["principal"], row["scopes"], grants, revoked)


async def change(
    connection: Connection, token_id: int, changes: Mapping[str, Any], grants: Sequence[Grant] | None = None
) -> None:
    """Change these columns, and all grants where there are some. The caller has checked them."""
    await connection.execute(SQL["change"], {"id": token_id, "changes": json.dumps(dict(changes))})
    if grants is not None:
        await connection.execute(SQL["withdraw"], {"id": token_id})
        await _give(connection, token_id, grants)


async def rotate(connection: Connection, token_id: int, grace_seconds: float) -> str | None:
    """The new token; the old one holds for so long. None: it is revoked."""
    token = mint()
    values = {"id": token_id, "hash": digest(token), "hint": hint(token), "seconds": grace_seconds}
    row = await (await connection.execute(SQL["rotate"], values)).fetchone()
    return None if row is None else token


async def renew(connection: Connection, token_id: int, lost: str) -> str | None:
    """The token anew, after an answer that was lost: the secret in it holds no more, the one before it as long as it would. `lost`:
    its hint. None: another one came since, or the token is revoked."""
    token = mint()
    values = {"id": token_id, "hash": digest(token), "hint": hint(token), "lost": lost}
    row = await (await connection.execute(SQL["renew"], values)).fetchone()
    return None if row is None else token


async def revoke(connection: Connection, token_id: int, *, tenant: str = "main") -> bool:
    """False: there is no such token, or it was revoked before."""
    cursor = await connection.execute(SQL["revoke"], {"id": token_id, "tenant": tenant})
    return await cursor.fetchone() is not None


async def listed(
    connection: Connection,
    tenant: str,
    *,
    only: int | None = None,
    before: int | None = None,
    principal: str | None = None,
    revoked: bool = True,
    limit: int = 1,
) -> list[tuple[int, str]]:
    """Id and document, as JSON text."""
    values = {
        "tenant": tenant, "only": only, "before": before, "principal": principal, "revoked": revoked, "limit": limit,
    }  # fmt: skip
    cursor = await connection.execute(SQL["list"], values)
    return [(row["id"], row["document"]) for row in await cursor.fetchall()]


async def ensure_bootstrap(connection: Connection, token: str, principal: str = "admin") -> None:
    """Make the operator's own token valid, with every scope. Raises ValueError when it is not shaped like a token."""
    if not is_token(token):
        raise ValueError("FILESTORE_BOOTSTRAP_TOKEN is not of the form fst_<8 hex>_<43 characters>")
    values = {"principal": principal, "hash": digest(token), "hint": hint(token)}
    row = await (await connection.execute(SQL["ensure_bootstrap"], values)).fetchone()
    assert row is not None
    await connection.execute(SQL["withdraw"], {"id": row["id"]})
