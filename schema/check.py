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
    rest             after a sweep: nothing runs, nothing is claimed, nothing waits to be cleared

Facts come in as plain values (`workers/check.py` gathers them); what is wrong comes out as `Finding`s. An *error* is
something Filestore promises never to happen. A *notice* is something a person may want to know: somebody put files
there behind our back, or a command already said that they did.
"""

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

from schema.nodes import NodeKind, NodeState

LIVING_STATES = (NodeState.ACTIVE, NodeState.INCONSISTENT, NodeState.MISSING)
DOUBTED = (NodeState.INCONSISTENT, NodeState.MISSING)
"""States in which the record itself says that the storage may differ."""


class Severity(StrEnum):
    ERROR = "error"
    NOTICE = "notice"


class Kind(StrEnum):
    """The invariant that does not hold."""

    TREE = "tree"
    JOURNAL = "journal"
    DISK = "disk"
    UNTRACKED = "untracked"
    KEPT = "kept"
    SNAPSHOTS = "snapshots"
    ROLLUPS = "rollups"
    COMMANDS = "commands"
    EVENTS = "events"
    FEED = "feed"
    REST = "rest"
    UNCHECKED = "unchecked"
    """Nothing is known to be wrong; it could not be looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    kind: Kind
    where: str
    """A path, a command, or an entry of the journal."""
    message: str
    severity: Severity = Severity.ERROR


# Facts ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Node:
    """A row of `nodes`. `identity` is `Identity.facts()`, None where the storage was never seen."""

    id: int
    parent: int | None
    name: bytes
    kind: str
    state: str
    version: int
    size: int = 0
    sha256: bytes | None = None
    depth: int = 1
    directory_path: bytes | None = None
    mount: int = 0
    identity: Sequence[int | str] | None = None
    drifted: bool = False
    """Its last command said that somebody had been there."""

    @property
    def living(self) -> bool:
        return self.state != NodeState.DELETED

    @property
    def is_directory(self) -> bool:
        return self.kind == NodeKind.DIRECTORY


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of `journal_entries`. `before` and `after` as the JSON says."""

    id: int
    command: str
    attempt: int
    outcome: str
    code: str | None = None
    retryable: bool = False
    node: int | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    drift: bool = False
    kind: str = ""
    also: Mapping[str, Any] | None = None
    """What else changed: `replaced`, the file whose name a move has taken; `departed`, the one that moved to another mount;
    `tree`, everything below a directory"""
    foreign: bool = False
    """Of another mount: only what departed from here concerns this one."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    node: int
    version: int
    command: str
    kind: str
    state: str
    size: int
    sha256: bytes | None
    valid_from: datetime
    valid_to: datetime | None = None
    place: bytes | None = None
    until: datetime | None = None
    parent: int | None = None
    name: bytes = b""


@dataclass(frozen=True, slots=True)
class Totals:
    """What a directory holds: everything below it, and how many children of its own."""

    size: int = 0
    files: int = 0
    directories: int = 0
    children: int = 0


