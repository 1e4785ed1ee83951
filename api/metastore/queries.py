"""The query that reads the history of a record."""

from typing import Annotated

from pydantic import Field

from api.http.fields import Query, Short


class HistoryQuery(Query):
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Short | None = None
