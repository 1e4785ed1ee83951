"""The commands: an ended one has one entry at its end, and its stored answer says the same."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from schema.check.facts import CommandFacts, EntryFacts
from schema.check.findings import Finding, FindingKind


def check(rows: Sequence[CommandFacts], entries: Sequence[EntryFacts]) -> Iterator[Finding]:
    """An ended command has exactly one entry at its last attempt, with the same end, and its stored answer names it.
    Before that there are only failures that another attempt may follow. A running one has no more than those."""
    of_command: dict[str, list[EntryFacts]] = defaultdict(list)
    for entry in entries:
        if not entry.of_a_look:
            of_command[entry.command].append(entry)
    for row in rows:
        ends = of_command.pop(row.id, [])
        if row.status == "running":
            before = ends
        elif ends:
            before = ends[:-1]
            for problem in _disagreement(row, ends[-1]):
                yield Finding(FindingKind.COMMANDS, f"command {row.id}", problem)
        else:
            before = []
            yield Finding(
                FindingKind.COMMANDS, f"command {row.id}", f"It ended as {row.status} without an entry in the journal."
            )
        if any(not entry.retryable for entry in before):
            yield Finding(FindingKind.COMMANDS, f"command {row.id}", "It goes on after an entry that was its end.")
        attempts = [entry.attempt for entry in ends]
        if attempts != sorted(set(attempts)):
            yield Finding(FindingKind.COMMANDS, f"command {row.id}", f"Its entries are of the attempts {attempts}.")
    for stray, told in of_command.items():
        if all(entry.outlived or entry.kind in ("import", "forget") for entry in told):
            continue  # its time was over; or it is a page of an operation, which no command carried out
        yield Finding(FindingKind.COMMANDS, f"command {stray}", "The journal tells of a command that is not there.")


def _disagreement(row: CommandFacts, end: EntryFacts) -> Iterator[str]:
    is_so = (row.status, row.attempt, row.code, row.retryable)
    journaled = (end.outcome, end.attempt, end.code, end.retryable)
    if is_so != journaled:
        yield f"The row says (status, attempt, code, retryable) {is_so}, the journal {journaled}."
    must_say = end.id if row.status == "succeeded" else row.code
    if row.said != must_say:
        yield f"Its stored answer names {row.said!r} instead of {must_say!r}."
