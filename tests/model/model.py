"""A mount in memory: nodes, and one pure function that says what each command does to them and what its client is told.

Written from the documents (docs/http.md, docs/command-protocol.md) and the order in which the service looks at things; it
shares no code with the service. A state is never changed: `carry_out` returns another one.
"""

import hashlib
import json
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

NodeName = Hashable
"""The identity of a node. The command that makes it gives the name, so that it is the same in whatever order commands
are tried."""

ROOT: NodeName = "root"


@dataclass(frozen=True, slots=True)
class ModelNode:
    id: NodeName
    parent: NodeName | None
    name: str
    content: bytes | None
    """None: a directory"""
    version: int = 1
    metadata: str = "{}"
    """JSON with sorted keys: comparable, and types are kept"""
    living: bool = True
    deleter: NodeName | None = None
    """The command that deleted it: what went along comes back along"""
    deleted_at: int = field(default=0, compare=False)
    """Which of two deleted nodes went later. Not a part of what the state is: it depends on commands that do not matter"""
    written: int = 1
    """The version that brought the content it has now: later ones changed only the rest of the node"""
    past: tuple[tuple[int, bytes | None, int], ...] = ()
    """Of a file, each version that came before: its content (None: deleted then), and the version that had brought that"""

    @property
    def is_directory(self) -> bool:
        return self.content is None

    @property
    def sha256(self) -> str | None:
        return None if self.content is None else digest(self.content)

    @property
    def contents(self) -> dict[int, tuple[bytes | None, int]]:
        """Of a file, by version."""
        now = self.version, self.content if self.living else None, self.written
        return {version: (content, written) for version, content, written in (*self.past, now)}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class ModelMount:
    """Every node that ever was, the living ones by name, and how many commands have deleted something."""

    nodes: Mapping[NodeName, ModelNode]
    names: Mapping[tuple[NodeName, str], NodeName]
    deletions: int = 0

    @property
    def key(self) -> Hashable:
        """Equal for states that no later answer can tell apart, but for the order of deletions."""
        return frozenset(self.nodes.values())

    # Looking

    def at(self, path: str) -> ModelNode | None:
        """The living node there."""
        found: NodeName | None = ROOT
        for name in names_of(path):
            found = self.names.get((found, name))
            if found is None:
                return None
        return self.nodes[found]

    def deleted_at(self, path: str) -> ModelNode | None:
        """The node that was deleted last there, wherever its directories went."""
        places, names = {ROOT}, names_of(path)
        for name in names:
            places = {node.id for node in self.nodes.values() if node.parent in places and node.name == name}
        gone = [self.nodes[id] for id in places if not self.nodes[id].living] if names else []
        return max(gone, key=lambda node: node.deleted_at, default=None)

    def path(self, node: ModelNode) -> str:
        """A deleted node lies in its directory, wherever that went."""
        names = []
        while node.parent is not None:
            names.append(node.name)
            node = self.nodes[node.parent]
        return "/".join(reversed(names))

    def below(self, directory: ModelNode, keep: Callable[[ModelNode], bool]) -> Iterator[ModelNode]:
        """A directory comes before what it holds; only through nodes that are kept."""
        for node in self.nodes.values():
            if node.parent == directory.id and keep(node):
                yield node
                if node.is_directory:
                    yield from self.below(node, keep)

    def living_below(self, directory: ModelNode) -> list[ModelNode]:
        return list(self.below(directory, lambda node: node.living))

    def has_children(self, directory: ModelNode) -> bool:
        return any(parent == directory.id for parent, _ in self.names)

    # Changing

    def put(self, *nodes: ModelNode, deletions: int | None = None) -> "ModelMount":
        """With these nodes as they are now."""
        everything, names = dict(self.nodes), dict(self.names)
        for node in nodes:
            before = everything.get(node.id)
            if before is not None and before.living and before.parent is not None:
                names.pop((before.parent, before.name), None)
            everything[node.id] = node
        for node in nodes:
            if node.living and node.parent is not None:
                assert names.setdefault((node.parent, node.name), node.id) == node.id, "two nodes with one name"
        return ModelMount(everything, names, self.deletions if deletions is None else deletions)


def empty() -> ModelMount:
    return ModelMount({ROOT: ModelNode(ROOT, None, "", None)}, {})


