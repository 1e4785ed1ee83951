"""Share links as clients ask for them."""

from typing import Annotated

from pydantic import Field

from api.http.fields import Id, JsonBody, Moment, Query, Short, Text
from schema.links.link import LinkKind


class ProjectLinkBody(JsonBody):
    """`expiresIn`: seconds, in place of `expiresAt`."""

    path: Text | None = None
    path_b64: Text | None = Field(None, alias="pathB64")
    description: Short | None = None
    password: Annotated[Short, Field(min_length=1)] | None = None
    max_uses: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    requests_per_second: Annotated[float, Field(gt=0, le=10_000, strict=False)] = 10.0
    expires_at: Moment | None = None
    expires_in: Annotated[float, Field(gt=0, le=10 * 366 * 86400, strict=False)] | None = None


class NewLinkBody(ProjectLinkBody):
    backend_mount_id: Id
    kind: LinkKind = LinkKind.READ


class LinksQuery(Query):
    backend_mount_id: Id | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Id | None = None


class ListingQuery(Query):
    path: Annotated[Text, Field(description="Below the folder of the link")] = ""
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Text | None = None
