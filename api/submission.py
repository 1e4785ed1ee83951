"""A command on its way in, and what runs it."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from activities.executors.contract.executor import Locks
from activities.executors.contract.stage import Stage
from schema.commands.command import Command
from schema.commands.payloads import Outcome
from schema.errors import FilestoreError
from schema.ids import CommandId


@dataclass(frozen=True, slots=True)
class Submission:
    """A command on its way in.

    A small body is in `content` and not staged yet. A big one is staged and flushed: `written` says as what, and
    `locks` holds the lock of `request.id`. The code that takes a submission closes `locks`, however it ends.
    """

    request: Command
    metadata: Mapping[str, Any] | None = None
    content: bytes | None = None
    written: Stage | None = None
    locks: Locks | None = None
    wait_seconds: float | None = None
    """How long the client wants to wait for the outcome; 0: not at all; None: as long as the settings say."""


class OutcomePending(Exception):
    """The command goes on, and the client does not wait any longer: its outcome can be asked for by this id."""

    def __init__(self, command: CommandId, whole: Sequence[CommandId] = ()) -> None:
        """`whole`: the ids of an atomic list, in its order."""
        super().__init__(command)
        self.command, self.whole = command, whole


@dataclass(slots=True)
class Queued:
    """A command whose client has got its 202 before the command had a row. Only this process knows of it."""

    request: Command
    since: datetime
    row: CommandId | None = None
    """Where it stands in the record now; another id than that of its request, if an earlier one had opened it"""
    error: FilestoreError | None = None
    """Why it never got a row, or why that is not known"""


class Commands(Protocol):
    """Runs commands, one outcome for each."""

    def submit(self, submission: Submission) -> Awaitable[Outcome]:
        """Raises FilestoreError when the command is refused and OutcomePending when it takes too long."""
        ...

    def submit_atomic(self, submissions: Sequence[Submission]) -> Awaitable[list[Outcome]]:
        """All of them or none, on one mount; an outcome for each, in their order.

        Raises FilestoreError when none was attempted, and OutcomePending when it takes too long: then they go on and can be
        asked for by the ids in it."""
        ...

    def queued(self, command: CommandId) -> Queued | None:
        """What is known here about a command that was answered with 202 while it waited in the queue."""
        ...
