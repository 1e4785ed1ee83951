"""Acts that no one does alone: which they are, who may say yes, and when it is enough. Pure.

A policy is the operator's, in a file: no token changes it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from schema.errors import Forbidden, WrongState


class ApprovalAct(StrEnum):
    PURGE = "purge"
    RELEASE_HOLD = "releaseHold"
    RELEASE_BRAKE = "releaseBrake"
    REMOVE_MOUNT = "removeMount"
    RAISE_QUOTA = "raiseQuota"
    SUSPEND_TENANT = "suspendTenant"
    REMOVE_TENANT = "removeTenant"


class ApprovalState(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    DONE = "done"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """`needed` people of `group` say yes, each once, whatever tokens they use; the one that asks is none of them."""

    tenant: str
    acts: frozenset[ApprovalAct]
    group: tuple[str, ...]
    needed: int
    expires_seconds: int
    remind_seconds: int

    def check_group(self, requester: str) -> None:
        """Raises Forbidden."""
        others = [one for one in self.group if one != requester]
        if len(others) < self.needed:
            raise Forbidden(
                f"This needs a yes of {self.needed} people of {', '.join(self.group)} besides you, and there are {len(others)}. "
                "The operator can change the policy."
            )


class BadPolicy(ValueError):
    """The file with the policies does not say what they are."""


def policies_of(told: Any) -> list[ApprovalPolicy]:
    """Of the file's JSON. Raises BadPolicy."""
    listed = told.get("policies") if isinstance(told, Mapping) else None
    if not isinstance(listed, list):
        raise BadPolicy('it is {"policies": [...]}')
    return [_policy(one) for one in listed]


def _policy(told: Any) -> ApprovalPolicy:
    try:
        acts = frozenset(ApprovalAct(act) for act in told["acts"])
        group = tuple(dict.fromkeys(str(one) for one in told["group"]))
        needed = int(told.get("needed", 1))
        found = ApprovalPolicy(
            str(told.get("tenant", "main")), acts, group, needed, int(told.get("expiresSeconds", 7 * 86400)),
            int(told.get("remindSeconds", 86400)),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadPolicy(f"a policy has acts, group, needed, expiresSeconds, remindSeconds: {error!r}") from error
    if not (0 < found.needed <= len(group)) or min(found.expires_seconds, found.remind_seconds) <= 0:
        raise BadPolicy("`needed` is between 1 and the size of the group, and the times are more than 0")
    return found


def policy_for(policies: Sequence[ApprovalPolicy], tenant: str, act: ApprovalAct) -> ApprovalPolicy | None:
    """The one that asks for the most people."""
    found = [one for one in policies if one.tenant == tenant and act in one.acts]
    return max(found, key=lambda one: one.needed, default=None)


@dataclass(frozen=True, slots=True)
class ApprovalStanding:
    """`yes`: the people that have said yes so far."""

    requester: str
    approvers: tuple[str, ...]
    needed: int
    state: ApprovalState
    over: bool
    """Its time is over"""
    yes: Collection[str]

    @property
    def open(self) -> bool:
        """Agreed to, and not done, and there is time left."""
        return self.state is ApprovalState.APPROVED and not self.over

    def check_vote(self, by: str, *, yes: bool) -> None:
        """The requester can take it back, which is a no. Raises WrongState, Forbidden."""
        if self.state not in (ApprovalState.WAITING, ApprovalState.APPROVED) or self.over:
            state = ApprovalState.EXPIRED if self.over and self.state is ApprovalState.WAITING else self.state
            raise WrongState(f"It is {state}: nothing waits for a yes any more.", state=str(state))
        if by == self.requester and yes:
            raise Forbidden("You have asked for this yourself. Somebody else of the group has to say yes.")
        if by != self.requester and by not in self.approvers:
            raise Forbidden(f"Only {', '.join(self.approvers)} may answer this.")

    def enough(self, by: str) -> bool:
        """With this yes."""
        return len({*self.yes, by}) >= self.needed
