"""What the tokens of commands may still do when these begin: since they were asked for a token can be revoked, or lose a place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.access.commands import refusal
from schema.access.decision import Access
from schema.commands.command import Command
from schema.commands.situations import Situation
from schema.commands.verdicts import Go, Refuse, Verdict
from schema.errors import Forbidden
from schema.operations.commands import goes_back
from schema.store import tokens

if TYPE_CHECKING:
    from schema.store.connection import Connection

KNOWN_MAX = 1000


@dataclass(frozen=True, slots=True)
class StandingRights:
    """By token. None: it does not hold any more."""

    _by_token: dict[int, Access | None]

    def judged(self, command: Command, found: Situation, verdict: Verdict) -> Verdict:
        """The verdict, or that the command may not: then nothing else is said. What ended, or goes on, is history."""
        if not isinstance(verdict, Go | Refuse) or command.token_id not in self._by_token:
            return verdict
        access = self._by_token[command.token_id]
        if access is None:
            error: Forbidden | None = Forbidden(
                "The token of this command was revoked, or has expired, before the command began. Nothing was changed."
            )
        else:
            error = refusal(command, found, access)
        return verdict if error is None else Refuse(verdict.id, verdict.attempt, error)


class Rights:
    """What was read of a token is kept for as long as its row says that it is in the same state: that is asked each time."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, Access]] = {}

    async def standing(self, connection: Connection, commands: Sequence[Command]) -> StandingRights:
        """A command of the service itself has no token, and the way back of an operation is open to it whatever became of its
        token."""
        ids = {command.token_id for command in commands if command.token_id and not goes_back(command)}
        if not ids:
            return StandingRights({})
        states = await tokens.standing(connection, ids)
        return StandingRights({id: await self._access(connection, id, state) for id, state in states.items()})

    async def _access(self, connection: Connection, id: int, state: str | None) -> Access | None:
        if state is None:
            return None
        known = self._known.get(id)
        if known is None or known[0] != state:
            access = await tokens.load_access(connection, id)
            if access is None:
                return None
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            known = self._known[id] = (state, access)
        return known[1]
