"""Between two chunks: does the operation pause, turn back, end, or go on? Pure."""

from dataclasses import dataclass

from schema.operations.operation import Operation, OperationState, Want


@dataclass(frozen=True, slots=True)
class Reached:
    """The row says so from now on; what was wanted is reached."""

    state: OperationState
    back: bool


def reached(operation: Operation, *, left: bool, stuck: bool = False) -> Reached | None:
    """None: it goes on as it is. `left`: items are still to be done, or to be put back. `stuck`: some could not be put back.
    Nothing is reached while an item is in flight: what is reported then would not be true yet."""
    if operation.in_flight:
        return None
    if operation.want is Want.PAUSE:
        return Reached(OperationState.PAUSED, operation.back)
    if operation.state is OperationState.CANCELLING:
        if operation.want is Want.ROLLBACK and (operation.done or operation.back):
            return Reached(OperationState.ROLLING_BACK, True)
        return Reached(OperationState.CANCELLED, operation.back)
    if not left or _too_many(operation) or stops(operation):
        return Reached(_back(operation, stuck) if operation.back else _forward(operation), operation.back)
    return None


def _too_many(operation: Operation) -> bool:
    most = operation.options.max_errors
    return most is not None and not operation.back and operation.failed - operation.failed_before >= most


def stops(operation: Operation) -> bool:
    """An item of this turn was not as the plan saw it, and then the whole operation ends."""
    changed = operation.changed - operation.changed_before
    return operation.options.on_changed == "stop" and not operation.back and changed > 0


def _forward(operation: Operation) -> OperationState:
    if not operation.failed and not operation.changed:
        return OperationState.SUCCEEDED
    return OperationState.PARTIAL if operation.done else OperationState.FAILED


def _back(operation: Operation, stuck: bool) -> OperationState:
    return OperationState.PARTIAL if operation.done or stuck else OperationState.ROLLED_BACK
