"""What is found: which invariant does not hold, where, and how bad that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from schema.check.facts import NodeFacts


class Severity(StrEnum):
    ERROR = "error"
    NOTICE = "notice"


class FindingKind(StrEnum):
    """The invariant that does not hold."""

    TREE = "tree"
    JOURNAL = "journal"
    DISK = "disk"
    UNTRACKED = "untracked"
    KEPT = "kept"
    SNAPSHOTS = "snapshots"
    ROLLUPS = "rollups"
    COMMANDS = "commands"
    EVENTS = "events"
    FEED = "feed"
    OPERATIONS = "operations"
    METASTORE = "metastore"
    QUOTAS = "quotas"
    REST = "rest"
    UNCHECKED = "unchecked"
    """Nothing is known to be wrong; it could not be looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    kind: FindingKind
    where: str
    """A path, a command, or an entry of the journal."""
    message: str
    severity: Severity = Severity.ERROR


def path_of(node: NodeFacts, by_id: Mapping[int, NodeFacts]) -> str:
    """For people. Follows the parents, not the stored paths, and gives up where they run in a circle."""
    names: list[bytes] = []
    at: NodeFacts | None = node
    while at is not None and at.parent is not None and len(names) < 1000:
        names.append(at.name)
        at = by_id.get(at.parent)
    return shown(b"/".join(reversed(names))) or "(root)"


def shown(name: bytes) -> str:
    """Whatever the bytes are, for people."""
    return name.decode("utf-8", "backslashreplace")
