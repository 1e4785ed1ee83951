"""A freeze: on a mount, on all of a tenant, or everywhere nothing is changed until it is lifted. Reads go on. Pure."""

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
    everywhere: bool = False
    """On all mounts of all tenants: operators have made it, and only they lift it"""

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> "Freeze":
        until = stored["until"]
        end = None if until is None else datetime.fromisoformat(until)
        return cls(stored["id"], stored["reason"], end, stored.get("everywhere", False))

    def refusal(self) -> Frozen:
        """What a client hears that wants to change something."""
        by = "an operator of the installation" if self.everywhere else "an administrator"
        end = f"{by} lifts it" if self.until is None else f"{self.until.isoformat()}, if not lifted before"
        where = "anywhere" if self.everywhere else "here"
        return Frozen(
            f"Nothing is changed {where} now: {self.reason} The freeze lasts until {end}. Send the same key again then.",
            freezeId=self.id,
            reason=self.reason,
            until=None if self.until is None else self.until.isoformat(),
        )
