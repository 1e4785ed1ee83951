"""The rollups: the totals of a directory are those of the nodes below it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from schema.check.facts import NodeFacts, TotalsFacts
from schema.check.findings import Finding, FindingKind, path_of
from schema.nodes import NodeKind


def check(nodes: Sequence[NodeFacts], stored: Mapping[int, TotalsFacts]) -> Iterator[Finding]:
    """Folded totals and appended deltas together are what the living nodes add up to. (Those of a deleted directory stay
    as they were: they are right again when it is restored.)"""
    by_id = {node.id: node for node in nodes}
    counted = totals(nodes)
    for node in nodes:
        if not node.is_directory or not node.living:
            continue
        has, must = stored.get(node.id, TotalsFacts()), counted.get(node.id, TotalsFacts())
        if has != must:
            yield Finding(
                FindingKind.ROLLUPS, path_of(node, by_id), f"The totals are {has}; the nodes add up to {must}."
            )
    for stray in stored.keys() - by_id.keys():
        if stored[stray] != TotalsFacts():
            yield Finding(FindingKind.ROLLUPS, f"node {stray}", "There are totals of a directory that is not there.")


def totals(nodes: Sequence[NodeFacts]) -> dict[int, TotalsFacts]:
    """The totals of every directory, added up from the leaves to the root."""
    sums: dict[int, TotalsFacts] = defaultdict(TotalsFacts)
    for node in sorted((n for n in nodes if n.living), key=lambda n: -n.depth):
        if node.parent is None:
            continue
        own = sums[node.id] if node.is_directory else TotalsFacts(node.size if node.kind == NodeKind.FILE else 0)
        files, directories = own.files + (not node.is_directory), own.directories + node.is_directory
        above = sums[node.parent]
        sums[node.parent] = TotalsFacts(
            above.size + own.size, above.files + files, above.directories + directories, above.children + 1
        )
    return sums
