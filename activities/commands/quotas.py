"""What commands would add when they begin has to fit into the quotas of its place: it is reserved by their rows until they end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from schema.access.quotas import admit
from schema.commands.command import Command
from schema.commands.situations import Situation
from schema.commands.verdicts import Go, Refuse, Verdict
from schema.ids import CommandId, MountId
from schema.operations.commands import goes_back
from schema.store import quotas

if TYPE_CHECKING:
    from schema.store.connection import Connection


async def judged(
    connection: Connection,
    mount: MountId,
    commands: Sequence[Command],
    found: Mapping[CommandId, Situation],
    verdicts: Mapping[CommandId, Verdict],
) -> dict[CommandId, Verdict]:
    """The verdicts, or for those that do not fit that they do not. The way back of an operation counts, and is never refused:
    half of it would be worse than too much.
    """
    judged = dict(verdicts)
    going = [
        (n, command, verdict)
        for n, command in enumerate(commands)
        if isinstance(verdict := verdicts[command.id], Go) and found[command.id].limited
    ]
    if not going:
        return judged
    rooms = await quotas.room(connection, [(n, command, verdict.intent) for n, command, verdict in going])
    for n, command, verdict in going if rooms else ():
        if goes_back(command):
            for room in rooms:
                if n in room.claims:
                    room.take(room.claims[n])
        elif refusal := admit(rooms, n):
            judged[command.id] = Refuse(verdict.id, verdict.attempt, refusal)
    await quotas.note(connection, rooms, mount)
    return judged
