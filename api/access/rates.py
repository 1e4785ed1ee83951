"""What one token, and one tenant, may take of this process: requests in a second, and uploads at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from time import monotonic

from schema.errors import RateLimited
from schema.principals import Principal

KNOWN_MAX = 10_000


@dataclass(slots=True)
class RequestAllowance:
    """Requests that may come at once: it fills up with time, to what one second brings, and at least to one."""

    left: float
    at: float


class Rates:
    """Used by the HTTP loop alone. Each process counts for itself."""

    def __init__(
        self, refused: Callable[[str], None], clock: Callable[[], float] = monotonic, tenant_rate: float | None = None
    ) -> None:
        """`tenant_rate`: of tenants that have none of their own."""
        self._refused, self._clock, self._tenant_rate = refused, clock, tenant_rate
        self._allowances: dict[str, RequestAllowance] = {}
        self._uploads: dict[int, int] = {}

    def take(self, principal: Principal) -> None:
        """One request. Raises RateLimited."""
        rate = principal.limits.requests_per_second
        if rate is not None:
            self.spend(f"token {principal.token_id}", rate)
        self.take_of_tenant(principal)

    def take_of_tenant(self, principal: Principal) -> None:
        """One request that no token sends: through a link. Raises RateLimited."""
        rate = principal.limits.tenant_requests_per_second or self._tenant_rate
        if rate is not None:
            self.spend(f"tenant {principal.tenant}", rate)

    def spend(self, key: str, rate: float) -> None:
        """One request of what this key names. Raises RateLimited."""
        now, most = self._clock(), max(1.0, rate)
        if len(self._allowances) >= KNOWN_MAX:
            self._allowances.clear()
        known = self._allowances.setdefault(key, RequestAllowance(most, now))
        known.left, known.at = min(most, known.left + (now - known.at) * rate), now
        if known.left < 1.0:
            self._refused("rate")
            wait = ceil((1.0 - known.left) / rate)
            what = key.partition(" ")[0].partition(":")[0]
            raise _limited(f"This {what} may send {rate:g} requests per second to this server.", wait)
        known.left -= 1.0

    @contextmanager
    def upload(self, principal: Principal) -> Iterator[None]:
        """One request that brings content. Raises RateLimited."""
        most, token = principal.limits.uploads_max, principal.token_id
        if most is None:
            yield
            return
        if self._uploads.get(token, 0) >= most:
            self._refused("uploads")
            raise _limited(f"This token may have {most} uploads under way at a time on this server.", 1)
        self._uploads[token] = self._uploads.get(token, 0) + 1
        try:
            yield
        finally:
            self._uploads[token] -= 1
            if not self._uploads[token]:
                del self._uploads[token]


def _limited(why: str, seconds: int) -> RateLimited:
    error = RateLimited(f"{why} Send the same request again in {seconds} s.", retryAfterSeconds=seconds)
    error.retry_after_seconds = seconds  # type: ignore[misc]
    return error
