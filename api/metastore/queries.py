"""Queries of records."""

from typing import Annotated

from pydantic import Field

from api.http.fields import Query, Short


class HistoryQuery(Query):
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Short | None = None


class SearchPage(Query):
    """Which page of a search: these win over the body, which an export sends with each."""

    limit: Annotated[int | None, Field(ge=1, le=1000)] = None
    cursor: Short | None = None
