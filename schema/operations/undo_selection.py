"""Which changes an undo by selection puts back. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from schema.ids import CommandId, MountId
from schema.paths import NodePath

MACHINES = "system"
"""Principals of this name, and below it (`system/heal`), are machines: only a selection that names them takes what they did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoSelection:
    """Which changes are put back: those that meet every condition."""

    principal: str | None = None
    token_id: int | None = None
    correlation_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """A piece of work of which a part lies in this time is meant as a whole"""
    path: NodePath | None = None
    """What lies there, or below, or did before or after the change"""
    commands: Sequence[CommandId] = ()
    operation_id: str | None = None
    """What this operation has done: of an undo that was made by selection"""
    mounts: Sequence[MountId] = ()
    """Where its changes lie; none: on the mount of the operation alone"""

    @property
    def is_empty(self) -> bool:
        return not self.to_json()

    @property
    def names_its_author(self) -> bool:
        """What machines did is meant only by a selection that says so."""
        return any((self.principal, self.token_id, self.correlation_id, self.commands, self.operation_id))

    def to_json(self) -> dict[str, Any]:
        written = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) not in ((), None)}
        for name in ("since", "until"):
            if name in written:
                written[name] = written[name].isoformat()
        return written | ({"path": self.path.raw.hex()} if self.path is not None else {})

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> "UndoSelection":
        values = {name: value for name, value in stored.items() if name != "claims"}
        for name in ("since", "until"):
            if name in values:
                values[name] = datetime.fromisoformat(values[name])
        if "path" in values:
            values["path"] = NodePath(bytes.fromhex(values["path"]))
        values["commands"] = tuple(values.get("commands", ()))
        values["mounts"] = tuple(values.get("mounts", ()))
        return cls(**values)
