"""The snapshots: every version has one, their intervals touch, the open one is the node as it stands."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from schema.check.facts import NodeFacts, SnapshotFacts, told_state
from schema.check.findings import Finding, FindingKind, path_of


def check(nodes: Sequence[NodeFacts], all_snapshots: Sequence[SnapshotFacts]) -> Iterator[Finding]:
    """Every node but the root has a snapshot per version from 1 on; each ends when the next begins; the last is open,
    and is the node as it stands."""
    by_id = {node.id: node for node in nodes}
    of_node: dict[int, list[SnapshotFacts]] = defaultdict(list)
    for snapshot in all_snapshots:
        of_node[snapshot.node].append(snapshot)
    for stray in of_node.keys() - by_id.keys():
        yield Finding(FindingKind.SNAPSHOTS, f"node {stray}", "There are snapshots of a node that is not there.")
    for node in nodes:
        if node.parent is None:
            continue
        for problem in _history(node, sorted(of_node[node.id], key=lambda s: s.version)):
            yield Finding(FindingKind.SNAPSHOTS, path_of(node, by_id), problem)


def _history(node: NodeFacts, history: list[SnapshotFacts]) -> Iterator[str]:
    versions = [snapshot.version for snapshot in history]
    if versions != list(range(1, node.version + 1)):
        yield f"Node {node.id} is at version {node.version} and has snapshots of {versions}."
        return
    for earlier, later in pairwise(history):
        if earlier.valid_to != later.valid_from:
            yield f"Version {earlier.version} ends {earlier.valid_to}, the next begins {later.valid_from}."
    last = history[-1]
    if last.valid_to is not None:
        yield f"The current version {last.version} has ended."
    stands = (node.kind, told_state(node.state), node.size, node.sha256)
    if stands != (last.kind, told_state(last.state), last.size, last.sha256):
        yield f"The node is not as its current snapshot says: {last.kind}, {last.state}, {last.size} bytes."
