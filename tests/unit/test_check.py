"""The consistency check finds each inconsistency that is planted, and nothing in a clean record."""

from dataclasses import replace
from datetime import timedelta

import pytest

from schema import check
from schema.check import (
    COMPLETED,
    CommandFacts,
    EntryFacts,
    EventFacts,
    FeedFacts,
    Finding,
    FindingKind,
    ListedFacts,
    NodeFacts,
    OperationFacts,
    RecordedFacts,
    RecordFacts,
    Severity,
    SnapshotFacts,
    StageEntry,
    StorageFacts,
    TotalsFacts,
)
from tests.unit.clean_record import (
    NEW,
    NOBODYS,
    OLD,
    STAGE,
    T0,
    Plant,
    after,
    at,
    before,
    clean,
    identity,
    in_record,
    in_storage,
    plus,
    without,
)

RECORDED = [
    RecordedFacts(2, "active", 1, 0, None, 1, b"d"),
    RecordedFacts(3, "active", 2, 7, NEW, 2, b"d/f"),
    RecordedFacts(4, "deleted", 2, 3, OLD, 1, b"elsewhere", closed=True),
]
"""What the Metastore has of the clean record"""


def recorded(at: int, **changes: object) -> Plant:
    """One of its records says something else; without changes it is missing."""
    own = [*RECORDED[:at], *([replace(RECORDED[at], **changes)] if changes else []), *RECORDED[at + 1 :]]  # type: ignore[arg-type]
    return in_record(metastore=lambda _: own)


