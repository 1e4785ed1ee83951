"""What must always be true of a mount: pure comparisons of its record with itself and with its storage.

    tree             one root; every living node in a living directory of its own mount; paths are what names make them
    journal          the journal, replayed, is the nodes; every `before` is what came before
    disk             the living nodes are what lies on the storage
    kept             replaced and deleted content is in the trash for as long as it was promised
    snapshots        every version has its snapshot, the intervals touch, the open one is the node's
    rollups          the totals of a directory are those of the nodes below it
    commands         an ended command has one entry at its end, and the stored answer says the same
    events           every entry has its events, once, and those of one node in order
    feed             positions are gapless from 1
    operations       what an operation counts is what its items say; what is in flight has a command that runs
    metastore        once it has caught up, the records are the nodes
    quotas           what quotas count is what the nodes add up to, and what the trash keeps
    rest             after a sweep: nothing runs, nothing is claimed, nothing waits to be cleared

Each is a module of this name with a function `check`; the feed, which belongs to no mount, stands with the events. Facts
come in as plain values (`facts`; `workers/check.py` gathers them); what is wrong comes out as `Finding`s (`findings`). An
*error* is something Filestore promises never to happen. A *notice* is something a person may want to know: another
program put files there, or a command already said that one did.
"""

from schema.check import (
    commands,
    disk,
    events,
    journal,
    kept,
    metastore,
    operations,
    quotas,
    rest,
    rollups,
    snapshots,
    tree,
)
from schema.check.events import COMPLETED, feed
from schema.check.facts import (
    ChargeFacts,
    CommandFacts,
    EntryFacts,
    EventFacts,
    FeedFacts,
    ListedFacts,
    NodeFacts,
    OperationFacts,
    QuotaFacts,
    RecordedFacts,
    RecordFacts,
    SnapshotFacts,
    StageEntry,
    StorageFacts,
    TotalsFacts,
)
from schema.check.findings import Finding, FindingKind, Severity
from schema.check.journal import replay
from schema.check.kept import wanted_places

__all__ = [
    "COMPLETED",
    "ChargeFacts",
    "CommandFacts",
    "EntryFacts",
    "EventFacts",
    "FeedFacts",
    "Finding",
    "FindingKind",
    "ListedFacts",
    "NodeFacts",
    "OperationFacts",
    "QuotaFacts",
    "RecordFacts",
    "RecordedFacts",
    "Severity",
    "SnapshotFacts",
    "StageEntry",
    "StorageFacts",
    "TotalsFacts",
    "check",
    "feed",
    "replay",
    "wanted_places",
]


def check(record: RecordFacts, storage: StorageFacts | None, *, stage_max_age: float = 0.0) -> list[Finding]:
    """Every invariant of one mount. Without a storage, those of the record alone."""
    own = [entry for entry in record.journal if not entry.foreign]
    findings = [
        *tree.check(record.nodes),
        *journal.check(record.nodes, record.journal, record.snapshots),
        *snapshots.check(record.nodes, record.snapshots),
        *rollups.check(record.nodes, record.rollups),
        *commands.check(record.commands, own),
        *events.check(record.journal, record.events),
        *operations.check(record.operations),
        *metastore.check(record.nodes, record.metastore),
        *quotas.check(record),
        *rest.check(record, storage.stages if storage else (), stage_max_age),
    ]
    if storage is not None:
        findings += disk.check(record.nodes, storage.listing, record.commands)
        findings += kept.check(record, storage.kept)
    return findings
