"""Quotas as clients ask for them."""

from typing import Annotated

from pydantic import Field

from api.access.bodies import PrincipalName, TenantName
from api.http.fields import Count, Id, JsonBody, Query, Text


class QuotaChanges(JsonBody):
    """Limits; null, or left out of a new quota: none."""

    max_bytes: Count | None = None
    max_nodes: Count | None = None
    soft_bytes: Count | None = None
    soft_nodes: Count | None = None


class NewQuotaBody(QuotaChanges):
    """Without a mount: all of the tenant. With a path: what lies below it. With a principal: what it has put there."""

    tenant: TenantName | None = None
    backend_mount_id: Id | None = None
    path: Text | None = None
    path_b64: Text | None = Field(None, alias="pathB64")
    principal: PrincipalName | None = None
    trash: bool = False


class QuotasQuery(Query):
    tenant: TenantName | None = None
    backend_mount_id: Id | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Id | None = None
