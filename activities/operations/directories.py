"""New directories are staged before their commands begin, all of a list with one flush, as the API does it for its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from activities.executors.contract.stage import Draft, Stage
from schema import errors
from schema.commands.command import Command, CommandKind

if TYPE_CHECKING:
    from activities.executors.contract.executor import Executor


def staged(executor: Executor, commands: Sequence[Command]) -> list[Command]:
    """In a thread. The commands with their stages; where that fails, with the failure, which `begin` records."""
    new = [command for command in commands if command.kind is CommandKind.CREATE_DIRECTORY]
    if not new:
        return list(commands)
    try:
        executor.check()
        sealed = executor.seal([Draft(command.id, None) for command in new])
    except errors.FilestoreError as error:
        sealed = [error for _ in new]
    answers = {command.id: answer for command, answer in zip(new, sealed, strict=True)}
    return [_with(command, answers[command.id]) if command.id in answers else command for command in commands]


def _with(command: Command, answer: Stage | Exception) -> Command:
    if isinstance(answer, Stage):
        return replace(command, staged=answer.identity.facts())
    error = answer
    if not isinstance(error, errors.FilestoreError):
        error = errors.Unavailable("The storage refused a directory. Nothing was changed.")
    return replace(command, failure=error.code, failure_message=error.message)
