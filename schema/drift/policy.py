"""What a mount does about drift: per kind, in which phase, and how much of it before a person is asked. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from schema.operations.selection import glob


class Phase(StrEnum):
    OBSERVE = "observe"
    """Looks that begin by themselves write findings, and no nodes. A look by hand acts."""
    ENFORCE = "enforce"


class DriftAction(StrEnum):
    """What is done about one kind of drift."""

    IMPORT = "import"
    """The record follows the storage."""
    QUARANTINE = "quarantine"
    """What lies there goes to a place of its own, and is kept."""
    RESTORE = "restore"
    """Our copy goes back to its place; what lay there is kept."""
    MARK = "mark"
    """The record says that it differs."""
    ASK = "ask"
    """A person decides."""


HEALING = (DriftAction.QUARANTINE, DriftAction.RESTORE)


@dataclass(frozen=True, slots=True)
class Brake:
    """A look of more than one place that would change more nodes than this stops, and waits for a yes."""

    share: float = 0.5
    """Of all nodes of the mount. Up to `FEW` nodes no share is too large."""
    count: int = 10_000

    def holds(self, changes: int, nodes: int) -> bool:
        return changes > self.count or changes > max(FEW, self.share * nodes)


FEW = 3


@dataclass(frozen=True, slots=True)
class AuditTarget:
    """Nothing below this path is to be older than so many seconds."""

    path: str
    every_seconds: int


@dataclass(frozen=True, slots=True)
class IgnoredPattern:
    """Places that neither looks nor heals touch, up to a time."""

    pattern: str
    until: datetime | None = None

    def takes(self, path: str, now: datetime) -> bool:
        """The path itself, or a directory above it."""
        if self.until is not None and self.until <= now:
            return False
        names, pattern = path.split("/"), glob(self.pattern)
        return any(pattern.fullmatch("/".join(names[: n + 1])) for n in range(len(names)))


@dataclass(frozen=True, slots=True)
class Policy:
    """Without a word of an administrator: looks that begin by themselves only observe; by hand, the record follows what is
    there, and what is gone is marked."""

    phase: Phase = Phase.OBSERVE
    on_new: DriftAction = DriftAction.IMPORT
    on_changed: DriftAction = DriftAction.IMPORT
    on_missing: DriftAction = DriftAction.MARK
    on_unreadable: DriftAction = DriftAction.MARK
    brake: Brake = field(default_factory=Brake)
    audits: Sequence[AuditTarget] = ()
    scrub_seconds: int | None = None
    """Each byte is read again within this time"""
    scrub_rate: int | None = None
    """Bytes in a second; None: as slow as that time allows"""
    ignore: Sequence[IgnoredPattern] = ()

    def ignores(self, path: bytes, now: datetime) -> bool:
        if not self.ignore:
            return False
        shown = path.decode("utf-8", "replace")
        return any(pattern.takes(shown, now) for pattern in self.ignore)

    def to_json(self) -> dict[str, Any]:
        """As clients write and read it."""
        return {
            "phase": self.phase.value,
            "onNew": self.on_new.value,
            "onChanged": self.on_changed.value,
            "onMissing": self.on_missing.value,
            "onUnreadable": self.on_unreadable.value,
            "brake": {"share": self.brake.share, "count": self.brake.count},
            "audits": [{"path": one.path, "everySeconds": one.every_seconds} for one in self.audits],
            "scrub": self._scrub(),
            "ignore": [_pattern(one) for one in self.ignore],
        }

    def _scrub(self) -> dict[str, int] | None:
        if self.scrub_seconds is None:
            return None
        rate = {} if self.scrub_rate is None else {"bytesPerSecond": self.scrub_rate}
        return {"everySeconds": self.scrub_seconds, **rate}

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> "Policy":
        """What is not said is as in a policy of which nothing was said."""
        brake, scrub = {**_BRAKE, **(told.get("brake") or {})}, told.get("scrub")
        return cls(
            Phase(told.get("phase", Phase.OBSERVE)),
            DriftAction(told.get("onNew", DriftAction.IMPORT)),
            DriftAction(told.get("onChanged", DriftAction.IMPORT)),
            DriftAction(told.get("onMissing", DriftAction.MARK)),
            DriftAction(told.get("onUnreadable", DriftAction.MARK)),
            Brake(float(brake["share"]), int(brake["count"])),
            tuple(AuditTarget(one["path"], int(one["everySeconds"])) for one in told.get("audits") or ()),
            int(scrub["everySeconds"]) if scrub else None,
            scrub.get("bytesPerSecond") if scrub else None,
            tuple(_ignored(one) for one in told.get("ignore") or ()),
        )


_BRAKE: Mapping[str, Any] = {"share": Brake().share, "count": Brake().count}


def _pattern(one: IgnoredPattern) -> str | dict[str, str]:
    return one.pattern if one.until is None else {"pattern": one.pattern, "until": one.until.isoformat()}


def _ignored(told: str | Mapping[str, Any]) -> IgnoredPattern:
    if isinstance(told, str):
        return IgnoredPattern(told)
    until = told.get("until")
    moment = datetime.fromisoformat(until) if isinstance(until, str) else None
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return IgnoredPattern(told["pattern"], moment)
