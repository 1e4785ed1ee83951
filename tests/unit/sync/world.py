"""Three trees that have to do with each other, and what becomes of two sides when steps are taken."""

import hashlib
import random
from collections.abc import Iterable

from schema.sync.plan import StepKind, SyncStep
from schema.sync.trees import Tree, TreeEntry, a_directory, a_file, ancestors, parent_of

NAMES = [b"a", b"b", b"c", b"d.txt", b"e\xff"]


def content(text: object) -> TreeEntry:
    raw = str(text).encode()
    return a_file(hashlib.sha256(raw).hexdigest(), len(raw))


def random_path(random_: random.Random) -> bytes:
    return b"/".join(random_.choice(NAMES) for _ in range(random_.randint(1, 3)))


def random_tree(random_: random.Random, size: int = 8) -> dict[bytes, TreeEntry]:
    tree: dict[bytes, TreeEntry] = {}
    for _ in range(size):
        put(tree, random_path(random_), content(random_.randrange(20)))
    return tree


def put(tree: dict[bytes, TreeEntry], path: bytes, entry: TreeEntry) -> None:
    """As a program does: files in the way of a directory make room, and a directory in the way of a file is left."""
    for above in ancestors(path):
        if above not in tree or not tree[above].directory:
            tree[above] = a_directory()
    if not (there := tree.get(path)) or not there.directory:
        tree[path] = entry


def remove(tree: dict[bytes, TreeEntry], path: bytes) -> None:
    for one in [one for one in tree if one == path or one.startswith(path + b"/")]:
        del tree[one]


def edit(tree: dict[bytes, TreeEntry], random_: random.Random, marks: str) -> None:
    """One change as programs make them. What is written is new, or one of few contents that others write as well."""
    path = (
        random.Random(random_.random()).choice(sorted(tree))
        if tree and random_.random() < 0.6
        else random_path(random_)
    )
    match random_.choice(["put", "put", "shared", "remove", "move", "replace", "chmod"]):
        case "put":
            put(tree, path, content(f"{marks} {random_.random()}"))
        case "shared":
            put(tree, path, content(random_.randrange(20)))
        case "remove":
            remove(tree, path)
        case "move" if path in tree and not tree[path].directory:
            entry = tree.pop(path)
            put(tree, random_path(random_), entry)
        case "replace":
            remove(tree, path)
            put(tree, path, a_directory() if random_.random() < 0.5 else content(f"{marks} {random_.random()}"))
        case "chmod" if path in tree:
            there = tree[path]
            tree[path] = TreeEntry(there.kind, 0o700, there.sha, there.size)
        case _:
            pass


def take(tree: dict[bytes, TreeEntry], step: SyncStep) -> None:
    """As a disk would: it refuses what can not be done there."""
    parent = parent_of(step.path)
    assert not parent or (parent in tree and tree[parent].directory), f"nothing holds {step}"
    match step.kind:
        case StepKind.DELETE:
            assert tree.get(step.path) == step.before
            assert not any(path.startswith(step.path + b"/") for path in tree), f"something is in {step}"
            del tree[step.path]
            return
        case StepKind.MOVE:
            assert step.source is not None and step.after is not None
            assert step.path not in tree
            assert tree[step.source].sha == step.after.sha, f"another content is at the source of {step}"
            del tree[step.source]
        case _:
            there = tree.get(step.path)
            assert there == step.before
            assert step.after is not None and (there is None or there.kind is step.after.kind), f"in the way of {step}"
    tree[step.path] = step.after


def take_all(tree: dict[bytes, TreeEntry], steps: Iterable[SyncStep]) -> None:
    for step in steps:
        take(tree, step)


def contents(tree: Tree) -> set[str]:
    return {entry.sha for entry in tree.values() if not entry.directory}


def is_whole(tree: Tree) -> bool:
    """Everything lies in a directory."""
    return all(above in tree and tree[above].directory for path in tree for above in ancestors(path))
