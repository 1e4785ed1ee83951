"""May a command go ahead? Pure: a request and what `begin` found in the record, in; one verdict, out.

What is particular to one kind of command stands in `schema.commands.decisions`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from schema import errors
from schema.commands.claims import Claim, conflicts
from schema.commands.command import Command, CommandKind, Status
from schema.commands.decisions import decision_of
from schema.commands.intents import Intent, copied_of, kept_in
from schema.commands.situations import KnownCommand, Place, Situation
from schema.ids import CommandId


@dataclass(frozen=True, slots=True)
class Go:
    """Intent and claims: everything `apply` and `commit` may do, fixed before anything happens."""

    id: CommandId
    attempt: int
    intent: Intent
    claims: Sequence[Claim] = ()

    @property
    def long(self) -> bool:
        """More than the neighbours in a list should wait for."""
        return self.intent.long

    @property
    def unstaged(self) -> bool:
        """What will appear is still to be staged: a copy."""
        return copied_of(self.intent) is not None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Ends here, without effect, and is journaled."""

    id: CommandId
    attempt: int
    error: errors.FilestoreError
    retryable: bool | None = None
    """None: as the error is"""


@dataclass(frozen=True, slots=True)
class Replay:
    """The same request ended before."""

    known: KnownCommand


@dataclass(frozen=True, slots=True)
class Resume:
    """We opened it ourselves, in an execution of `begin` whose answer was lost."""

    id: CommandId
    attempt: int
    long: bool = False
    unstaged: bool = False


@dataclass(frozen=True, slots=True)
class Join:
    """The same request is running elsewhere: wait for its row."""

    id: CommandId


@dataclass(frozen=True, slots=True)
class Busy:
    """Another command holds the path: wait in the queue."""

    by: CommandId


@dataclass(frozen=True, slots=True)
class Conflict:
    """The key belongs to another request: answered, not recorded, because the key's row is not ours."""

    error: errors.FilestoreError = field(default_factory=errors.IdempotencyConflict)


Verdict = Go | Refuse | Replay | Resume | Join | Busy | Conflict


def decide(request: Command, found: Situation, *, workflow: str, day: str) -> Verdict:
    """`workflow` is the one that asks. `day` names the trash folder, fixed for good: a retry after midnight finds it again."""
    if known := found.known:
        if not _asks_the_same(request, known):
            return Conflict()
        if known.owner == workflow:
            if known.status is not Status.RUNNING:
                return Replay(known)
            return Resume(known.id, known.attempt, known.long, known.unstaged)
        if known.status is Status.RUNNING:
            return Join(known.id)
        if not known.retryable:
            return Replay(known)
    identity, attempt = opens(request, found)
    refusal = _refusal(request, found)
    if isinstance(refusal, Busy):
        return refusal
    if refusal is not None:
        return Refuse(identity, attempt, refusal)
    decision = decision_of(request)
    intent = replace(
        decision.intend(request, found),
        stage=request.stage,
        staged=request.staged,
        borrowed=request.borrowed_stage is not None,
        opened=attempt,
    )
    return Go(identity, attempt, kept_in(intent, f"{day}/{identity}"), decision.claims(request, found))


def _asks_the_same(request: Command, known: KnownCommand) -> bool:
    """A body that was not read to its end has no hash, and then all but the body has to agree."""
    if known.hash is not None and request.hash is not None:
        return known.hash == request.hash
    return (known.head or known.hash) == request.effective_head


def opens(request: Command, found: Situation) -> tuple[CommandId, int]:
    """The command that this request opens: a new one, or the next attempt of one that failed before."""
    return (found.known.id, found.known.attempt + 1) if found.known else (request.id, 1)


def _refusal(request: Command, found: Situation) -> errors.FilestoreError | Busy | None:
    if request.failure is not None:
        return errors.from_code(request.failure, request.failure_message, request.failure_details)
    places = [found.here] if found.there is None else [found.here, found.there]
    for place in places:
        if unusable := _unusable(place, writes=place is found.appears or request.kind is not CommandKind.COPY):
            return unusable
    # Only now: a refusal that no waiting can change should not wait.
    for place in places:
        if place.busy is not None:
            return Busy(place.busy)
    return decision_of(request).refuse(request, found)


def _unusable(place: Place, *, writes: bool) -> errors.FilestoreError | None:
    if place.mount_state is None:
        return errors.BackendNotFound()
    if place.mount_state not in ("active", "degraded"):
        return errors.MountOffline(f"The mount is {place.mount_state}. An administrator can set it active.")
    if writes and place.freeze is not None:
        return place.freeze.refusal()
    return errors.MountReadOnly() if writes and place.mount_access != "rw" else None


def among(verdict: Verdict, held: list[tuple[Claim, CommandId]]) -> Verdict:
    """The same verdict, unless a command earlier in the list is in the way."""
    if isinstance(verdict, Go):
        for claim in verdict.claims:
            for other, command in held:
                if conflicts(claim, other):
                    return Busy(command)
        held.extend((claim, verdict.id) for claim in verdict.claims)
    return verdict