def names_of(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


@dataclass(frozen=True, slots=True)
class ModelCommand:
    """What a client asks for. `kind`: mkdir, upload, delete, move, copy, describe, restore."""

    kind: str
    path: str = ""
    target: str | None = None
    content: bytes = field(default=b"", repr=False)
    metadata: str | None = None
    """JSON: of a new node, or the keys to set"""
    unset: tuple[str, ...] = ()
    overwrite: bool = False
    recursive: bool = False
    node: NodeName | None = None
    """Named by its id, not by `path`"""
    version: int | None = None
    """Restore: the content of this version"""
    if_match: str | None = None
    if_none_match: str | None = None


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What the client is told. A refusal has a code; a success tells of a node."""

    status: int
    code: str | None = None
    node: NodeName | None = None
    path: str | None = None
    kind: str | None = None
    state: str | None = None
    version: int | None = None
    size: int | None = None
    sha256: str | None = None
    metadata: str | None = None
    idempotent: bool = False
    """Nothing was to be done any more"""
    recorded: bool = field(default=True, compare=False)
    """The same key gets the same answer again. False: refused before the record was asked"""

    def tells_like(self, other: "ModelAnswer") -> bool:
        """But for the node's id, which the model and the service give each for itself."""
        return (self.version, self.path, self.sha256, self.status, self.code, self.kind, self.state, self.size, self.metadata,
                self.idempotent) == (other.version, other.path, other.sha256, other.status, other.code, other.kind,
                other.state, other.size, other.metadata, other.idempotent)  # fmt: skip


STATUS = {
    "INVALID_PATH": 400, "INVALID_REQUEST": 400, "NOT_SUPPORTED": 400, "FORBIDDEN": 403, "NODE_NOT_FOUND": 404,
    "PARENT_NOT_FOUND": 404, "NOT_FOUND": 404, "NODE_EXISTS": 409, "NOT_A_DIRECTORY": 409, "CHILDREN_EXIST": 409,
    "IDEMPOTENCY_CONFLICT": 409, "VERSION_CONFLICT": 412,
}  # fmt: skip


class ModelRefused(Exception):
    def __init__(self, code: str, *, recorded: bool = True) -> None:
        super().__init__(code)
        self.answer = ModelAnswer(STATUS[code], code, recorded=recorded)


Step = Callable[[ModelMount, ModelCommand, NodeName], tuple[ModelMount, ModelAnswer]]


def carry_out(mount: ModelMount, command: ModelCommand, name: NodeName) -> tuple[ModelMount, ModelAnswer]:
    """The mount afterwards, and the answer. `name` is the command's own: what it makes is named after it."""
    try:
        _check_paths(command)
        return _RULES[command.kind](mount, command, name)
    except ModelRefused as refused:
        return mount, refused.answer


def replayed(answer: ModelAnswer) -> ModelAnswer:
    """What the same key is told when it comes again."""
    return answer if answer.code else replace(answer, status=200, idempotent=True)


def success(mount: ModelMount, node: ModelNode, status: int, *, idempotent: bool = False) -> ModelAnswer:
    return ModelAnswer(
        status, None, node.id, mount.path(node), "directory" if node.is_directory else "file",
        "active" if node.living else "deleted", node.version, len(node.content or b""), node.sha256, node.metadata, idempotent,
    )  # fmt: skip


# What is refused, whatever the command


def _check_paths(command: ModelCommand) -> None:
    by_id = command.node is not None
    for path in ([] if by_id else [command.path]) + ([] if command.target is None else [command.target]):
        names = names_of(path)
        if not names or any(name in (".", "..") or len(name.encode()) > 255 for name in names):
            raise ModelRefused("INVALID_PATH", recorded=False)
        if names[0] == ".filestore":
            raise ModelRefused("FORBIDDEN", recorded=False)
    if command.kind in ("move", "copy"):
        source, target = names_of(command.path), names_of(command.target or "")
        if target[: len(source)] == source:
            raise ModelRefused("INVALID_REQUEST", recorded=False)
    appears = command.kind in ("mkdir", "upload", "move", "copy") or (command.kind == "restore" and not command.version)
    if command.if_none_match == "*" and not appears:
        raise ModelRefused("INVALID_REQUEST", recorded=False)


def _check_conditions(command: ModelCommand, node: ModelNode | None) -> None:
    """`*`, a version, or the SHA-256 of the content. `If-None-Match: *` is about the name where something appears."""
    tags = {"*", str(node.version), f'"{node.sha256}"'} if node else set()
    if command.if_match is not None and command.if_match not in tags:
        raise ModelRefused("VERSION_CONFLICT")
    if command.if_none_match not in (None, "*") and command.if_none_match in tags:
        raise ModelRefused("VERSION_CONFLICT")


def _room(mount: ModelMount, path: str) -> tuple[NodeName, str]:
    """The directory that can hold something of this path, and the name."""
    *above, name = names_of(path)
    parent = mount.at("/".join(above))
    if parent is None or not parent.is_directory:
        raise ModelRefused("PARENT_NOT_FOUND")
    return parent.id, name


def _there(mount: ModelMount, path: str) -> ModelNode:
    node = mount.at(path)
    if node is None:
        raise ModelRefused("NODE_NOT_FOUND")
    return node


def _target(mount: ModelMount, command: ModelCommand, source: ModelNode) -> tuple[NodeName, str, ModelNode | None]:
    """The place where a move or a copy goes to, and the file it may replace there."""
    assert command.target is not None
    parent, name = _room(mount, command.target)
    there = mount.at(command.target)
    if there is None:
        return parent, name, None
    if not command.overwrite or command.if_none_match == "*":
        raise ModelRefused("NODE_EXISTS")
    if there.is_directory or source.is_directory:
        raise ModelRefused("NOT_A_DIRECTORY")
    return parent, name, there


# What becomes of a node


def _next(node: ModelNode, **changes: Any) -> ModelNode:
    """Its next version."""
    version = node.version + 1
    past = node.version, node.content if node.living else None, node.written
    if "content" in changes:
        changes["written"] = version
    return replace(node, version=version, past=() if node.is_directory else (*node.past, past), **changes)


def _dead(node: ModelNode, deleter: NodeName, when: int) -> ModelNode:
    return _next(node, living=False, deleter=deleter, deleted_at=when)


def _written(mount: ModelMount, node: ModelNode | None, parent: NodeName, name: str, content: bytes, metadata: str | None,
             command: NodeName) -> tuple[ModelMount, ModelAnswer]:  # fmt: skip
    """A new file, or a new version of one."""
    if node is None:
        node, status = ModelNode(command, parent, name, content, metadata=metadata or "{}"), 201
    else:
        node = _next(node, content=content, metadata=node.metadata if metadata is None else metadata)
        status = 200
    after = mount.put(node)
    return after, success(after, node, status)


# The commands


def _mkdir(mount: ModelMount, command: ModelCommand, name: NodeName) -> tuple[ModelMount, ModelAnswer]:
    parent, own = _room(mount, command.path)
    if mount.at(command.path) is not None:
        raise ModelRefused("NODE_EXISTS")
    _check_conditions(command, None)
    node = ModelNode(name, parent, own, None, metadata=command.metadata or "{}")
    after = mount.put(node)
    return after, success(after, node, 201)


def _upload(mount: ModelMount, command: ModelCommand, name: NodeName) -> tuple[ModelMount, ModelAnswer]:
    parent, own = _room(mount, command.path)
    node = mount.at(command.path)
    if node is not None and node.is_directory:
        raise ModelRefused("NOT_A_DIRECTORY")
    _check_conditions(command, node)
    if node is not None and (command.if_none_match == "*" or not (command.overwrite or command.if_match)):
        raise ModelRefused("NODE_EXISTS")
    return _written(mount, node, parent, own, command.content, command.metadata, name)


def _delete(mount: ModelMount, command: ModelCommand, name: NodeName) -> tuple[ModelMount, ModelAnswer]:
    node = mount.at(command.path)
    if node is None:
        gone = mount.deleted_at(command.path)
        if gone is None:
            raise ModelRefused("NODE_NOT_FOUND")
        return mount, success(mount, gone, 200, idempotent=True)
    _check_conditions(command, node)
    below = mount.living_below(node) if node.is_directory else []
    if below and not command.recursive:
        raise ModelRefused("CHILDREN_EXIST")
    when = mount.deletions + 1
    after = mount.put(*(_dead(one, name, when) for one in [node, *below]), deletions=when)
    return after, success(after, after.nodes[node.id], 200)


def _move(mount: ModelMount, command: ModelCommand, name: NodeName) -> tuple[ModelMount, ModelAnswer]:
    node = _there(mount, command.path)
    _check_conditions(command, node)
    parent, own, replaced = _target(mount, command, node)
    moved, when = _next(node, parent=parent, name=own), mount.deletions
    if replaced is not None:
        when += 1
        mount = mount.put(_dead(replaced, name, when))
    after = mount.put(moved, deletions=when)
    return after, success(after, moved, 200)


def _copy(mount: ModelMount, command: ModelCommand, name: NodeName) -> tuple[ModelMount, ModelAnswer]:
    node = _there(mount, command.path)
    _check_conditions(command, node)
    parent, own, replaced = _target(mount, command, node)
    if node.content is not None:
        return _written(mount, replaced, parent, own, node.content, node.metadata, name)
    copies = {node.id: ModelNode(name, parent, own, None, metadata=node.metadata)}
    for one in mount.living_below(node):
        assert one.parent is not None
        copies[one.id] = ModelNode((name, one.id), copies[one.parent].id, one.name, one.content, metadata=one.metadata)
    after = mount.put(*copies.values())
    return after, success(after, copies[node.id], 201)


def _named(mount: ModelMount, command: ModelCommand) -> ModelNode:
    """The living node that is meant."""
    if command.node is None:
        return _there(mount, command.path)
    node = mount.nodes[command.node]
    if not node.living:
        raise ModelRefused("NODE_NOT_FOUND")
    return node


def _describe(mount: ModelMount, command: ModelCommand, name: NodeName) -> tuple[ModelMount, ModelAnswer]:
    node = _named(mount, command)
    _check_conditions(command, node)
    kept = {key: value for key, value in json.loads(node.metadata).items() if key not in command.unset}
    described = _next(node, metadata=canonical(kept | json.loads(command.metadata or "{}")))
    after = mount.put(described)
    return after, success(after, described, 200)


def _restore(mount: ModelMount, command: ModelCommand, name: NodeName) -> tuple[ModelMount, ModelAnswer]:
    if command.version is not None:
        return _restore_version(mount, command, command.version)
    if command.node is not None:
        node: ModelNode | None = mount.nodes[command.node]
    else:
        node = mount.deleted_at(command.path) or mount.at(command.path)
    if node is None:
        raise ModelRefused("NODE_NOT_FOUND")
    _check_conditions(command, node)
    if node.living:
        raise ModelRefused("NODE_EXISTS")
    path = command.target if command.target is not None else mount.path(node)
    parent, own = _room(mount, path)
    if mount.at(path) is not None:
        raise ModelRefused("NODE_EXISTS")
    deleter = node.deleter
    along = mount.below(node, lambda one: not one.living and one.deleter == deleter) if node.is_directory else ()
    back = _next(node, living=True, deleter=None, parent=parent, name=own)
    after = mount.put(back, *[_next(one, living=True, deleter=None) for one in along])
    return after, success(after, back, 200)


def _restore_version(mount: ModelMount, command: ModelCommand, version: int) -> tuple[ModelMount, ModelAnswer]:
    node = _named(mount, command)
    _check_conditions(command, node)
    if node.content is None:
        raise ModelRefused("NOT_A_DIRECTORY")
    content, written = node.contents.get(version, (None, 0))
    if content is None:
        raise ModelRefused("NOT_FOUND")
    if written == node.written:
        return mount, success(mount, node, 200, idempotent=True)
    after = mount.put(_next(node, content=content))
    return after, success(after, after.nodes[node.id], 200)


_RULES: dict[str, Step] = {
    "mkdir": _mkdir, "upload": _upload, "delete": _delete, "move": _move, "copy": _copy, "describe": _describe,
    "restore": _restore,
}  # fmt: skip


def canonical(metadata: Mapping[str, Any]) -> str:
    return json.dumps(metadata, sort_keys=True)


# What lists and totals show


@dataclass(frozen=True, slots=True)
class ModelTotals:
    size: int
    files: int
    directories: int
    children: int


def listed(mount: ModelMount, top: ModelNode) -> list[ModelNode]:
    """A node and all below it by depth, then by the bytes of the path."""

    def order(node: ModelNode) -> tuple[int, bytes]:
        path = mount.path(node)
        return path.count("/"), path.encode()

    return sorted([top, *(mount.living_below(top) if top.is_directory else [])], key=order)


def totals(mount: ModelMount, directory: ModelNode) -> ModelTotals:
    below = mount.living_below(directory)
    files = [node for node in below if node.content is not None]
    return ModelTotals(
        sum(len(node.content or b"") for node in files), len(files), len(below) - len(files),
        sum(node.parent == directory.id for node in below),
    )  # fmt: skip


def on_disk(mount: ModelMount) -> dict[str, bytes | None]:
    root = mount.nodes[ROOT]
    return {mount.path(node): node.content for node in mount.living_below(root)}
