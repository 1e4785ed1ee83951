"""May a command that an operation has handed out still open? Pure."""

from dataclasses import dataclass, field

from schema.commands.command import Command
from schema.commands.verdicts import Conflict, Go, Refuse, Verdict
from schema.errors import Frozen, WrongState
from schema.ids import CommandId
from schema.operations.commands import key_of
from schema.operations.operation import CHANGED, ItemState, OperationState, Want


@dataclass(frozen=True, slots=True)
class HeldOperation:
    """What `begin` needs to know of an operation."""

    id: str
    state: OperationState
    want: Want | None
    back: bool
    turn: int
    claimed: bool
    stops: bool = False
    """It ends at an item that is not as the plan saw it"""
    changed: bool = False
    """There was such an item in this turn"""


def opens(standing: HeldOperation | None, item: ItemState | None, command: Command) -> bool:
    """It was handed out before, in a transaction of its own. Since then its operation may have paused, given up its subtrees,
    turned back, ended, or been taken up again."""
    if standing is None or item is None or command.item is None:
        return False
    moves = standing.state is (OperationState.ROLLING_BACK if standing.back else OperationState.RUNNING)
    return (
        moves
        and standing.want is None
        and standing.claimed
        and not (standing.stops and standing.changed and not standing.back)
        and item is (ItemState.DONE if standing.back else ItemState.PENDING)
        and command.key == key_of(standing.id, standing.turn, standing.back, command.item)
    )


@dataclass(slots=True)
class Admission:
    """Which commands of a list their operations do not take now. `begin` asks it in the order of the list."""

    aside: set[CommandId] = field(default_factory=set)
    stops: set[str] = field(default_factory=set)
    """Operations that end at an item that is not as the plan saw it"""
    _stopped: set[str] = field(default_factory=set)

    def judged(self, command: Command, verdict: Verdict) -> Verdict:
        """The same verdict, unless the operation does not take the command now: then nothing of it is recorded."""
        if not isinstance(verdict, Go | Refuse) or command.operation_id is None:
            return verdict
        if command.id in self.aside or command.operation_id in self._stopped:
            self.aside.add(command.id)
            return Conflict(WrongState(_NOT_NOW, operationId=command.operation_id))
        if isinstance(verdict, Refuse) and isinstance(verdict.error, Frozen):
            # Its operation waits for the end of the freeze, and so does the item.
            self.aside.add(command.id)
            return Conflict(verdict.error)
        if isinstance(verdict, Refuse) and verdict.error.code in CHANGED and command.operation_id in self.stops:
            self._stopped.add(command.operation_id)
        return verdict


_NOT_NOW = "The operation does not take this item now. Resume the operation, or retry it."
