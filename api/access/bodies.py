"""Tokens and tenants as clients ask for them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from api.http.fields import Conditions, Count, Id, JsonBody, Moment, Query, Short, Text
from schema.access.actions import SCOPES
from schema.access.patterns import PATTERN_MAX, pattern
from schema.errors import FilestoreError

GRANTS_MAX = 1000
GRACE_MAX = 30 * 86400


def _known_scope(name: str) -> str:
    if name not in SCOPES:
        raise ValueError(f"there are {', '.join(sorted(SCOPES))}")
    return name


def _usable_pattern(text: str) -> str:
    try:
        return pattern(text).text
    except FilestoreError as error:
        raise ValueError(error.message) from error


ScopeName = Annotated[Short, AfterValidator(_known_scope), Field(json_schema_extra={"enum": sorted(SCOPES)})]
Scopes = Annotated[list[ScopeName], Field(max_length=len(SCOPES))]
PrincipalName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
TenantName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9._-]*$")]
PatternText = Annotated[Text, Field(max_length=PATTERN_MAX), AfterValidator(_usable_pattern)]
Rate = Annotated[float, Field(gt=0, le=100_000, strict=False)]
Uploads = Annotated[int, Field(ge=1, le=100_000)]


class GrantBody(Conditions):
    """Where, and what. Without a mount: on all. Without scopes: allowed are those of the token, denied is everything."""

    backend_mount_id: Id | None = None
    pattern: PatternText = ""
    effect: Literal["allow", "deny"] = "allow"
    scopes: Scopes = Field(default_factory=list)


class TokenFields(JsonBody):
    """What a token has, and what can be changed later."""

    description: Annotated[Text, Field(max_length=10_000)] | None = None
    expires_at: Moment | None = None
    requests_per_second: Rate | None = None
    uploads_max: Uploads | None = None


class NewTokenBody(TokenFields):
    principal: PrincipalName
    scopes: Scopes
    grants: Annotated[list[GrantBody], Field(max_length=GRANTS_MAX)] = Field(default_factory=list)
    tenant: TenantName | None = None


class TokenChanges(TokenFields):
    """Only the fields that are sent change."""

    scopes: Scopes | None = None
    grants: Annotated[list[GrantBody], Field(max_length=GRANTS_MAX)] | None = None


class RotationBody(JsonBody):
    """`graceSeconds`: so long the old token goes on to hold."""

    grace_seconds: Annotated[Count, Field(le=GRACE_MAX)] = 3600


class TokensQuery(Query):
    tenant: TenantName | None = None
    principal: Short | None = None
    revoked: Annotated[bool, Field(description="Revoked ones too")] = False
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Id | None = None


class OfTenantQuery(Query):
    tenant: TenantName | None = None


class TenantFields(JsonBody):
    """A tenant that is suspended changes nothing; with `reads: false` it reads nothing either. `requestsPerSecond`: of all its
    tokens together, to one server."""

    display_name: Short | None = None
    state: Literal["active", "suspended"] = "active"
    reads: bool = True
    requests_per_second: Rate | None = None


class NewTenant(TenantFields):
    id: TenantName


class TenantsQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: TenantName | None = None
