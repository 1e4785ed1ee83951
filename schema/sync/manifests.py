"""A project's tree as pages named by their content, as git has it: one for each directory, with the totals of all below it.

A page is a function of what the directory holds, whatever way led there. A directory with more than `SPLIT` entries has a page of
ranges; where one ends the names alone say, so that a change touches one range. So a commit writes the pages above what it
changes, a renamed directory costs no page of its own, and no page is larger than a message of the hot store may be.
"""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schema.sync.trees import EntryKind, TreeEntry, deep_first, name_of, parent_of

SPLIT = 4096
"""Entries of a directory that is one page"""
_RANGE = 1024
"""Entries of a range as a rule"""
_LETTERS: Mapping[EntryKind, str] = {EntryKind.FILE: "f", EntryKind.DIRECTORY: "d"}
_KINDS: Mapping[str, EntryKind] = {letter: kind for kind, letter in _LETTERS.items()}

Load = Callable[[str], bytes]
"""The page of this name. Raises PageMissing"""


class PageMissing(Exception):
    """`sha` names the page that is needed next."""

    def __init__(self, sha: str) -> None:
        super().__init__(sha)
        self.sha = sha


@dataclass(frozen=True, slots=True)
class PageEntry:
    """What a directory holds under one name. Of a directory: its page, and the totals of all below it."""

    name: bytes
    kind: EntryKind
    sha: str
    size: int
    mode: int
    files: int = 1

    @property
    def entry(self) -> TreeEntry:
        if self.kind is EntryKind.DIRECTORY:
            return TreeEntry(EntryKind.DIRECTORY, self.mode)
        return TreeEntry(EntryKind.FILE, self.mode, self.sha, self.size)


@dataclass(frozen=True, slots=True)
class PageRange:
    """A part of a large directory: all names from `first` on, up to the next range."""

    first: bytes
    sha: str
    entries: int
    size: int
    files: int


@dataclass(slots=True)
class ManifestUpdate:
    """`root`: the page of the whole tree. `written`: the pages that are new, by name."""

    root: str
    files: int
    size: int
    written: dict[str, bytes] = field(default_factory=dict)


def empty_root() -> tuple[str, bytes]:
    page = _encode_entries([])
    return _name(page), page


def update(load: Load, root: str, changes: Mapping[bytes, TreeEntry | None]) -> ManifestUpdate:
    """The tree with these changes. A directory is there for as long as it is not taken out itself. Raises PageMissing."""
    written: dict[str, bytes] = {}

    def known(sha: str) -> bytes:
        return written[sha] if sha in written else load(sha)

    shas, inside = _touched(known, root, changes)
    root_entry = PageEntry(b"", EntryKind.DIRECTORY, root, 0, 0, 0)
    for directory in deep_first(path for path in inside if path):
        entry = _rewritten(known, written, shas.get(directory), inside[directory])
        _place(inside[parent_of(directory)], directory, entry, changes)
    root_entry = _rewritten(known, written, root, inside[b""])
    return ManifestUpdate(root_entry.sha, root_entry.files, root_entry.size, written)


Inside = dict[bytes, PageEntry | None]
"""By name, what changes in one directory"""


def _touched(
    load: Load, root: str, changes: Mapping[bytes, TreeEntry | None]
) -> tuple[dict[bytes, str], dict[bytes, Inside]]:
    """The pages of the directories that something changes in, and what changes there."""
    inside: dict[bytes, Inside] = {b"": {}}
    shas: dict[bytes, str] = {b"": root}
    for path, entry in sorted(changes.items()):
        _walk(load, parent_of(path), shas, inside)
        page = None if entry is None else PageEntry(name_of(path), entry.kind, entry.sha, entry.size, entry.mode)
        if entry is not None and entry.directory:
            _walk(load, path, shas, inside)
        else:
            inside[parent_of(path)][name_of(path)] = page
    return shas, inside


