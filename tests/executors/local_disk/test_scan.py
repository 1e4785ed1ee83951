"""A scan of a disk: what is special, what can not be read, what is swapped under it."""

import errno
import os
import shutil
import socket
from pathlib import Path

import pytest

from activities.executors import syscalls
from activities.executors.contract.abilities import Counting
from activities.executors.contract.listing import ScanPage
from schema.errors import MountOffline
from schema.paths import ROOT
from tests.executors.conftest import Bench


def scanned(disk: Bench, after: bytes = b"", most: int = 2) -> list[ScanPage]:
    return list(disk.executor.scan(ROOT, after, most))


def kinds(pages: list[ScanPage]) -> dict[bytes, str]:
    return {seen.path: seen.kind for page in pages for seen in page.entries}


def test_links_and_special_files_are_told_and_not_followed(disk: Bench, root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_bytes(b"x")
    os.symlink(tmp_path / "elsewhere", root / "link")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.fspath(root / "socket"))
    assert kinds(scanned(disk)) == {b"link": "symlink", b"pipe": "special", b"socket": "special"}


def test_names_that_are_no_text_and_paths_beyond_the_limit_are_told(disk: Bench, root: Path) -> None:
    os.mkdir(os.fsencode(root) + b"/\xff\xfe")
    name, folder = b"d" * 255, os.open(root, os.O_RDONLY)
    for _ in range(20):
        os.mkdir(name, dir_fd=folder)
        below = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    deepest = b"/".join([name] * 20)
    assert len(deepest) > 4096
    assert {b"\xff\xfe", deepest} <= set(kinds(scanned(disk)))
    assert deepest in kinds(scanned(disk, b"/" + b"/".join([name] * 18))), "also when it goes on there"


def test_a_directory_that_changes_while_it_is_listed_is_not_stable(disk: Bench, root: Path) -> None:
    for n in range(6):
        (root / f"{n}").write_bytes(b"x")
    pages = disk.executor.scan(ROOT, most=2)
    first = next(pages)
    (root / "9").write_bytes(b"x")
    folders = [folder for page in [first, *pages] for folder in page.folders]
    assert [(folder.path, folder.stable) for folder in folders] == [(b"", False)]


def test_a_directory_that_was_told_in_part_is_told_again_whole(disk: Bench, root: Path) -> None:
    for n in range(6):
        (root / f"{n}").write_bytes(b"x")
    first = next(disk.executor.scan(ROOT, most=2))
    again = scanned(disk, first.cursor)
    assert set(kinds(again)) == {b"%d" % n for n in range(6)}
    assert [folder.stable for page in again for folder in page.folders] == [True]


def test_a_page_says_how_much_of_the_tree_is_behind_it_also_where_a_scan_goes_on(disk: Bench, root: Path) -> None:
    for folder in ("a", "b", "c"):
        (root / folder / "deep").mkdir(parents=True)
        (root / folder / "deep" / "f").write_bytes(b"x")
    pages = scanned(disk, most=1)
    shares = [page.share for page in pages if page.share is not None]
    assert (
        len(shares) == len(pages) and shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == pytest.approx(1)
    )
    assert pytest.approx(0.5) in shares, "the root itself and one of its three directories"
    for page in pages[1:-1]:
        assert page.share is not None
        again = next(disk.executor.scan(ROOT, page.cursor, most=1)).share
        assert again is not None and again > page.share - 1e-9
        assert scanned(disk, page.cursor, most=100)[-1].share == pytest.approx(1)


def test_a_part_of_a_file_system_does_not_know_how_many_names_it_has(disk: Bench) -> None:
    assert isinstance(disk.executor, Counting) and disk.executor.names() is None


def test_a_directory_swapped_for_a_link_is_not_entered(disk: Bench, root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"x")
    (root / "a").mkdir()
    (root / "b").mkdir()
    pages = disk.executor.scan(ROOT, most=1)
    first = next(pages)
    shutil.rmtree(root / "b")
    os.symlink(tmp_path / "outside", root / "b")
    assert b"b/secret" not in kinds([first, *pages])


@pytest.mark.parametrize(("number", "code"), [(errno.EACCES, "FORBIDDEN"), (errno.EIO, "UNAVAILABLE")])
def test_what_can_not_be_read_is_told_as_unseen_and_the_rest_goes_on(
    disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    (root / "a").mkdir()
    (root / "a" / "below").write_bytes(b"x")
    (root / "b").write_bytes(b"x")
    (root / "c").mkdir()
    (root / "c" / "file").write_bytes(b"x")
    real, listing = syscalls.facts, os.listdir

    def facts(folder: int, name: bytes, home: int, buffer: syscalls.Buffer) -> object:
        if name == b"b":
            raise OSError(number, "no")
        return real(folder, name, home, buffer)

    def listed(folder: int) -> list[str]:
        if os.readlink(f"/proc/self/fd/{folder}").endswith("/a"):
            raise OSError(number, "no")
        return listing(folder)

    monkeypatch.setattr(syscalls, "facts", facts)
    monkeypatch.setattr(os, "listdir", listed)
    pages = scanned(disk)
    assert {(one.path, one.code) for page in pages for one in page.unseen} == {(b"a", code), (b"b", code)}
    assert set(kinds(pages)) == {b"a", b"c", b"c/file"}
    assert {folder.path for page in pages for folder in page.folders} == {b"", b"c"}


def test_a_page_of_a_disk_that_stands_there_no_more_is_not_told(disk: Bench, root: Path) -> None:
    for n in range(6):
        (root / f"{n}").write_bytes(b"x")
    pages = disk.executor.scan(ROOT, most=2)
    next(pages)
    root.rename(root.with_name("moved away"))
    root.mkdir()
    with pytest.raises(MountOffline):
        next(pages)


def test_what_appears_after_a_cursor_is_told_and_what_vanished_does_no_harm(disk: Bench, root: Path) -> None:
    for name in ("a", "m", "z"):
        (root / name / "below").mkdir(parents=True)
    cursor = b"/m"
    shutil.rmtree(root / "m")
    (root / "n").mkdir()
    (root / "b").mkdir()
    told = kinds(scanned(disk, cursor))
    assert set(told) == {b"z/below"}
    folders = {folder.path for page in scanned(disk, cursor) for folder in page.folders}
    assert folders == {b"n", b"z", b"z/below"}
