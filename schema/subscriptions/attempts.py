"""What follows from an attempt to deliver an event. Pure."""

from dataclasses import dataclass
from enum import StrEnum

WAITS = (5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400)
"""Seconds before the next attempt, after the first failure, the second, ...: about two days in all."""
REFUSED_MOST = len(WAITS)
"""An event that was refused as often is given up: it is a dead letter, and the next one goes."""
BROKEN_SECONDS = 3 * 86_400.0
"""A target that has taken nothing for so long is not asked any more."""


class SubscriptionState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    BROKEN = "broken"


class DeliveryState(StrEnum):
    DELIVERED = "delivered"
    WAITING = "waiting"
    DEAD = "dead"
    REDRIVE = "redrive"
    """A dead letter that is to be sent once more"""


class DeliveryStep(StrEnum):
    NEXT = "next"
    AGAIN = "again"
    GIVE_UP = "give up"
    BREAK = "break"


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """`status` is None where no answer came; `error` says why then."""

    status: int | None
    error: str | None = None
    retry_after: float | None = None
    milliseconds: float = 0.0

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class DeliveryDecision:
    step: DeliveryStep
    seconds: float = 0.0
    reason: str | None = None


def decide(attempt: DeliveryAttempt, failures: int, failing_seconds: float) -> DeliveryDecision:
    """`failures`: attempts on this event before; `failing_seconds`: since when nothing was taken."""
    if attempt.succeeded:
        return DeliveryDecision(DeliveryStep.NEXT)
    if attempt.status == 410:
        return DeliveryDecision(DeliveryStep.BREAK, reason="The target answered 410 Gone: it wants no more events.")
    if failing_seconds >= BROKEN_SECONDS:
        return DeliveryDecision(
            DeliveryStep.BREAK,
            reason=f"The target has taken nothing for {failing_seconds / 3600:.0f} hours: {said(attempt)}.",
        )
    if failures + 1 >= REFUSED_MOST:
        return DeliveryDecision(DeliveryStep.GIVE_UP, reason=said(attempt))
    wait = float(WAITS[min(failures, len(WAITS) - 1)])
    return DeliveryDecision(DeliveryStep.AGAIN, max(wait, min(attempt.retry_after or 0.0, 86_400.0)), said(attempt))


def said(attempt: DeliveryAttempt) -> str:
    if attempt.error is not None:
        return attempt.error
    if attempt.status is not None and 300 <= attempt.status < 400:
        return f"it answered {attempt.status}, and redirects are not followed"
    return f"it answered {attempt.status}"
