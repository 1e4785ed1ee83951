"""How long a job of a project still takes, as far as what it has done so far tells."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobProgress:
    """Totals of 0 are not known. `seconds`: since it began."""

    items: int
    items_total: int
    size: int
    size_total: int
    seconds: float

    @property
    def eta(self) -> float | None:
        """Seconds, by whichever of the two is further behind: many small contents take their time without many bytes."""
        shares = [
            done / total for done, total in ((self.items, self.items_total), (self.size, self.size_total)) if total > 0
        ]
        share = min(shares, default=0.0)
        if share <= 0.0 or self.seconds <= 0.0:
            return None
        return max(0.0, self.seconds / min(share, 1.0) - self.seconds)


def totals_of(kind: str, totals: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """What a job has before it: contents and their bytes, of those by state. (0, 0): that can not be said."""

    def of(*tiers: str) -> tuple[int, int]:
        chosen = [totals[tier] for tier in tiers if tier in totals]
        return sum(one[0] for one in chosen), sum(one[1] for one in chosen)

    match kind:
        case "promote" | "reactivate":
            return of("cold", "restoring", "rehydrating")
        case "evict":
            return of("hot_cold", "evicting")
        case "deactivate":
            (cold, cold_bytes), (hot, hot_bytes) = of("hot_cold", "evicting"), of("hot")
            return cold + 2 * hot, cold_bytes + 2 * hot_bytes
        case "repair":
            return of(*totals)
    return 0, 0
