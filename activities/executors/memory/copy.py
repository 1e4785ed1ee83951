"""The staged copy of a file or a tree: each source read as the record knows it, from here or through `fetch`."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from activities.executors.contract.executor import Fetch
from activities.executors.contract.stage import Copied, Source
from activities.executors.memory.tree import Folder, MemoryNode, ticks
from schema.errors import ContentExpired, InvalidRequest, NotSupported, VersionConflict


class CopyHolder(Protocol):
    tree: Folder
    stage: Folder
    trash: Folder

    def check(self) -> None: ...


def copied(executor: CopyHolder, stage: bytes, sources: Iterable[Source], fetch: Fetch | None) -> Iterator[Copied]:
    folders: list[tuple[Source, MemoryNode]] = []
    for number, source in enumerate(sources):
        if (number == 0) is not (source.relative == b"") or (number > 0 and not folders):
            raise InvalidRequest("The first source of a copy, and it alone, is its root; only a directory has more.")
        content, mtime = _original(executor, source) if fetch is None else _brought(executor, source, fetch)
        node = executor.stage[b"/".join(filter(None, (stage, source.relative)))] = MemoryNode(content, mtime=mtime)
        if content is None:
            folders.append((source, node))
        else:
            digest = hashlib.sha256(content).digest()
            yield Copied(source.relative, source.kind, node.identity, len(content), digest)
    for source, node in reversed(folders):
        node.ctime = next(ticks)
        yield Copied(source.relative, source.kind, node.identity)


def _original(executor: CopyHolder, source: Source) -> tuple[bytes | None, int]:
    executor.check()
    if source.kind not in ("file", "directory"):
        raise NotSupported(f"A {source.kind} can not be copied.")
    kept = source.place is not None
    node = (
        executor.trash.get(source.place or b"") if kept else executor.tree.get(source.path.raw if source.path else b"")
    )
    if node is None and kept:
        raise ContentExpired()
    known, found = source.identity, node.identity if node else None
    hashed = source.sha256 is not None
    untouched = (
        kept or hashed or known.directory or not known.ctime or (found is not None and found.ctime == known.ctime)
    )
    if node is None or not known.same_content(found) or not untouched:
        raise VersionConflict("A source is not what the record knows. Reconcile it, then copy anew.")
    if source.sha256 not in (None, hashlib.sha256(node.content or b"").digest()):
        raise VersionConflict("A source does not have the content that the record knows. Reconcile it.")
    return node.content, node.mtime


def _brought(executor: CopyHolder, source: Source, fetch: Fetch) -> tuple[bytes | None, int]:
    executor.check()
    if source.kind not in ("file", "directory"):
        raise NotSupported(f"A {source.kind} can not be copied.")
    if source.kind == "directory":
        return None, next(ticks)
    original = fetch(source)
    try:
        content = original.read(0, source.identity.size)
    finally:
        original.close()
    if source.sha256 not in (None, hashlib.sha256(content).digest()):
        raise VersionConflict("A source does not have the content that the record knows. Reconcile it.")
    return content, next(ticks)
