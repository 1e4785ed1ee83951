"""A request as data, so that it can be sent again exactly as it was; and the judgement when that is worth while."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

FIRST_WAIT = 0.2
LONGEST_WAIT = 10.0


@dataclass(frozen=True)
class Request:
    """`key`: the idempotency key of a change, made once and kept through its retries. Without one only reads are sent
    again."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Any = None
    """Bytes, or a `Sending`"""
    key: str | None = None

    @property
    def safe(self) -> bool:
        """It can be sent twice."""
        return self.key is not None or self.method in ("GET", "HEAD", "OPTIONS")

    @property
    def broken(self) -> bool:
        """Its body is sent as it is read, and was not read to its end: a server can not have done anything with it."""
        return self.content is not None and not isinstance(self.content, bytes) and not self.content.through

    @property
    def changes(self) -> bool:
        return self.method not in ("GET", "HEAD", "OPTIONS")

    def all_headers(self) -> dict[str, str]:
        named = {"Idempotency-Key": self.key} if self.key else {}
        if self.content is not None and not isinstance(self.content, bytes):
            named["Content-Length"] = str(self.content.size)
        return {**self.headers, **named}


def new_key() -> str:
    return str(uuid.uuid4())


def parameters(**given: Any) -> dict[str, Any]:
    """Query parameters: None is left out, lists are separated by commas, flags are as JSON has them."""
    return {name: _parameter(value) for name, value in given.items() if value is not None}


def _parameter(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(map(str, value))
    return value.isoformat() if isinstance(value, datetime) else value


def worth_again(status: int, code: str | None) -> bool:
    """The very same request can succeed a little later."""
    return status in (408, 425, 429, 502, 503, 504) or code == "PATH_BUSY"


def wait_before(attempt: int, retry_after: float | None) -> float:
    """Seconds before the next attempt; the first is number 0. What the server asks for is kept, within reason."""
    grown = min(LONGEST_WAIT, FIRST_WAIT * 2**attempt)
    jittered: float = grown * random.uniform(0.5, 1.0)  # noqa: S311  (spreads clients; guards nothing)
    return max(jittered, min(retry_after or 0.0, 60.0))
