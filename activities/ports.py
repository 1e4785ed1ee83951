"""What the activities are given: executors by mount, and the requests of this process that wait for an answer."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from activities.executors.contract.executor import Executor
from schema.commands.payloads import Outcome
from schema.commands.verdicts import Verdict
from schema.ids import CommandId, MountId


class Executors(Protocol):
    def of(self, mount: MountId) -> Executor:
        """Raises ExecutorNotFound, or MountOffline when its storage is not there."""
        ...


class Audience(Protocol):
    """The requests of this process that wait. They are told at once what is durable. Telling is a courtesy: requests in other
    processes read the row."""

    def holds(self, request: CommandId) -> bool:
        """Is the stage of this request locked by this process, since before it was sealed?"""
        ...

    def begun(self, verdicts: Mapping[CommandId, Verdict]) -> None: ...

    def ended(self, outcomes: Sequence[Outcome]) -> None: ...
