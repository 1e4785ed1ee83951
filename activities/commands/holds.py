"""What is held when commands begin: nothing that they would take away may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schema.access.holds import HoldInForce, takes
from schema.commands.command import Command
from schema.commands.situations import Situation
from schema.commands.verdicts import Go, Refuse, Verdict
from schema.ids import CommandId
from schema.store import holds

if TYPE_CHECKING:
    from schema.store.connection import Connection


@dataclass(frozen=True, slots=True)
class HeldContent:
    _by_command: Mapping[CommandId, HoldInForce]

    def judged(self, command: Command, verdict: Verdict) -> Verdict:
        """The verdict, or that what it would take away is held."""
        hold = self._by_command.get(command.id)
        if hold is None or not isinstance(verdict, Go):
            return verdict
        return Refuse(verdict.id, verdict.attempt, hold.refusal())


async def standing(
    connection: Connection, commands: Sequence[Command], found: Mapping[CommandId, Situation]
) -> HeldContent:
    """The locks of their mounts are held, and a hold takes them too: none comes between this look and the claims."""
    takings = [(command.id, one) for command in commands for one in takes(command, found[command.id])]
    if not takings:
        return HeldContent({})
    in_the_way = await holds.in_the_way(connection, [one for _, one in takings])
    return HeldContent({takings[n][0]: hold for n, hold in in_the_way.items()})
