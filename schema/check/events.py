"""The events: every entry of the journal has its own, in order; and the feed that gives them positions."""

from collections import Counter
from collections.abc import Iterator, Sequence

from schema.check.facts import EntryFacts, EventFacts, FeedFacts
from schema.check.findings import Finding, FindingKind
from schema.nodes import NodeState

_CHANGES = ("filestore.node.created", "filestore.node.updated", "filestore.node.deleted")
COMPLETED = "filestore.command.completed"


def check(entries: Sequence[EntryFacts], all_events: Sequence[EventFacts]) -> Iterator[Finding]:
    """Every entry of a command has one event that it has ended; one that changed a node has one event of that kind besides.
    Positions follow the journal as far as one node is concerned."""
    have = Counter((event.journal, event.type) for event in all_events)
    expected: set[tuple[int, str]] = set()
    pruned = {entry.id for entry in entries if entry.untold}
    for entry in entries:
        if entry.foreign:
            expected.add((entry.id, "filestore.node.deleted"))
            continue
        if not entry.of_a_look:
            expected.add((entry.id, COMPLETED))
        if change := _change(entry):
            expected.add((entry.id, change))
        if entry.also and entry.also.get("replaced"):
            expected.add((entry.id, "filestore.node.deleted"))
    for journal_id, type_ in sorted(expected):
        if have[journal_id, type_] != 1 and not (have[journal_id, type_] == 0 and journal_id in pruned):
            yield Finding(
                FindingKind.EVENTS,
                f"entry {journal_id}",
                f"It has {have[journal_id, type_]} events {type_} instead of one.",
            )
    for journal_id, type_ in sorted(have.keys() - expected):
        if type_ in (*_CHANGES, COMPLETED):
            yield Finding(
                FindingKind.EVENTS, f"entry {journal_id}", f"The event {type_} tells of nothing in the journal."
            )
    yield from _disordered(entries, all_events)


def _change(entry: EntryFacts) -> str | None:
    if entry.after is None:
        return None
    if entry.after["state"] == NodeState.DELETED:
        return "filestore.node.deleted"
    if entry.of_a_look and entry.after["state"] == NodeState.MISSING:
        return "filestore.node.missing"
    return "filestore.node.updated" if entry.before else "filestore.node.created"


def _disordered(entries: Sequence[EntryFacts], all_events: Sequence[EventFacts]) -> Iterator[Finding]:
    positions = {e.journal: e.position for e in all_events if e.type in _CHANGES and e.position is not None}
    last: dict[int, int] = {}
    for entry in entries:
        position = positions.get(entry.id)
        if position is None or entry.node is None or entry.foreign:
            continue
        if position < last.get(entry.node, 0):
            yield Finding(
                FindingKind.EVENTS, f"entry {entry.id}", f"Its event {position} comes before an older one of its node."
            )
        last[entry.node] = position


def feed(facts: FeedFacts) -> Iterator[Finding]:
    """Positions run from the first that is kept to the last one given, each once; nothing waits that could have one."""
    ends = (facts.pruned + 1, facts.last)
    if facts.positioned != facts.last - facts.pruned or (facts.positioned and (facts.lowest, facts.highest) != ends):
        given = f"{facts.positioned} events have positions from {facts.lowest} to {facts.highest}"
        yield Finding(
            FindingKind.FEED,
            "(feed)",
            f"{given}; the last one given is {facts.last}, those up to {facts.pruned} are pruned.",
        )
    if facts.overdue:
        yield Finding(FindingKind.FEED, "(feed)", f"{facts.overdue} events could have a position and have none.")