@dataclass(frozen=True, slots=True)
class Command:
    """A row of `commands`. `said` is what the stored answer names: the entry of a success, the code of a failure."""

    id: str
    status: str
    attempt: int
    code: str | None = None
    retryable: bool = False
    said: int | str | None = None
    staged: Sequence[int | str] | None = None
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    type: str
    journal: int
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Feed:
    """All events of all mounts, in numbers. `overdue`: without a position, though nothing can come before them."""

    last: int = 0
    """The last position that was given, as the feed says"""
    positioned: int = 0
    lowest: int | None = None
    highest: int | None = None
    overdue: int = 0


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry on the storage. `identity` is `Identity.facts()`; `sha256` only when the content was read."""

    path: bytes
    kind: str
    identity: Sequence[int | str]
    sha256: bytes | None = None

    @property
    def size(self) -> int:
        return int(self.identity[3])


@dataclass(frozen=True, slots=True)
class StageEntry:
    """Something in the stage folder. `held`: the process that stages it, or works on it, is alive."""

    id: str
    age: float
    held: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """Everything Postgres knows about one mount."""

    nodes: Sequence[Node] = ()
    journal: Sequence[Entry] = ()
    snapshots: Sequence[Snapshot] = ()
    rollups: Mapping[int, Totals] = field(default_factory=dict)
    commands: Sequence[Command] = ()
    events: Sequence[Event] = ()
    claims: Sequence[tuple[bytes, str]] = ()
    """Path and command"""
    cleanups: Sequence[str] = ()
    """Commands with something left to clear"""
    expired_stages: Sequence[str] = ()
    open_uploads: Sequence[str] = ()
    """Whose clients put the content into a stage of the bucket themselves"""
    now: datetime | None = None


@dataclass(frozen=True, slots=True)
class Storage:
    """Everything that lies on it. `kept`: sizes in the trash by place; a place that was looked for in vain is None."""

    listing: Sequence[Listed] = ()
    kept: Mapping[bytes, int | None] = field(default_factory=dict)
    stages: Sequence[StageEntry] = ()


# All of it ------------------------------------------------------------------------------------------------------------


def check(record: Record, storage: Storage | None, *, stage_max_age: float = 0.0) -> list[Finding]:
    """Every invariant of one mount. Without a storage, those of the record alone."""
    own = [entry for entry in record.journal if not entry.foreign]
    findings = [
        *tree(record.nodes),
        *journal(record.nodes, record.journal, record.snapshots),
        *snapshots(record.nodes, record.snapshots),
        *rollups(record.nodes, record.rollups),
        *commands(record.commands, own),
        *events(record.journal, record.events),
        *rest(record, storage.stages if storage else (), stage_max_age),
    ]
    if storage is not None:
        findings += disk(record.nodes, storage.listing, record.commands)
        findings += kept(record, storage.kept)
    return findings


# One by one -----------------------------------------------------------------------------------------------------------


def tree(nodes: Sequence[Node]) -> Iterator[Finding]:
    """One living root. Every living node has a living directory of its mount above it, one level up, and no node is
    above itself. No two living nodes have the same name there. A directory's path is its parent's, its name and '/'."""
    by_id = {node.id: node for node in nodes}
    roots = [node for node in nodes if node.parent is None and node.living]
    if len(roots) != 1 and nodes:
        yield Finding(Kind.TREE, "(root)", f"There are {len(roots)} living roots instead of one.")
    for root in roots:
        if root.directory_path != b"" or root.depth != 0:
            yield Finding(Kind.TREE, "(root)", f"The root has the path {root.directory_path!r} and depth {root.depth}.")
    names: set[tuple[int, bytes]] = set()
    for node in nodes:
        if not node.living or node.parent is None:
            continue
        where = path_of(node, by_id)
        if problem := _misplaced(node, by_id.get(node.parent)):
            yield Finding(Kind.TREE, where, problem)
        if (node.parent, node.name) in names:
            yield Finding(Kind.TREE, where, "Two living nodes have this path.")
        names.add((node.parent, node.name))
    for circling in _circling(by_id):
        yield Finding(Kind.TREE, f"node {circling}", "It lies below itself.")


def _misplaced(node: Node, parent: Node | None) -> str | None:
    if parent is None:
        return "Its parent is not among the nodes of this mount."
    if not parent.is_directory or not parent.living or parent.mount != node.mount:
        return f"Its parent, node {parent.id}, is a {parent.state} {parent.kind} of mount {parent.mount}."
    if node.depth != parent.depth + 1:
        return f"Its depth is {node.depth}, its parent's {parent.depth}."
    if node.is_directory and node.directory_path != (parent.directory_path or b"") + node.name + b"/":
        return f"Its directory path is {node.directory_path!r}."
    return None


def _circling(by_id: Mapping[int, Node]) -> Iterator[int]:
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


def path_of(node: Node, by_id: Mapping[int, Node]) -> str:
    """For people. Follows the parents, not the stored paths, and gives up where they run in a circle."""
    names: list[bytes] = []
    at: Node | None = node
    while at is not None and at.parent is not None and len(names) < 1000:
        names.append(at.name)
        at = by_id.get(at.parent)
    return b"/".join(reversed(names)).decode("utf-8", "backslashreplace") or "(root)"


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


def replay(entries: Iterable[Entry], all_snapshots: Sequence[Snapshot] = ()) -> tuple[dict[int, Image], list[Finding]]:
    """The nodes as the entries make them, in order; and each entry whose `before` is not what the earlier ones made.

    An entry for a whole tree tells of its top alone: what goes or comes back with it follows from what was below it, and
    what a copy made from the first versions of that command."""
    images: dict[int, Image] = {}
    findings: list[Finding] = []
    trees = _Trees(images, all_snapshots)
    for entry in entries:
        if entry.foreign:
            trees.depart(entry)
            continue
        if problem := _surprised(entry, images):
            findings.append(Finding(Kind.JOURNAL, f"entry {entry.id}", problem))
        if entry.after is not None:
            images[entry.after["id"]] = _image(entry.after)
            trees.follow(entry)
        elif entry.outcome == "inconsistent" and entry.node in images and images[entry.node].state == NodeState.ACTIVE:
            # The node itself says so too, without a new version.
            images[entry.node] = replace(images[entry.node], state=NodeState.INCONSISTENT.value)
    return images, findings


class _Trees:
    """What an entry changes besides the node it names."""

    def __init__(self, images: dict[int, Image], all_snapshots: Sequence[Snapshot]) -> None:
        self._images = images
        self._gone_by: dict[int, str] = {}
        self._made_by: dict[str, list[Snapshot]] = defaultdict(list)
        for snapshot in all_snapshots:
            if snapshot.version == 1:
                self._made_by[snapshot.command].append(snapshot)

    def follow(self, entry: Entry) -> None:
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
            for made in self._made_by[entry.command]:
                if made.node != top:
                    self._images[made.node] = Image(
                        made.parent, made.name, made.kind, NodeState.ACTIVE.value, 1, made.size, made.sha256
                    )
        elif entry.before["state"] == NodeState.DELETED:
            gone = self._below(top, lambda image: image.state == NodeState.DELETED)
            for id in [id for id in gone if self._gone_by.get(id) == deleter]:
                self._turn(id, NodeState.ACTIVE)
                del self._gone_by[id]

    def depart(self, entry: Entry) -> None:
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


def _surprised(entry: Entry, images: Mapping[int, Image]) -> str | None:
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


def journal(
    nodes: Sequence[Node], entries: Sequence[Entry], all_snapshots: Sequence[Snapshot] = ()
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
            yield Finding(Kind.JOURNAL, path_of(node, by_id), f"No entry tells of node {node.id}.")
            continue
        is_so = Image(node.parent, node.name, node.kind, _told(node.state), node.version, node.size, node.sha256)
        for name in Image.__slots__:
            told = getattr(image, name) if name != "state" else _told(image.state)
            if getattr(is_so, name) != told:
                message = f"Node {node.id} has {name} {getattr(is_so, name)!r}; the journal says {told!r}."
                yield Finding(Kind.JOURNAL, path_of(node, by_id), message)
    for missing, image in images.items():
        yield Finding(
            Kind.JOURNAL, image.name.decode("utf-8", "backslashreplace"), f"Node {missing} is not in the record."
        )


def _told(state: str) -> str:
    """A state as far as the journal tells it."""
    return NodeState.ACTIVE.value if state in DOUBTED else state


def disk(nodes: Sequence[Node], listing: Sequence[Listed], commands: Sequence[Command] = ()) -> Iterator[Finding]:
    """Every living node lies at its path: the same kind, the very file we put there, its size and content as recorded.
    What lies there and is no node is somebody else's business, unless a failed command of ours put it there."""
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
            # A command that recognised its own effect has said that somebody was there since.
            severity = Severity.NOTICE if node.drifted else Severity.ERROR
            yield Finding(Kind.DISK, path.decode("utf-8", "backslashreplace"), problem, severity)
    failed = {
        tuple((c.staged or ())[:3]): c.id for c in commands if c.status in ("failed", "running") and _is_file(c.staged)
    }
    for entry in listing:
        if entry.path in known:
            continue
        where = entry.path.decode("utf-8", "backslashreplace")
        if culprit := failed.get(tuple(entry.identity[:3])):
            yield Finding(
                Kind.DISK, where, f"Command {culprit} put this {entry.kind} here, and the record does not know it."
            )
        else:
            message = f"This {entry.kind} is not in the record."
            yield Finding(Kind.UNTRACKED, where, message, Severity.NOTICE)


