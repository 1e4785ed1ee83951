"""The Metastore: once it has caught up with the feed, its records are the nodes, each with one record. No event tells of the
root of a mount."""

from collections.abc import Iterator, Sequence

from schema.check.facts import NodeFacts, RecordedFacts
from schema.check.findings import Finding, FindingKind, path_of, shown


def check(nodes: Sequence[NodeFacts], records: Sequence[RecordedFacts] | None) -> Iterator[Finding]:
    """`records` is None where the Metastore has not caught up, or does not run."""
    if records is None:
        return
    by_id = {node.id: node for node in nodes}
    recorded = {record.node: record for record in records}
    for node in nodes:
        if node.parent is None:
            continue
        if wrong := _wrong(node, recorded.get(node.id), by_id.get(node.parent or 0)):
            yield Finding(FindingKind.METASTORE, path_of(node, by_id), wrong)
    for stray in recorded.keys() - by_id.keys():
        yield Finding(FindingKind.METASTORE, f"record {stray}", "There is no such node.")


def _wrong(node: NodeFacts, record: RecordedFacts | None, parent: NodeFacts | None) -> str:
    if record is None:
        return "It has no record in the Metastore."
    is_now = (node.state, node.version, node.size, node.sha256, node.parent)
    said = (record.state, record.version, record.size, record.sha256, record.parent)
    if is_now != said:
        return f"Its record in the Metastore says {said}, and it is {is_now}."
    path = _path(node, parent)
    if node.living and path != record.path:
        return f"Its record in the Metastore has it at {shown(record.path)!r}."
    if node.living and record.closed and not record.removed:
        return "It lives, and its record in the Metastore is closed."
    return "" if node.living or record.closed else "It is deleted, and its record in the Metastore is open."


def _path(node: NodeFacts, parent: NodeFacts | None) -> bytes:
    above = parent.directory_path if parent is not None and parent.directory_path is not None else b""
    return above + node.name
