"""Tokens and tenants as clients read them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.http.shapes import CursorPagination, Shape


class TokenGrant(Shape):
    backend_mount_id: int | None
    pattern: str
    effect: Literal["allow", "deny"]
    scopes: list[str]


class Token(Shape):
    """`hint`: how the token begins. `previousUntil`: so long the token from before the last rotation holds."""

    id: int
    tenant: str
    principal: str
    description: str | None
    scopes: list[str]
    grants: list[TokenGrant]
    hint: str
    requests_per_second: float | None
    uploads_max: int | None
    created_by: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    previous_until: datetime | None


class IssuedToken(Token):
    token: str = Field(description="The token itself. It is shown once, here")


class TokenPage(Shape):
    tokens: list[Token]
    pagination: CursorPagination


class Tenant(Shape):
    id: str
    display_name: str | None
    state: Literal["active", "suspended"]
    reads: bool
    requests_per_second: float | None
    mounts: int
    tokens: int
    created_at: datetime
    updated_at: datetime


class TenantPage(Shape):
    tenants: list[Tenant]
    pagination: CursorPagination