PLANTED: dict[str, tuple[Plant, FindingKind]] = {
    "no record in the Metastore": (recorded(1), FindingKind.METASTORE),
    "a record of another state": (recorded(1, state="missing"), FindingKind.METASTORE),
    "a record of an older version": (recorded(1, version=1), FindingKind.METASTORE),
    "a record of another size": (recorded(1, size=8), FindingKind.METASTORE),
    "a record of another parent": (recorded(1, parent=1), FindingKind.METASTORE),
    "a record at another path": (recorded(1, path=b"e/f"), FindingKind.METASTORE),
    "a closed record of a living node": (recorded(1, closed=True), FindingKind.METASTORE),
    "an open record of a deleted node": (recorded(2, closed=False), FindingKind.METASTORE),
    "a record of no node": (recorded(2, node=99), FindingKind.METASTORE),
    "two roots": (
        in_record(nodes=plus(NodeFacts(9, None, b"", "directory", "active", 1, depth=0, directory_path=b""))),
        FindingKind.TREE,
    ),
    "no root": (in_record(nodes=without(0)), FindingKind.TREE),
    "a root with a name": (in_record(nodes=at(0, directory_path=b"x/")), FindingKind.TREE),
    "a circle": (in_record(nodes=at(1, parent=2)), FindingKind.TREE),
    "a parent that is not there": (in_record(nodes=at(2, parent=77)), FindingKind.TREE),
    "a parent that is deleted": (in_record(nodes=at(1, state="deleted")), FindingKind.TREE),
    "a parent that is a file": (in_record(nodes=at(2, parent=4)), FindingKind.TREE),
    "a parent on another mount": (in_record(nodes=at(2, mount=5)), FindingKind.TREE),
    "a wrong depth": (in_record(nodes=at(2, depth=5)), FindingKind.TREE),
    "a wrong directory path": (in_record(nodes=at(1, directory_path=b"e/")), FindingKind.TREE),
    "two nodes of a name": (in_record(nodes=plus(NodeFacts(9, 1, b"d", "file", "active", 1))), FindingKind.TREE),
    "a node nobody made": (in_record(nodes=plus(NodeFacts(9, 1, b"new", "file", "active", 1))), FindingKind.JOURNAL),
    "a node that is gone": (in_record(nodes=without(2)), FindingKind.JOURNAL),
    "another version": (in_record(nodes=at(2, version=3)), FindingKind.JOURNAL),
    "another size": (in_record(nodes=at(2, size=8)), FindingKind.JOURNAL),
    "another hash": (in_record(nodes=at(2, sha256=OLD)), FindingKind.JOURNAL),
    "another name": (in_record(nodes=at(2, name=b"g")), FindingKind.JOURNAL),
    "another parent": (in_record(nodes=at(2, parent=1)), FindingKind.JOURNAL),
    "another state": (in_record(nodes=at(2, state="deleted")), FindingKind.JOURNAL),
    "an entry that is gone": (in_record(journal=without(1)), FindingKind.JOURNAL),
    "a node made twice": (
        in_record(journal=plus(EntryFacts(99, "mkdir", 2, "succeeded", node=2, after=after(2, 1, b"d", "directory")))),
        FindingKind.JOURNAL,
    ),
    "a before that never was": (in_record(journal=at(2, before=before(3, 1, 6, OLD))), FindingKind.JOURNAL),
    "a version left out": (in_record(journal=at(2, after=after(3, 2, b"f", "file", 3, 7, NEW))), FindingKind.JOURNAL),
    "a file that is gone": (in_storage(listing=without(1)), FindingKind.DISK),
    "a file of another kind": (in_storage(listing=at(1, kind="symlink")), FindingKind.DISK),
    "a file of another size": (in_storage(listing=at(1, identity=identity(30, 8))), FindingKind.DISK),
    "another file": (in_storage(listing=at(1, identity=identity(31, 7))), FindingKind.DISK),
    "another directory": (in_storage(listing=at(0, identity=identity(5, 0, True))), FindingKind.DISK),
    "a file that was written to": (
        in_storage(listing=at(1, identity=[0, 30, 300, 7, 5, 2000, 0, 0o644, 1])),
        FindingKind.DISK,
    ),
    "other content": (in_storage(listing=at(1, sha256=OLD)), FindingKind.DISK),
    "a file of a failed command": (
        in_storage(listing=plus(ListedFacts(b"d/x", "file", identity(66, 1)))),
        FindingKind.DISK,
    ),
    "old content that is gone": (in_storage(kept=lambda kept: kept | {b"day/again.0": None}), FindingKind.KEPT),
    "old content of another size": (in_storage(kept=lambda kept: kept | {b"day/drop.0": 4}), FindingKind.KEPT),
    "old content without a place": (in_record(snapshots=at(1, place=None)), FindingKind.KEPT),
    "a version without a snapshot": (in_record(snapshots=without(2)), FindingKind.SNAPSHOTS),
    "a snapshot of nobody": (
        in_record(snapshots=plus(SnapshotFacts(9, 1, "x", "file", "active", 0, None, T0))),
        FindingKind.SNAPSHOTS,
    ),
    "a gap in time": (in_record(snapshots=at(2, valid_from=T0 + timedelta(minutes=2))), FindingKind.SNAPSHOTS),
    "a current version that ended": (in_record(snapshots=at(0, valid_to=T0)), FindingKind.SNAPSHOTS),
    "a snapshot of another size": (in_record(snapshots=at(2, size=8)), FindingKind.SNAPSHOTS),
    "a snapshot of another state": (in_record(snapshots=at(4, state="active")), FindingKind.SNAPSHOTS),
    "totals that are off": (in_record(rollups=lambda r: r | {1: TotalsFacts(8, 1, 1, 1)}), FindingKind.ROLLUPS),
    "totals that are missing": (in_record(rollups=lambda r: {1: r[1]}), FindingKind.ROLLUPS),
    "totals of nobody": (in_record(rollups=lambda r: r | {9: TotalsFacts(1, 1)}), FindingKind.ROLLUPS),
    "an end without an entry": (in_record(journal=without(6)), FindingKind.COMMANDS),
    "two ends": (in_record(journal=plus(EntryFacts(99, "full", 3, "failed", "NODE_EXISTS"))), FindingKind.COMMANDS),
    "an end before the end": (in_record(journal=at(4, retryable=False)), FindingKind.COMMANDS),
    "another end": (in_record(commands=at(0, status="failed", said=None)), FindingKind.COMMANDS),
    "another attempt": (in_record(commands=at(5, attempt=3)), FindingKind.COMMANDS),
    "an answer about another entry": (in_record(commands=at(0, said=11)), FindingKind.COMMANDS),
    "no answer": (in_record(commands=at(5, said=None)), FindingKind.COMMANDS),
    "an entry of nobody": (in_record(commands=without(0)), FindingKind.COMMANDS),
    "an event that is missing": (in_record(events=without(0)), FindingKind.EVENTS),
    "an event that is there twice": (
        in_record(events=plus(EventFacts("filestore.node.updated", 12, 99))),
        FindingKind.EVENTS,
    ),
    "an event of nothing": (in_record(events=plus(EventFacts(COMPLETED, 99, 99))), FindingKind.EVENTS),
    "events of a node out of order": (in_record(events=at(2, position=50)), FindingKind.EVENTS),
    "an operation that counts what its items do not say": (
        in_record(operations=lambda _: [OperationFacts("o", "running", True, [3, 0, 2, 0, 0, 0], [3, 0, 1, 0, 0, 0])]),
        FindingKind.OPERATIONS,
    ),
    "an item in flight without a command": (
        in_record(
            operations=lambda _: [OperationFacts("o", "running", True, [1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], stray=1)]
        ),
        FindingKind.OPERATIONS,
    ),
    "an operation that counts a code wrongly": (
        in_record(
            operations=lambda _: [
                OperationFacts("o", "running", True, [1, 0, 0, 1, 0, 0], [1, 0, 0, 1, 0, 0], miscounted=1)
            ]
        ),
        FindingKind.OPERATIONS,
    ),
    "an operation that has ended and holds its subtrees": (
        in_record(operations=lambda _: [OperationFacts("o", "partial", True, [1, 0, 1, 0, 0, 0], [1, 0, 1, 0, 0, 0])]),
        FindingKind.OPERATIONS,
    ),
    "a running command": (in_record(commands=plus(CommandFacts("run", "running", 1))), FindingKind.REST),
    "a claim": (in_record(claims=lambda _: [(b"d", "mkdir")]), FindingKind.REST),
    "a cleanup": (in_record(cleanups=lambda _: ["again"]), FindingKind.REST),
    "an expired stage in the record": (in_record(expired_stages=lambda _: ["s"]), FindingKind.REST),
    "a stage of an ended command": (in_storage(stages=lambda _: [StageEntry(STAGE, 1.0)]), FindingKind.REST),
    "an old stage of nobody": (in_storage(stages=lambda _: [StageEntry(NOBODYS, 99.0)]), FindingKind.REST),
}


