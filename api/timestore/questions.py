"""The questions that have a route: what each means, and what its answer looks like."""

from dataclasses import dataclass
from typing import LiteralString

from api.http.shapes import Shape
from api.timestore.shapes import (
    ActivePrincipals,
    Churn,
    CommandsOfTime,
    Duplicates,
    Failures,
    Forecast,
    Growth,
    Hot,
    NotedFiles,
    ReconciliationLag,
)
from schema.store.inventory import DUPLICATES, LARGEST, OLDEST


@dataclass(frozen=True, slots=True)
class Question:
    name: str
    summary: str
    meaning: str
    field: str
    """The list in the answer"""
    shape: type[Shape]
    inventory: LiteralString | None = None
    """It is answered by the record, not by the events"""


_NOW = "As it is now: `from`, `to` and `step` change nothing."

QUESTIONS = (
    Question(
        "growth", "How much there was", "Bytes and files at the end of each step, and what came in it. Of a path what moved in and "
        "out counts, too; what went with a directory above it does not.", "series", Growth,
    ),
    Question("churn", "How much changed", "What appeared, was overwritten, moved and went in each step.", "series", Churn),
    Question("hot", "Where most happened", "Directories by the events of what they hold.", "directories", Hot),
    Question("largest", "The largest files", _NOW, "files", NotedFiles, LARGEST),
    Question("oldest", "The files longest unchanged", _NOW, "files", NotedFiles, OLDEST),
    Question("principals", "Who did how much", "Principals by their commands.", "principals", ActivePrincipals),
    Question(
        "commands", "Commands by kind", "How many there were, how many failed, and how long they took.", "commands", CommandsOfTime,
    ),
    Question("failures", "Commands that failed", "Their share in each step, and the commonest code.", "series", Failures),
    Question(
        "lag", "How long drift stayed", "From when it was noticed until its node was reconciled or found missing.", "series",
        ReconciliationLag,
    ),
    Question("duplicates", "Contents that lie there more than once", _NOW, "duplicates", Duplicates, DUPLICATES),
    Question(
        "forecast", "When a mount is full", "The straight line through what each mount held, and the day on which it meets the end "
        "of the disk, or `capacityBytes`.", "mounts", Forecast,
    ),
)  # fmt: skip
