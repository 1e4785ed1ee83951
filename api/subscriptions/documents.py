"""Subscriptions and deliveries from their rows, as JSON; cursors of their lists."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from schema.errors import InvalidRequest


def subscription(row: Mapping[str, Any]) -> dict[str, Any]:
    filter = {name: value for name, value in row["filter"].items() if name != "prefixHex"}
    return {
        "id": str(row["id"]), "url": row["url"], "filter": filter, "description": row["description"], "state": row["state"],
        "reason": row["reason"], "principal": row["principal"], "cursor": str(row["position"]),
        "behind": max(0, row["last"] - row["position"]), "failures": row["failures"],
        "nextAttemptAt": row["next_attempt_at"], "createdAt": row["created_at"], "updatedAt": row["updated_at"],
    }  # fmt: skip


def delivery(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "cursor": str(row["position"]), "type": row["type"], "state": row["state"], "attempts": row["attempts"],
        "status": row["status"], "error": row["error"], "milliseconds": round(row["milliseconds"], 1),
        "attemptedAt": row["attempted_at"],
    }  # fmt: skip


def further(rows: Sequence[Mapping[str, Any]], limit: int) -> str | None:
    """The cursor of the page behind these rows; None: there is none."""
    if len(rows) <= limit:
        return None
    last = rows[limit - 1]
    return base64.urlsafe_b64encode(f"{last['created_at'].isoformat()} {last['id']}".encode()).decode()


def place(cursor: str | None) -> tuple[datetime, str] | None:
    """Raises InvalidRequest."""
    if cursor is None:
        return None
    try:
        at, _, id = base64.urlsafe_b64decode(cursor).decode().partition(" ")
        return datetime.fromisoformat(at), str(UUID(id))
    except (ValueError, binascii.Error) as error:
        raise InvalidRequest(
            "The cursor is not one of this service: send it as it came, or none.", field="cursor"
        ) from error