def errors_in(findings: list[Finding]) -> set[FindingKind]:
    return {finding.kind for finding in findings if finding.severity is Severity.ERROR}


def test_a_clean_record_gives_nothing() -> None:
    assert check.check(*clean()) == []


def test_records_that_are_the_nodes_give_nothing_and_a_client_may_have_closed_one() -> None:
    closed = [*RECORDED[:1], replace(RECORDED[1], closed=True, removed=True), RECORDED[2]]
    for records in (RECORDED, closed):
        record, storage = clean()
        assert check.check(replace(record, metastore=records), storage) == []


def test_an_empty_mount_gives_nothing() -> None:
    assert check.check(RecordFacts(), StorageFacts()) == []


@pytest.mark.parametrize(("plant", "kind"), PLANTED.values(), ids=PLANTED.keys())
def test_what_is_planted_is_found(plant: Plant, kind: FindingKind) -> None:
    assert kind in errors_in(check.check(*plant(*clean()), stage_max_age=60.0))


@pytest.mark.parametrize(
    "planted",
    ["a file of another size", "old content that is gone", "totals that are off", "a gap in time", "a claim",
     "an event that is missing", "an answer about another entry"],
)  # fmt: skip
def test_what_is_planted_is_all_that_is_found(planted: str) -> None:
    plant, kind = PLANTED[planted]
    assert errors_in(check.check(*plant(*clean()))) == {kind}


NOTICED: dict[str, tuple[Plant, FindingKind]] = {
    "a foreign file": (in_storage(listing=plus(ListedFacts(b"d/theirs", "file", identity(70)))), FindingKind.UNTRACKED),
    "a drift that a command reported": (
        lambda r, s: in_storage(listing=without(1))(*in_record(nodes=at(2, drifted=True))(r, s)),
        FindingKind.DISK,
    ),
    "old content that a command missed": (
        lambda r, s: in_storage(kept=lambda k: k | {b"day/again.0": None})(*in_record(journal=at(2, drift=True))(r, s)),
        FindingKind.KEPT,
    ),
    "a stage in use": (in_storage(stages=lambda _: [StageEntry(NOBODYS, 99.0, held=True)]), FindingKind.REST),
    "a stranger's file among the stages": (
        in_storage(stages=lambda _: [StageEntry("notes.txt", 99.0)]),
        FindingKind.REST,
    ),
    "the stage of an open upload": (
        lambda r, s: in_storage(stages=lambda _: [StageEntry(NOBODYS, 99.0)])(
            *in_record(open_uploads=lambda _: [NOBODYS])(r, s)
        ),
        FindingKind.REST,
    ),
    "a young stage": (in_storage(stages=lambda _: [StageEntry(NOBODYS, 1.0)]), FindingKind.REST),
}


