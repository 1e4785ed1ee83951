"""Quotas: how much there may be in a tenant, on a mount, below a path, by a principal. Pure.

What a list of commands would add is counted command by command, in its order: one that does not fit is refused, and a smaller one
after it can still fit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from schema.errors import QuotaExceeded
from schema.ids import MountId
from schema.paths import NodePath


class Amount(NamedTuple):
    bytes: int = 0
    nodes: int = 0

    def plus(self, other: "Amount") -> "Amount":
        return Amount(self.bytes + other.bytes, self.nodes + other.nodes)


NOTHING = Amount()


class Limit(NamedTuple):
    """None: no limit."""

    bytes: int | None = None
    nodes: int | None = None

    def passed(self, amount: Amount) -> str | None:
        """What there is too much of."""
        if self.bytes is not None and amount.bytes > self.bytes:
            return "bytes"
        return "nodes" if self.nodes is not None and amount.nodes > self.nodes else None


@dataclass(frozen=True, slots=True)
class QuotaScope:
    """None: all mounts; the whole mount; all principals."""

    mount: MountId | None = None
    path: NodePath | None = None
    principal: str | None = None

    @property
    def shown(self) -> str:
        if self.principal is not None:
            place = "" if self.mount is None else f" on mount {self.mount}"
            return f"what {self.principal!r} has put there{place}"
        if self.path is not None:
            return f"what lies below {self.path.text!r}"
        return "the tenant" if self.mount is None else f"mount {self.mount}"


@dataclass(slots=True)
class QuotaRoom:
    """A quota, how much there is, and how much may still come: what running commands have reserved, and what was taken here."""

    id: int
    scope: QuotaScope
    most: Limit
    soft: Limit
    used: Amount
    reserved: Amount
    peak: Amount = NOTHING
    soft_known: bool = False
    claims: Mapping[int, Amount] = field(default_factory=dict)
    """By the number of a command in its list: what it would add"""

    def refusal(self, more: Amount) -> QuotaExceeded | None:
        """None: it fits. What adds no bytes is not refused for bytes, however many there are; the same of nodes."""
        most = Limit(self.most.bytes if more.bytes > 0 else None, self.most.nodes if more.nodes > 0 else None)
        passed = most.passed(self.used.plus(self.reserved).plus(more))
        if passed is None:
            return None
        limit, used, reserved, wanted = (getattr(one, passed) for one in (self.most, self.used, self.reserved, more))
        return QuotaExceeded(
            f"The quota of {self.scope.shown} allows {limit} {passed}: {used} are there, {reserved} are reserved by commands that "
            f"run, and this would add {wanted}. Nothing was changed. Free some space, or ask for a larger quota.",
            quotaId=self.id, limit=passed, max=limit, used=used, reserved=reserved, wanted=wanted,
        )  # fmt: skip

    def take(self, more: Amount) -> None:
        self.reserved = self.reserved.plus(more)

    @property
    def soft_passed(self) -> bool:
        return self.soft.passed(self.used.plus(self.reserved)) is not None

    def news(self, *, clears: bool) -> bool:
        """There is more than ever was seen, or a soft limit is passed; with `clears` also that it is not any more."""
        more = self.used.bytes > self.peak.bytes or self.used.nodes > self.peak.nodes
        return more or (self.soft_passed is not self.soft_known and (clears or self.soft_passed))


def admit(rooms: Iterable[QuotaRoom], n: int) -> QuotaExceeded | None:
    """Let a command take its room in all quotas; or say in which there is none."""
    concerned = [(room, room.claims[n]) for room in rooms if n in room.claims]
    for room, more in concerned:
        if refusal := room.refusal(more):
            return refusal
    for room, more in concerned:
        room.take(more)
    return None