def _is_file(identity: Sequence[int | str] | None) -> bool:
    """It says which file it is: an object store knows no inodes."""
    return bool(identity) and identity is not None and identity[1] != 0


def _raw_path(node: Node, by_id: Mapping[int, Node]) -> bytes:
    if node.directory_path is not None:
        return node.directory_path[:-1]
    parent = by_id.get(node.parent) if node.parent is not None else None
    return ((parent.directory_path or b"") if parent else b"") + node.name


def _differences(node: Node, lying: Listed | None) -> Iterator[str]:
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
    if lying.sha256 is not None and lying.sha256 != node.sha256:
        recorded = node.sha256.hex() if node.sha256 else None
        yield f"Its content has SHA-256 {lying.sha256.hex()}; the record has {recorded}."


def wanted_places(record: Record) -> list[bytes]:
    """Where in the trash old content must be: what is promised still, and not on its way there yet."""
    return [snapshot.place for snapshot in _promised(record) if snapshot.place is not None]


def _promised(record: Record) -> Iterator[Snapshot]:
    """Versions whose content left its place. (A version that ended with a new name or new metadata shares its content with
    the next one.)"""
    current = {node.id: node for node in record.nodes}
    on_their_way = set(record.cleanups)
    for snapshot in record.snapshots:
        if snapshot.valid_to is None or snapshot.kind != NodeKind.FILE or snapshot.state == NodeState.DELETED:
            continue
        if snapshot.place is not None and _command_of(snapshot.place) in on_their_way:
            continue
        node = current.get(snapshot.node)
        shared = node is not None and node.living and (node.size, node.sha256) == (snapshot.size, snapshot.sha256)
        if snapshot.place is None and shared:
            continue
        if snapshot.until is None or record.now is None or snapshot.until > record.now:
            yield snapshot


