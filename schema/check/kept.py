"""The trash: replaced and deleted content lies there for as long as it was promised."""

from collections.abc import Iterator, Mapping

from schema.check.facts import RecordFacts, SnapshotFacts
from schema.check.findings import Finding, FindingKind, Severity, path_of, shown
from schema.nodes import NodeKind, NodeState


def check(record: RecordFacts, sizes: Mapping[bytes, int | None]) -> Iterator[Finding]:
    """The content of every version that was replaced or deleted lies in the trash, whole, until its time is over."""
    by_id = {node.id: node for node in record.nodes}
    drift = {entry.command for entry in record.journal if entry.drift}
    for snapshot in _promised(record):
        node = by_id.get(snapshot.node)
        where = f"{path_of(node, by_id) if node else f'node {snapshot.node}'} version {snapshot.version}"
        drifted = snapshot.place is not None and _command_of(snapshot.place) in drift
        severity = Severity.NOTICE if drifted else Severity.ERROR
        found = sizes.get(snapshot.place) if snapshot.place else None
        if snapshot.place is None or snapshot.until is None:
            yield Finding(
                FindingKind.KEPT, where, "The record does not say where its content is kept, or until when.", severity
            )
        elif found is None:
            yield Finding(
                FindingKind.KEPT, where, f"Its content is not in the trash: {shown(snapshot.place)}.", severity
            )
        elif found != snapshot.size:
            message = f"{shown(snapshot.place)} in the trash has {found} bytes instead of {snapshot.size}."
            yield Finding(FindingKind.KEPT, where, message, severity)


def wanted_places(record: RecordFacts) -> list[bytes]:
    """Where in the trash old content must be: what is promised still, and not on its way there yet."""
    return [snapshot.place for snapshot in _promised(record) if snapshot.place is not None]


def _promised(record: RecordFacts) -> Iterator[SnapshotFacts]:
    """Versions whose content left its place. (A version that ended with a new name or new metadata shares its content with
    the next one.)"""
    current = {node.id: node for node in record.nodes}
    on_their_way = set(record.cleanups)
    overwritten = _overwritten(record)
    for snapshot in record.snapshots:
        if snapshot.valid_to is None or snapshot.kind != NodeKind.FILE or snapshot.state == NodeState.DELETED:
            continue
        if snapshot.place is not None and _command_of(snapshot.place) in on_their_way:
            continue
        node = current.get(snapshot.node)
        shared = node is not None and node.living and (node.size, node.sha256) == (snapshot.size, snapshot.sha256)
        if snapshot.place is None and (shared or (snapshot.node, snapshot.version) in overwritten):
            continue
        if snapshot.until is None or record.now is None or snapshot.until > record.now:
            yield snapshot


def _overwritten(record: RecordFacts) -> set[tuple[int, int]]:
    """Versions whose content another program has overwritten or removed, as a look found, or that lies on the storage as before,
    because the undo of an import took it out of the record alone: that was never ours to keep."""
    looks = {entry.command for entry in record.journal if entry.of_a_look or entry.kind == "forget"}
    lost, later = set[tuple[int, int]](), dict[int, tuple[SnapshotFacts, bool]]()
    for snapshot in sorted(record.snapshots, key=lambda one: -one.version):
        after = later.get(snapshot.node)
        by_look = False
        if after is not None:
            same = (after[0].size, after[0].sha256, after[0].state == NodeState.DELETED) == (
                snapshot.size,
                snapshot.sha256,
                False,
            )
            by_look = after[1] if same else after[0].command in looks
            if by_look:
                lost.add((snapshot.node, snapshot.version))
        later[snapshot.node] = snapshot, by_look
    return lost


def _command_of(place: bytes) -> str:
    """The command that put it there. The place is <day>/<command>.<item>, and more below it for a tree."""
    return place.split(b"/")[1].partition(b".")[0].decode()
