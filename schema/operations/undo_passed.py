"""What an undo by selection does not put back step by step, and where that leaves the nodes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from schema.ids import MountId
from schema.operations.undo_changes import JournalChange
from schema.paths import NodePath


@dataclass(slots=True)
class Passed:
    """Grows from page to page of a plan."""

    entries: set[int] = field(default_factory=set)
    """Of the journal: changes that stay, or that cancel each other out"""
    kept: list[tuple[MountId, bytes, bytes]] = field(default_factory=list)
    """Directories that stay where they have moved to: from where and whereto, the latest first"""

    def keep(self, move: JournalChange) -> None:
        self.entries.add(move.entry)
        self.kept.append((move.mount, move.path.raw, move.place.raw))

    def placed(self, change: JournalChange) -> JournalChange:
        """With the paths that its nodes have while these directories stay."""
        if not self.kept:
            return change
        target = None if change.target is None else self.place_of(change.mount, change.target)
        source = change.mount if change.departed is None else change.departed.mount
        return replace(change, path=self.place_of(source, change.path), target=target)

    def place_of(self, mount: MountId, path: NodePath) -> NodePath:
        """Where a path is while these directories stay."""
        raw = path.raw
        for on, source, place in reversed(self.kept):
            if on == mount and (raw == source or raw.startswith(source + b"/")):
                raw = place + raw[len(source) :]
        return NodePath(raw)

    def to_json(self) -> dict[str, Any]:
        kept = [[mount, source.hex(), place.hex()] for mount, source, place in self.kept]
        return {"entries": sorted(self.entries), "kept": kept}

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> "Passed":
        kept = [(MountId(m), bytes.fromhex(source), bytes.fromhex(place)) for m, source, place in stored["kept"]]
        return cls(set(stored["entries"]), kept)
