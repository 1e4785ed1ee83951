"""What a request to steer an operation changes in its row. Pure. Only the runner makes `paused`, `cancelled`,
`rolling_back` and the ends: here stands what is wanted."""

from dataclasses import dataclass
from enum import StrEnum

from schema.errors import NotSupported, WrongState
from schema.operations.operation import Operation, OperationKind, OperationState, Want


class Control(StrEnum):
    APPLY = "apply"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    """What is done stays"""
    ROLLBACK = "rollback"
    """Cancel, and put back what is done"""
    RETRY = "retry"
    UNDO = "undo"
    LIMIT = "limit"
    """The last two change no state: only whether they fit it is judged here"""


STALE = "What this would undo went on after the plan was made, or is undone already. Look at it, and undo it anew."


@dataclass(frozen=True, slots=True)
class Steered:
    """The row from now on."""

    state: OperationState
    want: Want | None
    turn: int
    again: bool = False
    """Items that failed are pending again"""


def steer(operation: Operation, control: Control) -> Steered:
    """Raises WrongState."""
    now = operation.state
    if control is Control.ROLLBACK and (operation.kind is OperationKind.IMPORT or operation.forgets):
        raise not_put_back(operation)
    match control:
        case Control.APPLY | Control.RETRY if operation.stale:
            raise WrongState(STALE, state=str(now), operationId=operation.id)
        case Control.ROLLBACK if not operation.kind.can_be_undone:
            raise refused(operation, control)
        case Control.APPLY if now is OperationState.PLANNED:
            return _to(operation, OperationState.RUNNING)
        case Control.PAUSE if now in (OperationState.RUNNING, OperationState.WAITING, OperationState.ROLLING_BACK):
            return _to(operation, now, Want.PAUSE)
        case Control.PAUSE if now is OperationState.PAUSED:
            return _to(operation, now)
        case Control.RESUME if now is OperationState.PAUSED:
            return _to(operation, _forth(operation))
        case Control.RESUME if now.moves and operation.want is Want.PAUSE:
            return _to(operation, now)
        case Control.CANCEL | Control.ROLLBACK if now in (OperationState.PLANNING, OperationState.PLANNED):
            return _to(operation, OperationState.CANCELLED)
        case Control.CANCEL | Control.ROLLBACK if now.moves or now is OperationState.PAUSED:
            # Where a rollback is wanted already, a mere cancel does not take it back.
            back = control is Control.ROLLBACK or operation.want is Want.ROLLBACK
            return _to(operation, OperationState.CANCELLING, Want.ROLLBACK if back else None)
        case Control.RETRY if now in (OperationState.PARTIAL, OperationState.FAILED) and _can_retry(operation):
            return Steered(_forth(operation), None, operation.turn + 1, again=True)
        case _:
            raise refused(operation, control)


def refused(operation: Operation, control: Control) -> WrongState:
    if control in (Control.ROLLBACK, Control.UNDO) and not operation.kind.can_be_undone:
        text = f"What `{operation.kind}` has done can not be put back. Cancel it, or leave it as it is."
        return WrongState(text, state=str(operation.state), operationId=operation.id)
    undone = " and is or was undone" if operation.undone and control is Control.RETRY else ""
    return WrongState(
        f"The operation is {operation.state}{undone}: it can not be asked to {control}. Look at it, and ask for what fits.",
        state=str(operation.state),
        operationId=operation.id,
    )


def not_put_back(operation: Operation) -> NotSupported:
    if operation.forgets:
        return NotSupported(
            "What the undo of an import took out of the record lies on the storage still. Import the path again to record it."
        )
    return NotSupported(
        "An import has changed nothing on the storage. Cancel it without `rollback`, then undo it: what it has recorded leaves "
        "the record."
    )


def _can_retry(operation: Operation) -> bool:
    return operation.started and not operation.undone


def _to(operation: Operation, state: OperationState, want: Want | None = None) -> Steered:
    return Steered(state, want, operation.turn)


def _forth(operation: Operation) -> OperationState:
    return OperationState.ROLLING_BACK if operation.back else OperationState.RUNNING
