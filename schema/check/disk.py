"""The storage: the living nodes are what lies on it, and what else lies there."""

from collections.abc import Iterator, Mapping, Sequence

from schema.check.facts import DOUBTED, CommandFacts, ListedFacts, NodeFacts
from schema.check.findings import Finding, FindingKind, Severity, shown
from schema.nodes import NodeKind


def check(
    nodes: Sequence[NodeFacts], listing: Sequence[ListedFacts], commands: Sequence[CommandFacts] = ()
) -> Iterator[Finding]:
    """Every living node lies at its path: the same kind, the very file we put there, its size and content as recorded.
    A file there that is no node belongs to another program, unless a failed command of ours put it there."""
    by_id = {node.id: node for node in nodes}
    lying = {entry.path: entry for entry in listing}
    exempt: list[bytes] = []
    known: set[bytes] = set()
    for node in sorted((n for n in nodes if n.living and n.parent is not None), key=lambda n: n.depth):
        path = _raw_path(node, by_id)
        known.add(path)
        if node.state in DOUBTED:
            exempt.append(path)
        if node.state in DOUBTED or any(path.startswith(above + b"/") for above in exempt):
            continue
        for problem in _differences(node, lying.get(path)):
            # A command that recognised its own effect has said that another program changed it since.
            severity = Severity.NOTICE if node.drifted else Severity.ERROR
            yield Finding(FindingKind.DISK, shown(path), problem, severity)
    failed = {
        tuple((c.staged or ())[:3]): c.id for c in commands if c.status in ("failed", "running") and _is_file(c.staged)
    }
    for entry in listing:
        if entry.path in known:
            continue
        where = shown(entry.path)
        if culprit := failed.get(tuple(entry.identity[:3])):
            yield Finding(
                FindingKind.DISK,
                where,
                f"Command {culprit} put this {entry.kind} here, and the record does not know it.",
            )
        else:
            message = f"This {entry.kind} is not in the record."
            yield Finding(FindingKind.UNTRACKED, where, message, Severity.NOTICE)


def _is_file(identity: Sequence[int | str] | None) -> bool:
    """It says which file it is: an object store knows no inodes."""
    return bool(identity) and identity is not None and identity[1] != 0


def _raw_path(node: NodeFacts, by_id: Mapping[int, NodeFacts]) -> bytes:
    if node.directory_path is not None:
        return node.directory_path[:-1]
    parent = by_id.get(node.parent) if node.parent is not None else None
    return ((parent.directory_path or b"") if parent else b"") + node.name


def _differences(node: NodeFacts, lying: ListedFacts | None) -> Iterator[str]:
    if lying is None:
        yield f"Nothing lies here; the record has a {node.kind}, version {node.version}."
        return
    if lying.kind != node.kind:
        yield f"A {lying.kind} lies here; the record has a {node.kind}."
        return
    if node.identity is not None and list(node.identity[:3]) != list(lying.identity[:3]):
        yield (
            f"Another {node.kind} lies here: device, inode and birth {list(lying.identity[:3])};"
            f" the record has {list(node.identity[:3])}."
        )
    if node.kind != NodeKind.FILE:
        return
    if node.identity is not None and list(node.identity[9:10]) != list(lying.identity[9:10]):
        yield f"Another object lies here: {list(lying.identity[9:10])}; the record has {list(node.identity[9:10])}."
    if lying.size != node.size:
        yield f"It has {lying.size} bytes; the record has {node.size}."
    if node.identity is not None and node.identity[4] != lying.identity[4]:
        yield "It was written to since the record was made."
    # What was imported has no hash until its content was read.
    if lying.sha256 is not None and node.sha256 is not None and lying.sha256 != node.sha256:
        yield f"Its content has SHA-256 {lying.sha256.hex()}; the record has {node.sha256.hex()}."
