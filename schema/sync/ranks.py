"""What of a project's work goes first: somebody waits for a file, somebody asked for a job, nobody asked.

Work of a lower rank goes on while one of a higher rank runs on the same mount, in small pages, one content at a time: it neither
stands still nor is in the way.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Literal

PriorityName = Literal["now", "normal", "background"]


class WorkRank(IntEnum):
    """As Temporal counts priorities: 1 before 5."""

    NOW = 1
    NORMAL = 3
    BACKGROUND = 5


RANKS: Mapping[str, WorkRank] = {"now": WorkRank.NOW, "normal": WorkRank.NORMAL, "background": WorkRank.BACKGROUND}
PAGE, SMALL_PAGE = 200, 20
AT_ONCE, AT_ONCE_BEHIND = 8, 1


def rank_of(name: PriorityName | None, *, paths_alone: bool) -> WorkRank:
    """Of a job that a client asks for: where it names the paths that it needs somebody waits for them."""
    if name is not None:
        return RANKS[name]
    return WorkRank.NOW if paths_alone else WorkRank.NORMAL


def rank_in(options: Mapping[str, Any]) -> WorkRank:
    """As a job's row has it; jobs of former releases have none."""
    return WorkRank(options.get("rank", WorkRank.NORMAL))


def name_of(rank: WorkRank) -> str:
    return next(name for name, one in RANKS.items() if one is rank)