def _command_of(place: bytes) -> str:
    """Who put it there: <day>/<command>.<item>, and more below it for a tree."""
    return place.split(b"/")[1].partition(b".")[0].decode()


def _shown(place: bytes) -> str:
    return place.decode("utf-8", "backslashreplace")


def kept(record: Record, sizes: Mapping[bytes, int | None]) -> Iterator[Finding]:
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
                Kind.KEPT, where, "The record does not say where its content is kept, or until when.", severity
            )
        elif found is None:
            yield Finding(Kind.KEPT, where, f"Its content is not in the trash: {_shown(snapshot.place)}.", severity)
        elif found != snapshot.size:
            message = f"{_shown(snapshot.place)} in the trash has {found} bytes instead of {snapshot.size}."
            yield Finding(Kind.KEPT, where, message, severity)


def snapshots(nodes: Sequence[Node], all_snapshots: Sequence[Snapshot]) -> Iterator[Finding]:
    """Every node but the root has a snapshot per version from 1 on; each ends when the next begins; the last is open,
    and is the node as it stands."""
    by_id = {node.id: node for node in nodes}
    of_node: dict[int, list[Snapshot]] = defaultdict(list)
    for snapshot in all_snapshots:
        of_node[snapshot.node].append(snapshot)
    for stray in of_node.keys() - by_id.keys():
        yield Finding(Kind.SNAPSHOTS, f"node {stray}", "There are snapshots of a node that is not there.")
    for node in nodes:
        if node.parent is None:
            continue
        for problem in _history(node, sorted(of_node[node.id], key=lambda s: s.version)):
            yield Finding(Kind.SNAPSHOTS, path_of(node, by_id), problem)


def _history(node: Node, history: list[Snapshot]) -> Iterator[str]:
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
    stands = (node.kind, _told(node.state), node.size, node.sha256)
    if stands != (last.kind, _told(last.state), last.size, last.sha256):
        yield f"The node is not as its current snapshot says: {last.kind}, {last.state}, {last.size} bytes."