@pytest.mark.parametrize(("plant", "kind"), NOTICED.values(), ids=NOTICED.keys())
def test_what_others_did_is_a_notice(plant: Plant, kind: FindingKind) -> None:
    findings = check.check(*plant(*clean()), stage_max_age=60.0)
    assert [(finding.kind, finding.severity) for finding in findings] == [(kind, Severity.NOTICE)]


@pytest.mark.parametrize("state", ["inconsistent", "missing"])
def test_a_node_in_doubt_may_lie_anywhere_and_so_may_all_below_it(state: str) -> None:
    record, storage = in_record(nodes=at(1, state=state))(*clean())
    assert check.check(record, replace(storage, listing=[])) == []


def test_a_node_that_a_command_left_inconsistent_is_what_the_journal_says() -> None:
    record, _ = clean()
    entry = EntryFacts(20, "odd", 1, "inconsistent", "VERSION_CONFLICT", node=3, before=before(3, 2, 7, NEW))
    images, findings = check.replay([*record.journal, entry])
    assert images[3].state == "inconsistent" and findings == []


def test_old_content_may_go_when_its_time_is_over_or_while_it_is_on_its_way() -> None:
    record, _ = clean()
    record = replace(record, now=T0 + timedelta(days=31))
    assert check.wanted_places(record) == []
    record = replace(clean()[0], cleanups=["again"])
    assert check.wanted_places(record) == [b"day/drop.0"]


def test_what_was_pruned_is_not_missed_and_what_is_younger_is() -> None:
    record, _ = clean()
    old = [replace(entry, outlived=entry.id < 13, untold=entry.id < 12) for entry in record.journal]
    kept = [command for command in record.commands if command.id not in ("mkdir", "up", "again")]
    later = [event for event in record.events if event.journal >= 12]
    pruned = replace(record, journal=old, commands=kept, events=later)
    assert check.check(pruned, None) == []
    assert check.check(replace(pruned, events=record.events), None) == [], "some of that age may still be there"
    fewer = check.check(replace(pruned, commands=kept[1:], events=[e for e in later if e.journal > 12]), None)
    assert {(finding.kind, finding.where) for finding in fewer} == {
        (FindingKind.COMMANDS, "command make"), (FindingKind.EVENTS, "entry 12"),
    }  # fmt: skip
    twice = check.check(replace(pruned, events=[*record.events, record.events[0]]), None)
    assert (FindingKind.EVENTS, "entry 10") in {(finding.kind, finding.where) for finding in twice}


def test_without_a_storage_the_record_alone_is_compared() -> None:
    record, _ = clean()
    assert check.check(record, None) == []


@pytest.mark.parametrize(
    "facts",
    [
        FeedFacts(5, 4, 1, 5),
        FeedFacts(5, 5, 2, 6),
        FeedFacts(4, 5, 1, 5),
        FeedFacts(5, 5, 1, 5, overdue=1),
        FeedFacts(5, 0, None, None),
        FeedFacts(5, 2, 4, 5, pruned=2),
        FeedFacts(5, 3, 3, 5),
    ],
)
def test_a_feed_with_gaps_or_with_events_that_wait_is_found(facts: FeedFacts) -> None:
    assert [finding.kind for finding in check.feed(facts)] == [FindingKind.FEED]


@pytest.mark.parametrize(
    "facts",
    [FeedFacts(), FeedFacts(5, 5, 1, 5), FeedFacts(5, 3, 3, 5, pruned=2), FeedFacts(5, 0, None, None, pruned=5)],
)
def test_a_feed_without_gaps_gives_nothing(facts: FeedFacts) -> None:
    assert list(check.feed(facts)) == []
