"""The consistency check finds each inconsistency that is planted, and nothing in a clean record."""

from dataclasses import replace
from datetime import timedelta

import pytest

from schema import check
from schema.check import (
    COMPLETED,
    Command,
    Entry,
    Event,
    Feed,
    Finding,
    Kind,
    Listed,
    Node,
    Record,
    Severity,
    Snapshot,
    StageEntry,
    Storage,
    Totals,
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

PLANTED: dict[str, tuple[Plant, Kind]] = {
    "two roots": (
        in_record(nodes=plus(Node(9, None, b"", "directory", "active", 1, depth=0, directory_path=b""))),
        Kind.TREE,
    ),
    "no root": (in_record(nodes=without(0)), Kind.TREE),
    "a root with a name": (in_record(nodes=at(0, directory_path=b"x/")), Kind.TREE),
    "a circle": (in_record(nodes=at(1, parent=2)), Kind.TREE),
    "a parent that is not there": (in_record(nodes=at(2, parent=77)), Kind.TREE),
    "a parent that is deleted": (in_record(nodes=at(1, state="deleted")), Kind.TREE),
    "a parent that is a file": (in_record(nodes=at(2, parent=4)), Kind.TREE),
    "a parent on another mount": (in_record(nodes=at(2, mount=5)), Kind.TREE),
    "a wrong depth": (in_record(nodes=at(2, depth=5)), Kind.TREE),
    "a wrong directory path": (in_record(nodes=at(1, directory_path=b"e/")), Kind.TREE),
    "two nodes of a name": (in_record(nodes=plus(Node(9, 1, b"d", "file", "active", 1))), Kind.TREE),
    "a node nobody made": (in_record(nodes=plus(Node(9, 1, b"new", "file", "active", 1))), Kind.JOURNAL),
    "a node that is gone": (in_record(nodes=without(2)), Kind.JOURNAL),
    "another version": (in_record(nodes=at(2, version=3)), Kind.JOURNAL),
    "another size": (in_record(nodes=at(2, size=8)), Kind.JOURNAL),
    "another hash": (in_record(nodes=at(2, sha256=OLD)), Kind.JOURNAL),
    "another name": (in_record(nodes=at(2, name=b"g")), Kind.JOURNAL),
    "another parent": (in_record(nodes=at(2, parent=1)), Kind.JOURNAL),
    "another state": (in_record(nodes=at(2, state="deleted")), Kind.JOURNAL),
    "an entry that is gone": (in_record(journal=without(1)), Kind.JOURNAL),
    "a node made twice": (
        in_record(journal=plus(Entry(99, "mkdir", 2, "succeeded", node=2, after=after(2, 1, b"d", "directory")))),
        Kind.JOURNAL,
    ),
    "a before that never was": (in_record(journal=at(2, before=before(3, 1, 6, OLD))), Kind.JOURNAL),
    "a version left out": (in_record(journal=at(2, after=after(3, 2, b"f", "file", 3, 7, NEW))), Kind.JOURNAL),
    "a file that is gone": (in_storage(listing=without(1)), Kind.DISK),
    "a file of another kind": (in_storage(listing=at(1, kind="symlink")), Kind.DISK),
    "a file of another size": (in_storage(listing=at(1, identity=identity(30, 8))), Kind.DISK),
    "another file": (in_storage(listing=at(1, identity=identity(31, 7))), Kind.DISK),
    "another directory": (in_storage(listing=at(0, identity=identity(5, 0, True))), Kind.DISK),
    "a file that was written to": (
        in_storage(listing=at(1, identity=[0, 30, 300, 7, 5, 2000, 0, 0o644, 1])),
        Kind.DISK,
    ),
    "other content": (in_storage(listing=at(1, sha256=OLD)), Kind.DISK),
    "a file of a failed command": (in_storage(listing=plus(Listed(b"d/x", "file", identity(66, 1)))), Kind.DISK),
    "old content that is gone": (in_storage(kept=lambda kept: kept | {b"day/again.0": None}), Kind.KEPT),
    "old content of another size": (in_storage(kept=lambda kept: kept | {b"day/drop.0": 4}), Kind.KEPT),
    "old content without a place": (in_record(snapshots=at(1, place=None)), Kind.KEPT),
    "a version without a snapshot": (in_record(snapshots=without(2)), Kind.SNAPSHOTS),
    "a snapshot of nobody": (
        in_record(snapshots=plus(Snapshot(9, 1, "x", "file", "active", 0, None, T0))),
        Kind.SNAPSHOTS,
    ),
    "a gap in time": (in_record(snapshots=at(2, valid_from=T0 + timedelta(minutes=2))), Kind.SNAPSHOTS),
    "a current version that ended": (in_record(snapshots=at(0, valid_to=T0)), Kind.SNAPSHOTS),
    "a snapshot of another size": (in_record(snapshots=at(2, size=8)), Kind.SNAPSHOTS),
    "a snapshot of another state": (in_record(snapshots=at(4, state="active")), Kind.SNAPSHOTS),
    "totals that are off": (in_record(rollups=lambda r: r | {1: Totals(8, 1, 1, 1)}), Kind.ROLLUPS),
    "totals that are missing": (in_record(rollups=lambda r: {1: r[1]}), Kind.ROLLUPS),
    "totals of nobody": (in_record(rollups=lambda r: r | {9: Totals(1, 1)}), Kind.ROLLUPS),
    "an end without an entry": (in_record(journal=without(6)), Kind.COMMANDS),
    "two ends": (in_record(journal=plus(Entry(99, "full", 3, "failed", "NODE_EXISTS"))), Kind.COMMANDS),
    "an end before the end": (in_record(journal=at(4, retryable=False)), Kind.COMMANDS),
    "another end": (in_record(commands=at(0, status="failed", said=None)), Kind.COMMANDS),
    "another attempt": (in_record(commands=at(5, attempt=3)), Kind.COMMANDS),
    "an answer about another entry": (in_record(commands=at(0, said=11)), Kind.COMMANDS),
    "no answer": (in_record(commands=at(5, said=None)), Kind.COMMANDS),
    "an entry of nobody": (in_record(commands=without(0)), Kind.COMMANDS),
    "an event that is missing": (in_record(events=without(0)), Kind.EVENTS),
    "an event that is there twice": (in_record(events=plus(Event("filestore.node.updated", 12, 99))), Kind.EVENTS),
    "an event of nothing": (in_record(events=plus(Event(COMPLETED, 99, 99))), Kind.EVENTS),
    "events of a node out of order": (in_record(events=at(2, position=50)), Kind.EVENTS),
    "a running command": (in_record(commands=plus(Command("run", "running", 1))), Kind.REST),
    "a claim": (in_record(claims=lambda _: [(b"d", "mkdir")]), Kind.REST),
    "a cleanup": (in_record(cleanups=lambda _: ["again"]), Kind.REST),
    "an expired stage in the record": (in_record(expired_stages=lambda _: ["s"]), Kind.REST),
    "a stage of an ended command": (in_storage(stages=lambda _: [StageEntry(STAGE, 1.0)]), Kind.REST),
    "an old stage of nobody": (in_storage(stages=lambda _: [StageEntry(NOBODYS, 99.0)]), Kind.REST),
}


def errors_in(findings: list[Finding]) -> set[Kind]:
    return {finding.kind for finding in findings if finding.severity is Severity.ERROR}


def test_a_clean_record_gives_nothing() -> None:
    assert check.check(*clean()) == []


def test_an_empty_mount_gives_nothing() -> None:
    assert check.check(Record(), Storage()) == []


@pytest.mark.parametrize(("plant", "kind"), PLANTED.values(), ids=PLANTED.keys())
def test_what_is_planted_is_found(plant: Plant, kind: Kind) -> None:
    assert kind in errors_in(check.check(*plant(*clean()), stage_max_age=60.0))


@pytest.mark.parametrize(
    "planted",
    ["a file of another size", "old content that is gone", "totals that are off", "a gap in time", "a claim",
     "an event that is missing", "an answer about another entry"],
)  # fmt: skip
def test_what_is_planted_is_all_that_is_found(planted: str) -> None:
    plant, kind = PLANTED[planted]
    assert errors_in(check.check(*plant(*clean()))) == {kind}


NOTICED: dict[str, tuple[Plant, Kind]] = {
    "a foreign file": (in_storage(listing=plus(Listed(b"d/theirs", "file", identity(70)))), Kind.UNTRACKED),
    "a drift that a command reported": (
        lambda r, s: in_storage(listing=without(1))(*in_record(nodes=at(2, drifted=True))(r, s)),
        Kind.DISK,
    ),
    "old content that a command missed": (
        lambda r, s: in_storage(kept=lambda k: k | {b"day/again.0": None})(*in_record(journal=at(2, drift=True))(r, s)),
        Kind.KEPT,
    ),
    "a stage in use": (in_storage(stages=lambda _: [StageEntry(NOBODYS, 99.0, held=True)]), Kind.REST),
    "a stranger's file among the stages": (in_storage(stages=lambda _: [StageEntry("notes.txt", 99.0)]), Kind.REST),
    "the stage of an open upload": (
        lambda r, s: in_storage(stages=lambda _: [StageEntry(NOBODYS, 99.0)])(
            *in_record(open_uploads=lambda _: [NOBODYS])(r, s)
        ),
        Kind.REST,
    ),
    "a young stage": (in_storage(stages=lambda _: [StageEntry(NOBODYS, 1.0)]), Kind.REST),
}


@pytest.mark.parametrize(("plant", "kind"), NOTICED.values(), ids=NOTICED.keys())
def test_what_others_did_is_a_notice(plant: Plant, kind: Kind) -> None:
    findings = check.check(*plant(*clean()), stage_max_age=60.0)
    assert [(finding.kind, finding.severity) for finding in findings] == [(kind, Severity.NOTICE)]


@pytest.mark.parametrize("state", ["inconsistent", "missing"])
def test_a_node_in_doubt_may_lie_anywhere_and_so_may_all_below_it(state: str) -> None:
    record, storage = in_record(nodes=at(1, state=state))(*clean())
    assert check.check(record, replace(storage, listing=[])) == []


def test_a_node_that_a_command_left_inconsistent_is_what_the_journal_says() -> None:
    record, _ = clean()
    entry = Entry(20, "odd", 1, "inconsistent", "VERSION_CONFLICT", node=3, before=before(3, 2, 7, NEW))
    images, findings = check.replay([*record.journal, entry])
    assert images[3].state == "inconsistent" and findings == []


def test_old_content_may_go_when_its_time_is_over_or_while_it_is_on_its_way() -> None:
    record, _ = clean()
    record = replace(record, now=T0 + timedelta(days=31))
    assert check.wanted_places(record) == []
    record = replace(clean()[0], cleanups=["again"])
    assert check.wanted_places(record) == [b"day/drop.0"]


def test_without_a_storage_the_record_alone_is_compared() -> None:
    record, _ = clean()
    assert check.check(record, None) == []


@pytest.mark.parametrize(
    "facts",
    [Feed(5, 4, 1, 5), Feed(5, 5, 2, 6), Feed(4, 5, 1, 5), Feed(5, 5, 1, 5, overdue=1), Feed(5, 0, None, None)],
)
def test_a_feed_with_gaps_or_with_events_that_wait_is_found(facts: Feed) -> None:
    assert [finding.kind for finding in check.feed(facts)] == [Kind.FEED]


@pytest.mark.parametrize("facts", [Feed(), Feed(5, 5, 1, 5)])
def test_a_feed_without_gaps_gives_nothing(facts: Feed) -> None:
    assert list(check.feed(facts)) == []
