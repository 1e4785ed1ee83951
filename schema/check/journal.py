"""The journal: replayed, it makes the nodes there are."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from schema.check.facts import EntryFacts, NodeFacts, SnapshotFacts, told_state
from schema.check.findings import Finding, FindingKind, path_of, shown
from schema.nodes import NodeState


def check(
    nodes: Sequence[NodeFacts], entries: Sequence[EntryFacts], all_snapshots: Sequence[SnapshotFacts] = ()
) -> Iterator[Finding]:
    """Replayed in the order of their ids, the entries make exactly the nodes there are. (Roots come with their mounts.)
    Doubt (inconsistent, missing) may come from a look at the storage, which the journal does not tell."""
    images, findings = replay(entries, all_snapshots)
    yield from findings
    by_id = {node.id: node for node in nodes}
    for node in nodes:
        if node.parent is None:
            continue
        image = images.pop(node.id, None)
        if image is None:
            yield Finding(FindingKind.JOURNAL, path_of(node, by_id), f"No entry tells of node {node.id}.")
            continue
        is_so = Image(node.parent, node.name, node.kind, told_state(node.state), node.version, node.size, node.sha256)
        for name in Image.__slots__:
            journaled = getattr(image, name) if name != "state" else told_state(image.state)
            if getattr(is_so, name) != journaled:
                message = f"Node {node.id} has {name} {getattr(is_so, name)!r}; the journal says {journaled!r}."
                yield Finding(FindingKind.JOURNAL, path_of(node, by_id), message)
    for missing, image in images.items():
        yield Finding(FindingKind.JOURNAL, shown(image.name), f"Node {missing} is not in the record.")


@dataclass(frozen=True, slots=True)
class Image:
    """A node as the journal tells it."""

    parent: int | None
    name: bytes
    kind: str
    state: str
    version: int
    size: int
    sha256: bytes | None


def replay(
    entries: Iterable[EntryFacts], all_snapshots: Sequence[SnapshotFacts] = ()
) -> tuple[dict[int, Image], list[Finding]]:
    """The nodes as the entries make them, in order; and each entry whose `before` is not what the earlier ones made.

    An entry for a whole tree tells of its top alone: what goes or comes back with it follows from what was below it, and
    what a copy made from the first versions of that command."""
    images: dict[int, Image] = {}
    findings: list[Finding] = []
    entries = list(entries)
    read_later = {int(id) for entry in entries for id in (entry.also or {}).get("hashed", ())}
    trees = _Trees(images, all_snapshots, read_later)
    for entry in entries:
        if entry.foreign:
            trees.depart(entry)
            continue
        if problem := _surprised(entry, images):
            findings.append(Finding(FindingKind.JOURNAL, f"entry {entry.id}", problem))
        if entry.after is not None:
            images[entry.after["id"]] = _image(entry.after)
            trees.follow(entry)
        elif entry.kind == "import":
            trees.appear(entry)
            trees.read(entry)
        elif entry.kind == "forget":
            trees.forget(entry)
        elif entry.outcome == "inconsistent" and entry.node in images and images[entry.node].state == NodeState.ACTIVE:
            # The node itself says so too, without a new version.
            images[entry.node] = replace(images[entry.node], state=NodeState.INCONSISTENT.value)
    return images, findings


class _Trees:
    """What an entry changes besides the node it names."""

    def __init__(
        self, images: dict[int, Image], all_snapshots: Sequence[SnapshotFacts], read_later: Collection[int]
    ) -> None:
        """`read_later`: nodes whose content had no hash when they were made."""
        self._images, self._read_later = images, read_later
        self._gone_by: dict[int, str] = {}
        self._made_by: dict[str, list[SnapshotFacts]] = defaultdict(list)
        self._forgotten_by: dict[str, list[int]] = defaultdict(list)
        for snapshot in all_snapshots:
            if snapshot.version == 1:
                self._made_by[snapshot.command].append(snapshot)
            elif snapshot.state == NodeState.DELETED:
                self._forgotten_by[snapshot.command].append(snapshot.node)

    def follow(self, entry: EntryFacts) -> None:
        also, after = entry.also or {}, entry.after
        assert after is not None
        top = int(after["id"])
        if replaced := also.get("replaced"):
            self._turn(int(replaced["id"]), NodeState.DELETED)
        deleter = self._gone_by.pop(top, None)
        if after["state"] == NodeState.DELETED:
            self._gone_by[top] = entry.command
        if "tree" not in also:
            return
        if after["state"] == NodeState.DELETED:
            for id in self._below(top, lambda image: image.state != NodeState.DELETED):
                self._turn(id, NodeState.DELETED)
                self._gone_by[id] = entry.command
        elif entry.before is None:
            self.appear(entry, top)
        elif entry.before["state"] == NodeState.DELETED:
            gone = self._below(top, lambda image: image.state == NodeState.DELETED)
            for id in [id for id in gone if self._gone_by.get(id) == deleter]:
                self._turn(id, NodeState.ACTIVE)
                del self._gone_by[id]

    def appear(self, entry: EntryFacts, top: int | None = None) -> None:
        """What a copy made below its top, or an import without one: the first versions of that command."""
        for made in self._made_by[entry.command]:
            if made.node != top:
                sha256 = None if made.node in self._read_later else made.sha256
                self._images[made.node] = Image(
                    made.parent, made.name, made.kind, NodeState.ACTIVE.value, 1, made.size, sha256
                )

    def read(self, entry: EntryFacts) -> None:
        """The contents that an import has read have their hashes from then on, without a new version."""
        for id, sha256 in (entry.also or {}).get("hashed", {}).items():
            if image := self._images.get(int(id)):
                self._images[int(id)] = replace(image, sha256=bytes.fromhex(sha256))

    def forget(self, entry: EntryFacts) -> None:
        """What the undo of an import took out of the record: the versions that name its command."""
        for id in self._forgotten_by[entry.command]:
            self._turn(id, NodeState.DELETED)

    def depart(self, entry: EntryFacts) -> None:
        also = entry.also or {}
        top = int(also["departed"]["id"])
        below = self._below(top, lambda image: image.state != NodeState.DELETED) if "tree" in also else []
        for id in [top, *below]:
            self._turn(id, NodeState.DELETED)
            self._gone_by[id] = entry.command

    def _turn(self, id: int, state: NodeState) -> None:
        if image := self._images.get(id):
            self._images[id] = replace(image, state=state.value, version=image.version + 1)

    def _below(self, top: int, wanted: Callable[[Image], bool]) -> list[int]:
        """Only along nodes that are wanted themselves: what was deleted earlier holds nothing that goes now."""
        children: dict[int | None, list[int]] = defaultdict(list)
        for id, image in self._images.items():
            if wanted(image):
                children[image.parent].append(id)
        found, waiting = list[int](), [top]
        while waiting:
            below = children.get(waiting.pop(), [])
            found += below
            waiting += below
        return found


def _image(after: Mapping[str, Any]) -> Image:
    digest = after["sha256"]
    return Image(
        after["parent"], bytes.fromhex(after["name"]), after["kind"], after["state"], after["version"], after["size"],
        bytes.fromhex(digest) if digest else None,
    )  # fmt: skip


def _surprised(entry: EntryFacts, images: Mapping[int, Image]) -> str | None:
    if entry.before is None:
        if entry.after is not None and entry.after["id"] in images:
            return f"It makes node {entry.after['id']} a second time."
        if entry.after is not None and entry.after["version"] != 1:
            return f"It makes a node at version {entry.after['version']}."
        return None
    known = images.get(entry.before["id"])
    if known is None:
        return f"It changes node {entry.before['id']}, which no earlier entry made."
    was = (known.version, known.size, known.sha256.hex() if known.sha256 else None)
    says = (entry.before["version"], entry.before["size"], entry.before["sha256"])
    if was != says:
        return f"Before it, node {entry.before['id']} had (version, size, sha256) {was}; the entry says {says}."
    if entry.after is not None and entry.after["version"] != known.version + 1:
        return f"It takes node {entry.before['id']} from version {known.version} to {entry.after['version']}."
    return None
