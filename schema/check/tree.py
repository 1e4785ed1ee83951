"""The tree: one root, every living node in a living directory, paths as the names make them."""

from collections.abc import Iterator, Mapping, Sequence

from schema.check.facts import NodeFacts
from schema.check.findings import Finding, FindingKind, path_of


def check(nodes: Sequence[NodeFacts]) -> Iterator[Finding]:
    """One living root. Every living node has a living directory of its mount above it, one level up, and no node is
    above itself. No two living nodes have the same name there. A directory's path is its parent's, its name and '/'."""
    by_id = {node.id: node for node in nodes}
    roots = [node for node in nodes if node.parent is None and node.living]
    if len(roots) != 1 and nodes:
        yield Finding(FindingKind.TREE, "(root)", f"There are {len(roots)} living roots instead of one.")
    for root in roots:
        if root.directory_path != b"" or root.depth != 0:
            yield Finding(
                FindingKind.TREE, "(root)", f"The root has the path {root.directory_path!r} and depth {root.depth}."
            )
    names: set[tuple[int, bytes]] = set()
    for node in nodes:
        if not node.living or node.parent is None:
            continue
        where = path_of(node, by_id)
        if problem := _misplaced(node, by_id.get(node.parent)):
            yield Finding(FindingKind.TREE, where, problem)
        if (node.parent, node.name) in names:
            yield Finding(FindingKind.TREE, where, "Two living nodes have this path.")
        names.add((node.parent, node.name))
    for circling in _circling(by_id):
        yield Finding(FindingKind.TREE, f"node {circling}", "It lies below itself.")


def _misplaced(node: NodeFacts, parent: NodeFacts | None) -> str | None:
    if parent is None:
        return "Its parent is not among the nodes of this mount."
    if not parent.is_directory or not parent.living or parent.mount != node.mount:
        return f"Its parent, node {parent.id}, is a {parent.state} {parent.kind} of mount {parent.mount}."
    if node.depth != parent.depth + 1:
        return f"Its depth is {node.depth}, its parent's {parent.depth}."
    if node.is_directory and node.directory_path != (parent.directory_path or b"") + node.name + b"/":
        return f"Its directory path is {node.directory_path!r}."
    return None


def _circling(by_id: Mapping[int, NodeFacts]) -> Iterator[int]:
    """Nodes from which the way up comes back to where it was; one of each circle."""
    sound: set[int] = set()
    for start in by_id:
        way: dict[int, None] = {}
        at: int | None = start
        while at is not None and at in by_id and at not in sound:
            if at in way:
                yield at
                break
            way[at] = None
            at = by_id[at].parent
        sound.update(way)