def _walk(load: Load, directory: bytes, shas: dict[bytes, str], inside: dict[bytes, Inside]) -> None:
    """Find the page of a directory from the root down, where there is one."""
    unknown = []
    while directory not in inside:
        unknown.append(directory)
        directory = parent_of(directory)
    for path in reversed(unknown):
        inside[path] = {}
        there = find(load, shas[directory], name_of(path)) if directory in shas else None
        if there is not None and there.kind is EntryKind.DIRECTORY:
            shas[path] = there.sha
        directory = path


def _place(above: Inside, path: bytes, page: PageEntry, changes: Mapping[bytes, TreeEntry | None]) -> None:
    """The new page of a directory, in what holds it; unless the directory itself is taken out, or a file has its name."""
    name, change = name_of(path), changes.get(path)
    if path in changes and (change is None or not change.directory):
        return
    mode = change.mode if change is not None else None
    above[name] = PageEntry(name, EntryKind.DIRECTORY, page.sha, page.size, -1 if mode is None else mode, page.files)


def _rewritten(load: Load, written: dict[str, bytes], sha: str | None, inside: Inside) -> PageEntry:
    """The directory with these changes: its page, and its totals."""
    before = _Directory(load, sha)
    ranges = before.changed(inside)
    total = sum(one.entries for one in ranges.ranges)
    if total <= SPLIT:
        page = _encode_entries(ranges.all())
    else:
        written |= ranges.written
        page = _encode_ranges(ranges.ranges)
    name = _name(page)
    written[name] = page
    size, files = sum(one.size for one in ranges.ranges), sum(one.files for one in ranges.ranges)
    return PageEntry(b"", EntryKind.DIRECTORY, name, size, 0, files)


class _Directory:
    """The ranges of one directory; a small one is one range, or none."""

    def __init__(self, load: Load, sha: str | None) -> None:
        self._load = load
        self.written: dict[str, bytes] = {}
        self._entries: dict[str, list[PageEntry]] = {}
        self.ranges: list[PageRange] = []
        if sha is not None:
            document = json.loads(load(sha))
            if "ranges" in document:
                self.ranges = [PageRange(_raw(first), *rest) for first, *rest in document["ranges"]]
            elif entries := _entries_of(document):
                self.ranges = self._cut(entries)

    def changed(self, inside: Inside) -> "_Directory":
        """Only the ranges that something changes in are cut anew, and on until a cut is where one was before."""
        waiting = sorted(inside)
        before, self.ranges = self.ranges, []
        at = 0
        while at < len(before) or waiting:
            until = before[at + 1].first if at + 1 < len(before) else None
            names = [name for name in waiting if until is None or name < until]
            if not names:
                self.ranges.append(before[at])
                at += 1
                continue
            waiting = waiting[len(names) :]
            entries = self._of(before[at]) if at < len(before) else []
            at += 1
            entries = _with(entries, {name: inside[name] for name in names})
            while at < len(before) and not (entries and _ends(entries[-1].name)):
                following = before[at + 1].first if at + 1 < len(before) else None
                names = [name for name in waiting if following is None or name < following]
                waiting = waiting[len(names) :]
                entries = _with(entries + self._of(before[at]), {name: inside[name] for name in names})
                at += 1
            self.ranges += self._cut(entries)
        return self

    def all(self) -> list[PageEntry]:
        return [entry for one in self.ranges for entry in self._of(one)]

    def _of(self, one: PageRange) -> list[PageEntry]:
        if one.sha not in self._entries:
            self._entries[one.sha] = _entries_of(json.loads(self._load(one.sha)))
        return self._entries[one.sha]

    def _cut(self, entries: Sequence[PageEntry]) -> list[PageRange]:
        ranges, start = [], 0
        for index, entry in enumerate(entries):
            if _ends(entry.name) or index + 1 == len(entries):
                ranges.append(self._made(entries[start : index + 1]))
                start = index + 1
        return ranges

    def _made(self, entries: Sequence[PageEntry]) -> PageRange:
        page = _encode_entries(entries)
        name = _name(page)
        self.written[name], self._entries[name] = page, list(entries)
        size, files = sum(entry.size for entry in entries), sum(entry.files for entry in entries)
        return PageRange(entries[0].name, name, len(entries), size, files)


