"""Lists of which all commands are recorded, or none. Pure: what the commands of one would be alone, in; what it is, out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from schema import errors
from schema.commands.claims import Claim, conflicts
from schema.commands.command import Command, Status
from schema.commands.payloads import Applied
from schema.commands.situations import Situation
from schema.commands.verdicts import Busy, Conflict, Go, Join, Refuse, Replay, Resume, Verdict, opens
from schema.ids import CommandId

_OTHERWISE = (
    "Some of these idempotency keys belong to commands that were sent otherwise: alone, or in another list. "
    "An atomic list keeps its keys for itself; use fresh keys, or send the same list again."
)
_LONG = (
    "This takes too long for an atomic list, which holds up what waits behind it: a large or whole directory, or more bytes "
    "than are copied at once. Send it on its own."
)


def decide_atomic(
    requests: Sequence[Command], found: Mapping[CommandId, Situation], verdicts: Mapping[CommandId, Verdict]
) -> dict[CommandId, Verdict]:
    """`verdicts` are those that the commands would get alone. A refusal that no waiting can change comes before waiting."""
    alone = [verdicts[request.id] for request in requests]
    for verdict in alone:
        if isinstance(verdict, Conflict):
            return {request.id: verdict for request in requests}
    if any(isinstance(verdict, Replay | Join | Resume) for verdict in alone):
        return dict(verdicts) if _sent_before(requests, found) else taken(requests)
    refused = _refusals(requests, alone)
    if refused:
        return _refuse(requests, found, refused)
    for verdict in alone:
        if isinstance(verdict, Busy):
            return {request.id: verdict for request in requests}
    return dict(verdicts)


def taken(requests: Sequence[Command]) -> dict[CommandId, Verdict]:
    """Not as one list, at any rate. Nothing is recorded, because the rows of the keys are not ours."""
    return {request.id: Conflict(errors.IdempotencyConflict(_OTHERWISE)) for request in requests}


def _sent_before(requests: Sequence[Command], found: Mapping[CommandId, Situation]) -> bool:
    """Exactly this list, no more of it and no less."""
    known = [found[request.id].known for request in requests]
    lists = {(one.atomic_id, one.atomic_size) if one else (None, 0) for one in known}
    atomic_id, size = next(iter(lists))
    return len(lists) == 1 and atomic_id is not None and size == len(requests)


def _refusals(requests: Sequence[Command], verdicts: Sequence[Verdict]) -> dict[CommandId, errors.FilestoreError]:
    refused = _in_each_others_way(requests, verdicts)
    for request, verdict in zip(requests, verdicts, strict=True):
        if isinstance(verdict, Refuse):
            refused.setdefault(request.id, verdict.error)
        elif isinstance(verdict, Go) and verdict.long:
            refused.setdefault(request.id, errors.NotSupported(_LONG, path=request.path))
        elif request.runs_on != request.mount_id:
            refused.setdefault(
                request.id,
                errors.NotSupported("An atomic list stays on one mount. Send the move to another one alone."),
            )
    return refused


def _in_each_others_way(
    requests: Sequence[Command], verdicts: Sequence[Verdict]
) -> dict[CommandId, errors.FilestoreError]:
    held: list[tuple[Claim, Command]] = []
    for request, verdict in zip(requests, verdicts, strict=True):
        claims = verdict.claims if isinstance(verdict, Go) else request.claims
        for claim in claims:
            for other, owner in held:
                if conflicts(claim, other):
                    error = errors.InvalidRequest(
                        f"`{owner.path}` and `{request.path}` are in each other's way: the commands of an atomic list must "
                        "not touch the same path, nor one what is below another's.",
                        paths=[owner.path, request.path],
                    )
                    return {owner.id: error, request.id: error}
        held.extend((claim, request) for claim in claims)
    return {}


def _refuse(
    requests: Sequence[Command],
    found: Mapping[CommandId, Situation],
    refused: Mapping[CommandId, errors.FilestoreError],
) -> dict[CommandId, Verdict]:
    """One answer for the whole list: it can be tried again when nothing definite is against it. What could pass by itself
    is then no more to blame than the rest."""
    definite = {id: error for id, error in refused.items() if not error.retryable}
    blamed = definite or refused
    culprit = next(request for request in requests if request.id in blamed)
    code = blamed[culprit.id].code
    verdicts: dict[CommandId, Verdict] = {}
    for request in requests:
        identity, attempt = opens(request, found[request.id])
        error = blamed.get(request.id) or errors.NotAttempted(
            f"`{culprit.path}` was refused ({code}), and this list is atomic. Nothing was changed.",
            failedPath=culprit.path,
            failedCode=code,
        )
        verdicts[request.id] = Refuse(identity, attempt, error, retryable=not definite)
    return verdicts


def none_of(items: Sequence[Applied], back: Mapping[CommandId, Applied]) -> list[Applied]:
    """How a list ends of which something failed, as `items` say. `back` has what became of those that had taken effect."""
    ended = [back.get(item.id, item) for item in items]
    doubtful = any(item.status is Status.INCONSISTENT for item in ended)
    causes = [item for item in items if item.status is not Status.SUCCEEDED and item.code != errors.NotAttempted.code]
    definite = [item for item in causes if not item.retryable]
    blamed = {item.id for item in definite or causes}
    # Where one is in doubt the same keys must not open the others again: they could not be an atomic list any more.
    retryable = not definite and not doubtful
    culprit = (definite or causes)[0]
    others = (
        f"Another command of this list failed ({culprit.code}, command {culprit.id}), and the list is atomic: "
        "what this one had done was taken back. Nothing was changed."
    )
    return [
        item
        if item.status is Status.INCONSISTENT
        else replace(item, retryable=retryable)
        if item.id in blamed
        else replace(item, status=Status.FAILED, code=errors.NotAttempted.code, message=others, retryable=retryable)
        for item in ended
    ]
