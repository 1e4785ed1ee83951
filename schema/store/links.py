"""Share links as rows."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from schema.access.decision import Access, access_of
from schema.ids import MountId
from schema.links.link import LinkKind, ShareLink
from schema.paths import NodePath
from schema.sql import load
from schema.store.tokens import grants_of

if TYPE_CHECKING:
    from schema.principals import Principal
    from schema.store.connection import Connection, DictRow

SQL = load("links")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLink:
    """As it was asked for. The code that builds this has checked it."""

    mount: MountId
    path: NodePath
    kind: LinkKind
    description: str | None
    password: str | None
    """Its hash"""
    max_uses: int | None
    requests_per_second: float
    expires_at: datetime | None
    project: int | None = None


@dataclass(frozen=True, slots=True)
class FoundLink:
    """A link that holds. `key`: sealed. `maker`: what its maker may do now, `token` and `state` say of which token."""

    link: ShareLink
    key: str
    password: str | None
    requests_per_second: float
    maker: Access
    token: int
    state: str
    tenant_rate: float | None
    """Requests per second of all its tenant"""


@dataclass(frozen=True, slots=True)
class LinkRow:
    """As clients read it, but for its address."""

    link: ShareLink
    key: str
    principal: str
    document: dict[str, Any]


async def create(connection: Connection, maker: Principal, new: NewLink) -> ShareLink:
    """It holds once its key is kept."""
    values = {
        "tenant": maker.tenant, "token": maker.token_id, "principal": maker.name, "mount": new.mount, "path": new.path.raw,
        "kind": new.kind, "description": new.description, "password": new.password, "max_uses": new.max_uses,
        "rate": new.requests_per_second, "expires_at": new.expires_at, "project": new.project,
    }  # fmt: skip
    row = await (await connection.execute(SQL["create"], values)).fetchone()
    assert row is not None
    return ShareLink(row["id"], maker.tenant, new.mount, new.path, new.kind, new.expires_at, new.max_uses, new.project)


async def keep_key(connection: Connection, id: int, sealed: str) -> None:
    await connection.execute(SQL["keep_key"], {"id": id, "key": sealed})


async def find(connection: Connection, id: int) -> FoundLink | None:
    """None: there is none that holds."""
    row = await (await connection.execute(SQL["find"], {"id": id})).fetchone()
    if row is None:
        return None
    maker = access_of(row["scopes"], grants_of(row["grants"]), suspended=row["suspended"])
    return FoundLink(
        _link(row),
        row["key"],
        row["password"],
        row["requests_per_second"],
        maker,
        row["token_id"],
        row["state"],
        row["tenant_rate"],
    )


async def use(connection: Connection, id: int) -> bool:
    """False: it does not hold any more."""
    return await (await connection.execute(SQL["use"], {"id": id})).fetchone() is not None


async def revoke(connection: Connection, id: int, tenant: str) -> bool:
    return await (await connection.execute(SQL["revoke"], {"id": id, "tenant": tenant})).fetchone() is not None


async def listed(
    connection: Connection, tenant: str, *, only: int | None = None, mount: MountId | None = None,
    before: int | None = None, limit: int = 1,
) -> list[LinkRow]:  # fmt: skip
    values = {"tenant": tenant, "only": only, "mount": mount, "before": before, "limit": limit}
    rows = await (await connection.execute(SQL["list"], values)).fetchall()
    return [LinkRow(_link(row), row["key"], row["principal"], _document(row)) for row in rows]


def _link(row: DictRow) -> ShareLink:
    path = NodePath(bytes(row["path"]))
    kind = LinkKind(row["kind"])
    mount, project = MountId(row["mount_id"]), row["project_id"]
    return ShareLink(row["id"], row["tenant"], mount, path, kind, row["expires_at"], row["max_uses"], project)


def _document(row: DictRow) -> dict[str, Any]:
    path = NodePath(bytes(row["path"]))
    exact = {} if path.text.encode("utf-8", "replace") == path.raw else {"pathB64": base64.b64encode(path.raw).decode()}
    told: dict[str, Any] = json.loads(row["document"])
    return told | {"path": path.text} | exact
