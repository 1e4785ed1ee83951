"""Entries of the audit stream: what the journal has of projects, each as the same bytes whenever it is written."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


def entry_of(row: Mapping[str, Any]) -> bytes:
    """Of an entry of the journal."""
    at: datetime = row["recorded_at"]
    told = {
        "entry": row["id"], "tenant": row["tenant"], "what": row["kind"], "principal": row["principal"], "details": row["payload"],
        "requestId": row["request_id"], "at": at.astimezone(UTC).isoformat(),
    }  # fmt: skip
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def id_of(entry: bytes) -> tuple[str, int]:
    """A tenant, and the journal's id. Raises ValueError for what is no entry."""
    told = json.loads(entry)
    if not isinstance(told, dict) or not isinstance(told.get("entry"), int):
        raise ValueError("this is no entry of an audit stream")
    return str(told.get("tenant")), int(told["entry"])


@dataclass(slots=True)
class AuditComparison:
    """A stream against the journal. An entry that is there twice, in the same words, is no fault: it was told again."""

    entries: int = 0
    changed: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    unknown: int = 0
    """What no entry of the journal says"""

    @property
    def is_whole(self) -> bool:
        return not self.changed and not self.missing and not self.unknown


def compare(tenant: str, journal: Iterable[Mapping[str, Any]], stream: Iterable[bytes], last: int) -> AuditComparison:
    """`last`: up to which entry of the journal both go; what the stream has behind it came meanwhile. Where the server has no
    accounts the stream has the entries of all tenants."""
    expected = {row["id"]: entry_of(row) for row in journal}
    found, told = AuditComparison(entries=len(expected)), set[int]()
    for entry in stream:
        try:
            of, id = id_of(entry)
        except ValueError:
            found.unknown += 1
            continue
        if id > last or of != tenant:
            continue
        told.add(id)
        if id not in expected:
            found.unknown += 1
        elif expected[id] != entry:
            found.changed.append(id)
    found.missing = sorted(expected.keys() - told)
    return found
