"""At rest: after a sweep nothing runs, nothing is claimed, nothing waits to be cleared."""

import uuid
from collections.abc import Collection, Iterator

from schema.check.facts import RecordFacts, StageEntry
from schema.check.findings import Finding, FindingKind, Severity, shown


def check(record: RecordFacts, stages: Collection[StageEntry] = (), stage_max_age: float = 0.0) -> Iterator[Finding]:
    """After a sweep nothing is left over: no command runs, nothing is claimed, nothing waits to be cleared, and in the
    stage folder lies only what a living process holds or what is too young to be given up."""
    for row in record.commands:
        if row.status == "running":
            yield Finding(FindingKind.REST, f"command {row.id}", f"It is running, attempt {row.attempt}.")
    running = {row.id for row in record.commands if row.status == "running"}
    for path, command in record.claims:
        alive = "a running" if command in running else "an ended"
        where = shown(path)
        yield Finding(FindingKind.REST, where, f"It is claimed by {alive} command, {command}.")
    for command in record.cleanups:
        yield Finding(FindingKind.REST, f"command {command}", "It has something left to clear on the storage.")
    for stage in record.expired_stages:
        yield Finding(
            FindingKind.REST,
            f"stage {stage}",
            "What waited in the record for this stage has expired and is still there.",
        )
    ended = {row.stage for row in record.commands if row.status != "running" and row.stage}
    for entry in stages:
        if entry.held:
            yield Finding(FindingKind.REST, f"stage {entry.id}", "A living process works on it.", Severity.NOTICE)
        elif not _is_command(entry.id):
            yield Finding(
                FindingKind.REST, f"stage {entry.id!r}", "No command has such a name: not ours.", Severity.NOTICE
            )
        elif entry.id in record.open_uploads:
            yield Finding(
                FindingKind.REST, f"stage {entry.id}", "An upload that waits for its completion.", Severity.NOTICE
            )
        elif entry.id in ended:
            yield Finding(
                FindingKind.REST, f"stage {entry.id}", "Its command has ended, and it is still in the stage folder."
            )
        elif entry.age > stage_max_age:
            yield Finding(
                FindingKind.REST,
                f"stage {entry.id}",
                f"It belongs to no command, and is in the stage folder for {entry.age:.0f} s.",
            )
        else:
            yield Finding(
                FindingKind.REST,
                f"stage {entry.id}",
                "It belongs to no command, and is too young to be removed.",
                Severity.NOTICE,
            )


def _is_command(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