def _with(entries: Iterable[PageEntry], inside: Inside) -> list[PageEntry]:
    held = {entry.name: entry for entry in entries}
    for name, entry in inside.items():
        if entry is None:
            held.pop(name, None)
        else:
            before = held.get(name)
            held[name] = entry if entry.mode >= 0 else _with_mode(entry, before)
    return [held[name] for name in sorted(held)]


def _with_mode(entry: PageEntry, before: PageEntry | None) -> PageEntry:
    """A directory whose page changed keeps its permissions."""
    mode = before.mode if before is not None and before.kind is EntryKind.DIRECTORY else 0o755
    return PageEntry(entry.name, entry.kind, entry.sha, entry.size, mode, entry.files)


def _ends(name: bytes) -> bool:
    """Whether a range ends with this name: it is in the name alone."""
    return int.from_bytes(hashlib.blake2b(name, digest_size=4).digest(), "big") % _RANGE == 0


# Reading


def listed(load: Load, sha: str, after: bytes | None = None, limit: int | None = None) -> list[PageEntry]:
    """What a directory holds, by name. Raises PageMissing."""
    document = json.loads(load(sha))
    if "ranges" not in document:
        entries = _entries_of(document)
    else:
        ranges = [PageRange(_raw(first), *rest) for first, *rest in document["ranges"]]
        entries = []
        for index, one in enumerate(ranges):
            if after is not None and index + 1 < len(ranges) and ranges[index + 1].first <= after:
                continue
            if limit is not None and sum(after is None or e.name > after for e in entries) >= limit:
                break
            entries += _entries_of(json.loads(load(one.sha)))
    return [entry for entry in entries if after is None or entry.name > after][:limit]


def pages_below(body: bytes) -> list[str]:
    """The pages that a page names: of directories in it, or of its ranges."""
    document = json.loads(body)
    if "ranges" in document:
        return [row[1] for row in document["ranges"]]
    return [row[2] for row in document["entries"] if row[1] == _LETTERS[EntryKind.DIRECTORY]]


def find(load: Load, sha: str, name: bytes) -> PageEntry | None:
    """One name in a directory. Raises PageMissing."""
    document = json.loads(load(sha))
    if "ranges" in document:
        ranges = [PageRange(_raw(first), *rest) for first, *rest in document["ranges"]]
        at = bisect_left([one.first for one in ranges], name + b"\0") - 1
        if at < 0:
            return None
        document = json.loads(load(ranges[at].sha))
    return next((entry for entry in _entries_of(document) if entry.name == name), None)


def find_path(load: Load, root: str, path: bytes) -> PageEntry | None:
    """Raises PageMissing."""
    found = PageEntry(b"", EntryKind.DIRECTORY, root, 0, 0o755, 0)
    for name in path.split(b"/") if path else ():
        below = find(load, found.sha, name) if found.kind is EntryKind.DIRECTORY else None
        if below is None:
            return None
        found = below
    return found


def walk(load: Load, root: str) -> Iterable[tuple[bytes, TreeEntry]]:
    """Everything in a tree, directories before what they hold. Raises PageMissing."""
    stack: list[tuple[bytes, str]] = [(b"", root)]
    while stack:
        path, sha = stack.pop()
        for entry in listed(load, sha):
            below = path + b"/" + entry.name if path else entry.name
            yield below, entry.entry
            if entry.kind is EntryKind.DIRECTORY:
                stack.append((below, entry.sha))


# Pages as they are stored: JSON without white space, names in order


def _entries_of(document: Any) -> list[PageEntry]:
    return [PageEntry(_raw(name), _KINDS[kind], *rest) for name, kind, *rest in document["entries"]]


def _encode_entries(entries: Iterable[PageEntry]) -> bytes:
    rows = [[_text(one.name), _LETTERS[one.kind], one.sha, one.size, one.mode, one.files] for one in entries]
    return _encode({"v": 1, "entries": rows})


def _encode_ranges(ranges: Iterable[PageRange]) -> bytes:
    return _encode(
        {"v": 1, "ranges": [[_text(one.first), one.sha, one.entries, one.size, one.files] for one in ranges]}
    )


def _encode(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def _name(page: bytes) -> str:
    return hashlib.sha256(page).hexdigest()


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