def rollups(nodes: Sequence[Node], stored: Mapping[int, Totals]) -> Iterator[Finding]:
    """Folded totals and appended deltas together are what the living nodes add up to. (Those of a deleted directory stay
    as they were: they are right again when it is restored.)"""
    by_id = {node.id: node for node in nodes}
    counted = totals(nodes)
    for node in nodes:
        if not node.is_directory or not node.living:
            continue
        has, must = stored.get(node.id, Totals()), counted.get(node.id, Totals())
        if has != must:
            yield Finding(Kind.ROLLUPS, path_of(node, by_id), f"The totals are {has}; the nodes add up to {must}.")
    for stray in stored.keys() - by_id.keys():
        if stored[stray] != Totals():
            yield Finding(Kind.ROLLUPS, f"node {stray}", "There are totals of a directory that is not there.")


def totals(nodes: Sequence[Node]) -> dict[int, Totals]:
    """The totals of every directory, added up from the leaves to the root."""
    sums: dict[int, Totals] = defaultdict(Totals)
    for node in sorted((n for n in nodes if n.living), key=lambda n: -n.depth):
        if node.parent is None:
            continue
        own = sums[node.id] if node.is_directory else Totals(node.size if node.kind == NodeKind.FILE else 0)
        files, directories = own.files + (not node.is_directory), own.directories + node.is_directory
        above = sums[node.parent]
        sums[node.parent] = Totals(
            above.size + own.size, above.files + files, above.directories + directories, above.children + 1
        )
    return sums


def commands(rows: Sequence[Command], entries: Sequence[Entry]) -> Iterator[Finding]:
    """An ended command has exactly one entry at its last attempt, with the same end, and its stored answer names it.
    Before that there are only failures that another attempt may follow. A running one has no more than those."""
    of_command: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        of_command[entry.command].append(entry)
    for row in rows:
        told = of_command.pop(row.id, [])
        if row.status == "running":
            before = told
        elif told:
            before = told[:-1]
            for problem in _disagreement(row, told[-1]):
                yield Finding(Kind.COMMANDS, f"command {row.id}", problem)
        else:
            before = []
            yield Finding(
                Kind.COMMANDS, f"command {row.id}", f"It ended as {row.status} without an entry in the journal."
            )
        if any(not entry.retryable for entry in before):
            yield Finding(Kind.COMMANDS, f"command {row.id}", "It goes on after an entry that was its end.")
        attempts = [entry.attempt for entry in told]
        if attempts != sorted(set(attempts)):
            yield Finding(Kind.COMMANDS, f"command {row.id}", f"Its entries are of the attempts {attempts}.")
    for stray in of_command:
        yield Finding(Kind.COMMANDS, f"command {stray}", "The journal tells of a command that is not there.")


def _disagreement(row: Command, end: Entry) -> Iterator[str]:
    is_so = (row.status, row.attempt, row.code, row.retryable)
    told = (end.outcome, end.attempt, end.code, end.retryable)
    if is_so != told:
        yield f"The row says (status, attempt, code, retryable) {is_so}, the journal {told}."
    must_say = end.id if row.status == "succeeded" else row.code
    if row.said != must_say:
        yield f"Its stored answer names {row.said!r} instead of {must_say!r}."


_CHANGES = ("filestore.node.created", "filestore.node.updated", "filestore.node.deleted")
COMPLETED = "filestore.command.completed"


