"""What is remembered of an upload: what its client announced, and how it ended. Stored in `stages.request`.

SQL reads the JSON, so the name of a field is a key of it: tests/architecture/test_intents.py compares both. Rows of earlier
releases are read alike: a key that this release does not know is passed over.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

from schema.commands.command import Command, CommandKind
from schema.ids import CommandId, NodeId

UploadKind = Literal["whole", "partial", "final", "direct"]
"""`partial`: a part of another one, which is `final`. `direct`: its client puts the content into the bucket itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadEnd:
    """As the file that a command made, or with the code of a refusal."""

    command: CommandId | None = None
    node: NodeId | None = None
    outcome: Mapping[str, Any] | None = None
    """What the command was answered with"""
    code: str | None = None
    message: str | None = None
    details: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


_STORED_AS = {"claimed": "told"}
"""Names in stored rows that are others here: rows stay as they were written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """An upload as its client announced it."""

    kind: UploadKind
    host: str | None = None
    """Where its bytes wait; None: in a bucket"""
    header: str | None = None
    """`Upload-Metadata`, as it came"""
    command: Command | None = None
    """What is asked for once all bytes are here; None: it is a part of another upload"""
    metadata: Mapping[str, Any] | None = None
    """Of the file"""
    claimed: tuple[str, ...] = ()
    """The checksums of the file that its client named: algorithm:hex"""
    until: datetime | None = None
    """When the link into the bucket expires"""
    ended: UploadEnd | None = None

    def to_json(self) -> dict[str, Any]:
        """All of the announcement: the id of an upload that is made of others is a hash of it."""
        written = {_STORED_AS.get(field.name, field.name): getattr(self, field.name) for field in fields(self)}
        written |= {"command": asdict(self.command) if self.command else None, "told": list(self.claimed)}
        del written["until"], written["ended"]
        if self.until is not None:
            written["until"] = self.until.isoformat()
        if self.ended is not None:
            written["ended"] = self.ended.to_json()
        return written


def of_json(stored: Mapping[str, Any]) -> Announcement:
    values = _known(Announcement, stored)
    values["claimed"] = tuple(stored.get("told", ()))
    if (command := values.get("command")) is not None:
        known = _known(Command, command)
        known["kind"] = CommandKind(known["kind"])
        values["command"] = Command(**known)
    if values.get("until") is not None:
        values["until"] = datetime.fromisoformat(values["until"])
    if values.get("ended") is not None:
        values["ended"] = UploadEnd(**_known(UploadEnd, values["ended"]))
    return Announcement(**values)


def _known(noun: type[Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: stored[field.name] for field in fields(noun) if field.name in stored}
