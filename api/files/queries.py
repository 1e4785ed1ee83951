"""Queries about the content of files."""

from typing import Annotated, Literal

from pydantic import Field

from api.http.fields import Id, Query

Disposition = Literal["inline", "attachment"]


class PresignQuery(Query):
    expires_in: Annotated[int, Field(ge=1, le=3600)] = 300
    disposition: Disposition = "attachment"


class ContentQuery(Query):
    version: Id | None = None
    disposition: Disposition = "attachment"
