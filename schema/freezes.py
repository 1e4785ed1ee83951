"""A freeze: on a mount, or on all of a tenant, nothing is changed until it is lifted. Reads go on. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schema.errors import Frozen


@dataclass(frozen=True, slots=True)
class Freeze:
    """One that holds now."""

    id: int
    reason: str
    until: datetime | None = None

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> "Freeze":
        until = stored["until"]
        return cls(stored["id"], stored["reason"], None if until is None else datetime.fromisoformat(until))

    def refusal(self) -> Frozen:
        """What a client hears that wants to change something."""
        end = "an administrator lifts it" if self.until is None else f"{self.until.isoformat()}, if not lifted before"
        return Frozen(
            f"Nothing is changed here now: {self.reason} The freeze lasts until {end}. Send the same key again then.",
            freezeId=self.id,
            reason=self.reason,
            until=None if self.until is None else self.until.isoformat(),
        )
