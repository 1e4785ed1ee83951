"""A hint: a reason to look at a place of a mount. It is never a fact; one that is lost or late costs time only."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Reason(StrEnum):
    """Why to look. A look judges what it sees, whatever the reason."""

    CHANGED = "changed"
    """Written to, touched, created or replaced at this name"""
    GONE = "gone"
    """Removed from this name, or moved to a place that nothing is known of"""
    LEFT = "left"
    """Moved away from this name, to one that has a hint `arrived`"""
    ARRIVED = "arrived"
    """Moved to this name; a directory with all that is in it"""
    STORM = "storm"
    """So many changes in this tree that they are one hint"""
    LOST = "lost"
    """Events were lost, or their order leaves a doubt"""
    STARTED = "started"
    """Nobody watched this tree until now"""
    UNWATCHED = "unwatched"
    """This tree is beyond the limit of watches"""
    MOUNT = "mount"
    """The root itself is in doubt: unmounted, moved, replaced"""
    NOTIFIED = "notified"
    """A bucket's notification names this key"""


@dataclass(frozen=True, slots=True)
class Hint:
    """`path` as the storage has it, below the root of the mount, b"" for the root: it may be one that no command accepts. `reason`
    is for people."""

    path: bytes
    subtree: bool = False
    """Look at everything below it, too"""
    reason: str = "watcher"
    noticed_at: datetime | None = None

    def covers(self, path: bytes) -> bool:
        if self.path == path:
            return True
        return self.subtree and (not self.path or path.startswith(self.path + b"/"))
