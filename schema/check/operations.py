"""Operations: what is counted of one is what its items say, and what is in flight has a command that runs."""

from collections.abc import Iterator, Sequence

from schema.check.facts import OperationFacts
from schema.check.findings import Finding, FindingKind
from schema.operations.operation import OperationState

COUNTED = ("items", "in flight", "done", "failed", "skipped", "reversed")


def check(operations: Sequence[OperationFacts]) -> Iterator[Finding]:
    for one in operations:
        where = f"operation {one.id}"
        if one.counted != one.summed:
            told = ", ".join(f"{n} {c}" for n, c in zip(COUNTED, one.counted, strict=True))
            found = ", ".join(f"{n} {c}" for n, c in zip(COUNTED, one.summed, strict=True))
            yield Finding(FindingKind.OPERATIONS, where, f"It counts {told}; its items add up to {found}.")
        if one.stray:
            yield Finding(
                FindingKind.OPERATIONS, where, f"{one.stray} items are in flight, and no command of theirs runs."
            )
        if one.miscounted:
            yield Finding(FindingKind.OPERATIONS, where, f"It counts the items of {one.miscounted} codes wrongly.")
        if one.claimed and not OperationState(one.state).moves:
            yield Finding(FindingKind.OPERATIONS, where, f"It is {one.state}, and holds its subtrees still.")
