"""Values as people write them on a command line."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import typer

from filestore_sdk.models import time


def pair(given: str) -> tuple[str, Any]:
    """`key=value`; the value as JSON, or as text."""
    name, equals, value = given.partition("=")
    if not equals:
        raise typer.BadParameter(f"{given!r}: write key=value")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def moment_of(given: str) -> datetime:
    """`2026-01-31T12:00:00Z`, or how long ago: 30s, 10m, 2h, 3d."""
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if given[:-1].isdigit() and given[-1] in units:
        return datetime.now(timezone.utc) - timedelta(**{units[given[-1]]: int(given[:-1])})
    if found := time(given):
        return found
    raise typer.BadParameter(f"{given!r} is no time: write 2026-01-31T12:00:00Z, or an age like 2h")
