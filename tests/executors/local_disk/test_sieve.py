"""Directories that are compared as wholes: the digest that a scan tells is the one that the sieve makes, and any change moves
it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from activities.executors.contract.folders import FolderPage, FolderVerdict, SievedPage
from activities.executors.local.digest import CHUNK, SIZE, ListingDigest
from activities.executors.local.executor import LocalExecutor
from activities.executors.local.sieve import HEAD, TAIL, knows_this_system
from schema.paths import ROOT
from tests.executors.conftest import Bench

SAME, DIFFERS, GONE = FolderVerdict.SAME, FolderVerdict.DIFFERS, FolderVerdict.GONE


@pytest.fixture
def local(disk: Bench) -> LocalExecutor:
    assert isinstance(disk.executor, LocalExecutor)
    return disk.executor


@pytest.fixture
def tree(root: Path) -> Path:
    for name in (b"a/file", b"a/\xff\xfe", "a/\u00fc".encode(), b"a/new\nline", b"a/b/deep", b"empty"):
        place = os.fsencode(root) + b"/" + name
        os.makedirs(place if name == b"empty" else os.path.dirname(place), exist_ok=True)
        if not os.path.isdir(place):
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY))
    os.symlink("/nowhere", root / "a" / "link")
    os.mkfifo(root / "a" / "pipe")
    os.utime(root / "a" / "file", ns=(0, -1_500_000_000))
    return root


def known(executor: LocalExecutor) -> FolderPage:
    """All directories as a scan tells them."""
    folders = sorted(
        (folder.path + b"/" if folder.path else b"", folder.digest or bytes(SIZE))
        for page in executor.scan(ROOT)
        for folder in page.folders
    )
    return FolderPage(len(folders), b"\0".join(path for path, _ in folders), b"".join(digest for _, digest in folders))


def verdicts(page: FolderPage, found: SievedPage) -> dict[bytes, int]:
    return dict(zip(page.paths.split(b"\0"), found.verdicts, strict=True))


def test_what_a_scan_has_told_is_the_same_as_long_as_nothing_changes(local: LocalExecutor, tree: Path) -> None:
    (tree / "many").mkdir()
    for number in range(CHUNK + 1):
        (tree / "many" / f"{number}").touch()
    page = known(local)
    found = local.sieve(page)
    assert verdicts(page, found) == dict.fromkeys((b"", b"a/", b"a/b/", b"empty/", b"many/"), SAME)
    assert found.names == 3 + 7 + 1 + CHUNK + 1, "our own folder is no name of the mount"


def _edit(tree: Path) -> None:
    place, times = tree / "a" / "file", (tree / "a" / "file").stat()
    place.write_bytes(b"")
    os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file with its old time": _edit,
    "a mode": lambda tree: (tree / "a" / "file").chmod(0o600),
    "a name": lambda tree: (tree / "a" / "file").rename(tree / "a" / "other"),
    "a new name": lambda tree: (tree / "a" / "new").touch(),
    "a name that is gone": lambda tree: (tree / "a" / "pipe").unlink(),
}


def test_whatever_changes_in_a_directory_is_seen_there_and_nowhere_else(local: LocalExecutor, tree: Path) -> None:
    for what, change in CHANGES.items():
        page = known(local)
        change(tree)
        told = verdicts(page, local.sieve(page))
        told.pop(b"")  # holds the times of the directory
        assert told == {b"a/": DIFFERS, b"a/b/": SAME, b"empty/": SAME}, what


def test_a_directory_that_is_gone_or_a_link_by_now_is_gone(local: LocalExecutor, tree: Path) -> None:
    page = known(local)
    (tree / "a").rename(tree / "elsewhere")
    (tree / "a").symlink_to(tree / "elsewhere")
    (tree / "empty").rmdir()
    (tree / "empty").touch()
    told = verdicts(page, local.sieve(page))
    assert told == {b"": DIFFERS, b"a/": GONE, b"a/b/": GONE, b"empty/": GONE}


def test_another_process_says_the_same(local: LocalExecutor, tree: Path) -> None:
    page = known(local)
    (tree / "a" / "new").touch()
    apart = local.sieve_apart()
    assert apart is not None and knows_this_system()
    asked = HEAD.pack(page.directories, len(page.paths)) + page.paths + page.digests
    try:
        answer = subprocess.run(
            [*apart.command, str(apart.root)],
            input=asked * 2,
            stdout=subprocess.PIPE,
            check=True,
            pass_fds=[apart.root],
        ).stdout
    finally:
        os.close(apart.root)
    found = local.sieve(page)
    assert answer == (found.verdicts + found.times + TAIL.pack(found.names)) * 2


def test_a_directory_with_another_file_system_in_it_has_no_digest() -> None:
    digest = ListingDigest()
    digest.add(b"mounted", (7, 2, 0, 0, 0, 0))
    assert digest.end() is None
