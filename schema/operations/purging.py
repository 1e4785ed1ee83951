"""What a purge removes for good, by age and by size. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class PurgePolicy:
    """Without any: what is kept no longer anyway."""

    older_than: float | None = None
    """Seconds in the trash"""
    keep_bytes: int | None = None

    def goes(self, *, since: datetime, until: datetime, now: datetime, newer: int) -> bool:
        """`since` when it lies in the trash, `until` when it was promised. `newer`: bytes of it and of all that came later."""
        if until <= now:
            return True
        if self.older_than is not None and since <= now - timedelta(seconds=self.older_than):
            return True
        return self.keep_bytes is not None and newer > self.keep_bytes
