"""Holds: what is at a path, and all below it, stays as it is until the hold ends, whoever asks. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from schema.commands.command import Command, CommandKind
from schema.commands.situations import Situation
from schema.errors import ContentHeld
from schema.ids import MountId
from schema.paths import NodePath

HoldKind = Literal["legal", "retain", "protect"]


@dataclass(frozen=True, slots=True)
class HoldInForce:
    """`until`: None where only a person ends it. `by`: the principal that set it."""

    id: int
    kind: HoldKind
    path: NodePath
    reason: str
    until: datetime | None
    by: str

    def refusal(self) -> ContentHeld:
        until = "until it is released" if self.until is None else f"until {self.until.isoformat()}"
        return ContentHeld(
            f"{self.by!r} holds {self.path.text or 'the whole mount'!r} {until}: {self.reason} Nothing was changed.",
            holdId=self.id, kind=self.kind, path=self.path.text, until=self.until.isoformat() if self.until else None,
            by=self.by, reason=self.reason,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Taking:
    """A place from which a command takes content away; with all below it."""

    mount: MountId
    path: NodePath
    tree: bool


def takes(command: Command, found: Situation) -> list[Taking]:
    """Every place where what is there now would not be there any more, or be something else. What is only copied, described, or
    brought back to a free name takes nothing. A heal takes what it has found."""
    here = Taking(command.mount_id, command.node_path, True)
    heals = command.finding_version is not None and found.finding is not None and bool(found.finding.facts)
    old = command.kind is CommandKind.RESTORE and (command.content_version is not None or heals)
    taken = [here] if old or command.kind in (CommandKind.DELETE, CommandKind.MOVE) else []
    appears = found.there if found.there is not None else found.here
    brings = command.kind in (CommandKind.MOVE, CommandKind.COPY, CommandKind.UPLOAD)
    if brings and appears.node is not None:
        taken.append(Taking(command.runs_on, command.appears_at, False))
    return taken
