"""Quotas: what they count is what the nodes add up to, and what the trash keeps."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from schema.check.facts import ChargeFacts, NodeFacts, QuotaFacts, RecordFacts, SnapshotFacts
from schema.check.findings import Finding, FindingKind
from schema.nodes import NodeKind


def check(record: RecordFacts) -> Iterator[Finding]:
    if record.charges is None:
        return
    counted = charges(record.nodes, record.snapshots)
    for principal in sorted(record.charges.keys() | counted.keys(), key=lambda one: one or ""):
        has, must = record.charges.get(principal, ChargeFacts()), counted.get(principal, ChargeFacts())
        if has != must:
            where = "the trash" if principal is None else f"principal {principal!r}"
            yield Finding(FindingKind.QUOTAS, where, f"{has} is counted; the nodes add up to {must}.")
    contents = kept(record.snapshots)
    for quota in record.quotas:
        must = used(quota, record.nodes, counted, contents)
        if quota.used != must:
            yield Finding(
                FindingKind.QUOTAS, f"quota {quota.id}", f"It counts {quota.used}; the nodes add up to {must}."
            )


def charges(nodes: Sequence[NodeFacts], snapshots: Sequence[SnapshotFacts]) -> dict[str | None, ChargeFacts]:
    """By principal; of None what the trash keeps: versions with the same content share its place."""
    sums: dict[str | None, ChargeFacts] = defaultdict(ChargeFacts)
    for node in nodes:
        if node.living and node.charged_to is not None:
            sums[node.charged_to] = sums[node.charged_to].plus(_size(node), 1)
    for size in kept(snapshots).values():
        sums[None] = sums[None].plus(size, 1)
    return dict(sums)


def kept(snapshots: Sequence[SnapshotFacts]) -> dict[tuple[int, bytes], int]:
    """What the trash keeps of files: by node and place, how large it is."""
    return {(one.node, one.place): one.size for one in snapshots if one.place is not None and one.kind == NodeKind.FILE}


def used(
    quota: QuotaFacts, nodes: Sequence[NodeFacts], counted: Mapping[str | None, ChargeFacts],
    contents: Mapping[tuple[int, bytes], int],
) -> ChargeFacts:  # fmt: skip
    """`contents`: what the trash keeps. One that a quota counts, and that does not lie there, counts for nothing."""
    own = sum(contents.get((node, place), 0) for node, place, _ in quota.kept)
    if quota.principal is not None:
        return counted.get(quota.principal, ChargeFacts()).plus(own, 0)
    directories = {node.id: node.directory_path for node in nodes if node.directory_path is not None}
    found = ChargeFacts()
    for node in nodes:
        above = directories.get(node.parent or 0)
        if node.living and above is not None and (quota.path is None or above.startswith(quota.path + b"/")):
            found = found.plus(_size(node), 1)
    if quota.path is not None:
        return found.plus(own, 0)
    return found.plus(counted.get(None, ChargeFacts()).size if quota.trash else 0, 0)


def _size(node: NodeFacts) -> int:
    return node.size if node.kind == NodeKind.FILE else 0