def events(entries: Sequence[Entry], all_events: Sequence[Event]) -> Iterator[Finding]:
    """Every entry has one event that its command has ended; one that changed a node has one event of that kind besides.
    Positions follow the journal as far as one node is concerned."""
    have = Counter((event.journal, event.type) for event in all_events)
    expected: set[tuple[int, str]] = set()
    for entry in entries:
        if entry.foreign:
            expected.add((entry.id, "filestore.node.deleted"))
            continue
        expected.add((entry.id, COMPLETED))
        if change := _change(entry):
            expected.add((entry.id, change))
        if entry.also and entry.also.get("replaced"):
            expected.add((entry.id, "filestore.node.deleted"))
    for journal_id, type_ in sorted(expected):
        if have[journal_id, type_] != 1:
            yield Finding(
                Kind.EVENTS, f"entry {journal_id}", f"It has {have[journal_id, type_]} events {type_} instead of one."
            )
    for journal_id, type_ in sorted(have.keys() - expected):
        if type_ in (*_CHANGES, COMPLETED):
            yield Finding(Kind.EVENTS, f"entry {journal_id}", f"The event {type_} tells of nothing in the journal.")
    yield from _disordered(entries, all_events)


def _change(entry: Entry) -> str | None:
    if entry.after is None:
        return None
    if entry.after["state"] == NodeState.DELETED:
        return "filestore.node.deleted"
    return "filestore.node.updated" if entry.before else "filestore.node.created"


def _disordered(entries: Sequence[Entry], all_events: Sequence[Event]) -> Iterator[Finding]:
    positions = {e.journal: e.position for e in all_events if e.type in _CHANGES and e.position is not None}
    last: dict[int, int] = {}
    for entry in entries:
        position = positions.get(entry.id)
        if position is None or entry.node is None or entry.foreign:
            continue
        if position < last.get(entry.node, 0):
            yield Finding(
                Kind.EVENTS, f"entry {entry.id}", f"Its event {position} comes before an older one of its node."
            )
        last[entry.node] = position


def feed(facts: Feed) -> Iterator[Finding]:
    """Positions run from 1 to the last one given, each once; nothing waits that could have one."""
    if facts.positioned != facts.last or (facts.positioned and (facts.lowest, facts.highest) != (1, facts.last)):
        given = f"{facts.positioned} events have positions from {facts.lowest} to {facts.highest}"
        yield Finding(Kind.FEED, "(feed)", f"{given}; the last one given is {facts.last}.")
    if facts.overdue:
        yield Finding(Kind.FEED, "(feed)", f"{facts.overdue} events could have a position and have none.")


def rest(record: Record, stages: Collection[StageEntry] = (), stage_max_age: float = 0.0) -> Iterator[Finding]:
    """After a sweep nothing is left over: no command runs, nothing is claimed, nothing waits to be cleared, and in the
    stage folder lies only what a living process holds or what is too young to be given up."""
    for row in record.commands:
        if row.status == "running":
            yield Finding(Kind.REST, f"command {row.id}", f"It is running, attempt {row.attempt}.")
    running = {row.id for row in record.commands if row.status == "running"}
    for path, command in record.claims:
        alive = "a running" if command in running else "an ended"
        where = path.decode("utf-8", "backslashreplace")
        yield Finding(Kind.REST, where, f"It is claimed by {alive} command, {command}.")
    for command in record.cleanups:
        yield Finding(Kind.REST, f"command {command}", "It has something left to clear on the storage.")
    for stage in record.expired_stages:
        yield Finding(
            Kind.REST, f"stage {stage}", "What waited in the record for this stage has expired and is still there."
        )
    ended = {row.stage for row in record.commands if row.status != "running" and row.stage}
    for entry in stages:
        if entry.held:
            yield Finding(Kind.REST, f"stage {entry.id}", "A living process works on it.", Severity.NOTICE)
        elif not _is_command(entry.id):
            yield Finding(Kind.REST, f"stage {entry.id!r}", "No command has such a name: not ours.", Severity.NOTICE)
        elif entry.id in record.open_uploads:
            yield Finding(Kind.REST, f"stage {entry.id}", "An upload that waits for its completion.", Severity.NOTICE)
        elif entry.id in ended:
            yield Finding(Kind.REST, f"stage {entry.id}", "Its command has ended, and it is still in the stage folder.")
        elif entry.age > stage_max_age:
            yield Finding(Kind.REST, f"stage {entry.id}", f"Nobody's, and in the stage folder for {entry.age:.0f} s.")
        else:
            yield Finding(Kind.REST, f"stage {entry.id}", "Nobody's, and too young to be removed.", Severity.NOTICE)


def _is_command(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
