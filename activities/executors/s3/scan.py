"""A scan of a bucket: pages of keys, without a delimiter, each of which becomes a file and the directories on the way to it.

A cursor says from where the store is asked for its next page. All keys below a directory follow each other in every store that
we know, whatever the order among its children; so the directories of the last key tell which of the next one are new. Where a
scan goes on after a cursor, those of its first key are told again.
"""

from collections.abc import Iterable, Iterator
from functools import partial

from activities.executors.contract.listing import ScanPage, Seen, Unseen
from activities.executors.s3.errors import Missing
from activities.executors.s3.keys import Keys
from activities.executors.s3.listing import ListedObject
from activities.executors.s3.mount import Store
from activities.executors.s3.shares import Shares
from schema.errors import InvalidPath, NodeNotFound
from schema.paths import NodePath

_FOLDER = (0, 0, 0, 0, 0, 0, 1, 0, 1)
_NO_PATH = (
    "INVALID_PATH",
    "The key is no path: it has an empty name, '.' or '..', or a NUL. Give the object another key, then scan again.",
)
_MORE, _END = b"+", b"-"


def scan(store: Store, path: NodePath, after: bytes, most: int) -> Iterator[ScanPage]:
    if after == _END:
        return
    keys, told, shares = store.keys, 0, Shares(partial(_folders_in, store), store.keys.folder(path))
    start = after[1:].decode()
    if not after and path.raw and (file := _file_at(store, path)) is not None:
        yield ScanPage([*_way(path), file], b"")
        told = 1
    way: list[bytes] = []
    for page, then in store.bucket.pages(keys.folder(path), start or None, most):
        entries, unseen = list[Seen](), list[Unseen]()
        for one in page:
            if not one.key.startswith(keys.reserved) and one.key != keys.prefix:
                way = _tell(one, keys, way, entries, unseen)
        told += len(entries) + len(unseen)
        share = shares.behind(page[-1].key) if then and page else None
        yield ScanPage(entries, _MORE + then.encode() if then else _END, unseen=unseen, share=share)
    if not told and not after and path.raw:
        store.sure()
        raise NodeNotFound(f"Nothing lies at {path.text} in the bucket.")


def _folders_in(store: Store, prefix: str) -> list[str] | None:
    folders = store.bucket.folders_in(prefix)
    return None if folders is None else [one for one in folders if not one.startswith(store.keys.reserved)]


def _file_at(store: Store, path: NodePath) -> Seen | None:
    """An object at the path itself, whose key has no slash at its end."""
    try:
        found = store.bucket.head(store.keys.of(path))
    except (InvalidPath, Missing):
        return None
    return None if found is None else Seen(path.raw, "file", tuple(found.identity.facts()))


def _way(path: NodePath) -> Iterable[Seen]:
    return [Seen(folder.raw, "directory", _FOLDER) for folder in path.ancestors()[1:]]


def _tell(one: ListedObject, keys: Keys, way: list[bytes], entries: list[Seen], unseen: list[Unseen]) -> list[bytes]:
    """Adds what a key tells, and returns the directories on the way to it."""
    raw = one.key[len(keys.prefix) :].encode("utf-8", "surrogatepass")
    names = raw.removesuffix(b"/").split(b"/")
    if any(name in (b"", b".", b"..") or b"\0" in name for name in names):
        unseen.append(Unseen(raw, *_NO_PATH))
        return way
    is_folder = raw.endswith(b"/")
    folders = names if is_folder else names[:-1]
    same = 0
    while same < min(len(folders), len(way)) and folders[same] == way[same]:
        same += 1
    entries += [Seen(b"/".join(folders[: n + 1]), "directory", _FOLDER) for n in range(same, len(folders))]
    if not is_folder:
        entries.append(Seen(raw, "file", (0, 0, 0, one.size, 0, 0, 0, 0, 1, one.etag, "")))
    return folders
