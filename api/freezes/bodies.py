"""Freezes as clients ask for them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from api.http.fields import Conditions, Count, Id, JsonBody, Key, Moment, Query, Short


def _says_something(reason: str) -> str:
    if not reason.strip():
        raise ValueError("the reason is empty: everybody who is refused reads it")
    return reason


Reason = Annotated[Short, AfterValidator(_says_something)]


class FreezeScope(Conditions):
    """A mount, or all of the tenant."""

    backend_mount_id: Id | None = None
    all: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "FreezeScope":
        if (self.backend_mount_id is None) is (self.all is None):
            raise ValueError("name either backendMountId, or all")
        return self


class NewFreezeBody(JsonBody):
    scope: FreezeScope
    reason: Reason
    until: Moment | None = None
    idempotency_key: Key | None = None


class FreezesQuery(Query):
    past: Annotated[bool, Field(description="Those that have ended, too")] = False
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: Count | None = None
