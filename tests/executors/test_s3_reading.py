"""What is read from a bucket: ranges, read ahead, versions, links that need no token, listings of what others put there."""

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from activities.executors.contract.direct import direct_reads_of
from activities.executors.contract.identity import Identity
from activities.executors.s3 import content as s3_content
from activities.executors.s3.listing import ListedObject
from schema.errors import InvalidPath, InvalidRequest, MountOffline, NodeNotFound, NotADirectory, VersionConflict
from schema.paths import ROOT, NodePath
from tests.executors.bench_s3 import OutsideBucket
from tests.executors.conftest import Bench, refused
from tests.executors.every.test_create import HOSTILE
from tests.fix_s3 import VERSIONED, S3Mount, S3Server, new_mount
from tests.fix_s3_proxy import S3Proxy


@pytest.fixture
def bench(each_s3_mount: S3Mount) -> Bench:
    executor = each_s3_mount.open()
    return Bench(executor, OutsideBucket(executor))


# -- content -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, s3_content.FIRST - 1, s3_content.FIRST, s3_content.FIRST + 1])
def test_sizes_around_the_first_request(bench: Bench, size: int) -> None:
    content = os.urandom(size)
    bench.outside.put(b"file", content)
    opened = bench.executor.open(NodePath(b"file"))
    assert opened.identity.size == size
    assert opened.read(0, size + 10) == content
    opened.close()


@pytest.mark.parametrize("piece", [65_536, 100_000, 1 << 20])
def test_who_reads_on_is_read_ahead_for_and_gets_every_byte_once(
    s3_mount: S3Mount, s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(s3_content, "BLOCK", 300_000)
    content = os.urandom(3_000_001)
    OutsideBucket(s3_mount.open()).put(b"file", content)
    opened = s3_mount.open(s3_proxy.endpoint).open(NodePath(b"file"))
    assert b"".join(opened.read(at, piece) for at in range(0, len(content), piece)) == content
    assert s3_proxy.count("GET", "/file") <= 14
    assert opened.read(1_234_567, 89) == content[1_234_567:][:89]
    assert opened.read(0, 3) == content[:3]
    opened.close()


def test_a_reader_never_mixes_two_contents(bench: Bench, each_s3_mount: S3Mount) -> None:
    old = os.urandom(1 << 20)
    bench.outside.put(b"file", old)
    opened = bench.executor.open(NodePath(b"file"))
    assert opened.read(0, 1000) == old[:1000]
    bench.outside.put(b"file", os.urandom(1 << 20))
    if each_s3_mount.bucket == VERSIONED:
        assert opened.read(500_000, 1000) == old[500_000:501_000]
    else:
        with pytest.raises(VersionConflict):
            opened.read(500_000, 1000)
        bench.outside.remove(b"file")
        with pytest.raises((VersionConflict, NodeNotFound)):
            opened.read(500_000, 1000)


def test_a_small_open_file_stays_readable(bench: Bench) -> None:
    known = bench.has(b"file", b"first")
    opened = bench.executor.open(NodePath(b"file"))
    bench.done(bench.delete(b"file", known))
    assert opened.read(0, 99) == b"first"


def test_content_of_the_trash_is_read_by_its_place(bench: Bench) -> None:
    task = bench.delete(b"file", bench.has(b"file", b"old"))
    bench.done(task)
    assert bench.executor.open_kept((task.trash or "").encode()).read(0, 9) == b"old"


# -- links -------------------------------------------------------------------------------------------------------------


def fetched(url: str) -> tuple[bytes, str, str]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read(), answer.headers["content-disposition"], answer.headers["content-type"]


def test_a_link_reads_this_content_without_us(bench: Bench, each_s3_mount: S3Mount) -> None:
    known = bench.has(b"dir", None) and bench.has(b"dir/a b+c.txt", b"content")
    url = direct_reads_of(bench.executor).presign(
        NodePath(b"dir/a b+c.txt"), known, 60, 'attachment; filename="a b.txt"', "text/plain; charset=utf-8"
    )
    assert fetched(url) == (b"content", 'attachment; filename="a b.txt"', "text/plain; charset=utf-8")
    assert each_s3_mount.server.secret not in url
    if each_s3_mount.bucket == VERSIONED:
        bench.outside.put(b"dir/a b+c.txt", b"newer")
        assert fetched(url)[0] == b"content"
    with pytest.raises(urllib.error.HTTPError):
        fetched(url.replace("a%20b", "other"))


def test_a_link_is_made_only_to_what_the_record_knows(bench: Bench) -> None:
    known = bench.has(b"file", b"content")
    bench.outside.put(b"file", b"strange")
    with pytest.raises(VersionConflict):
        direct_reads_of(bench.executor).presign(NodePath(b"file"), known, 60, "inline", "text/plain")
    bench.outside.remove(b"file")
    with pytest.raises(NodeNotFound):
        direct_reads_of(bench.executor).presign(NodePath(b"file"), known, 60, "inline", "text/plain")


# -- names and listings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != b"\xff\xfe not utf-8"])
def test_any_name_is_taken_that_a_key_can_hold(s3_mount: S3Mount, name: bytes) -> None:
    bench = Bench(executor := s3_mount.open(), OutsideBucket(executor))
    path = name + b"/" + name
    bench.has(name, None)
    found = bench.has(path, b"content")
    entries = {entry.path.raw: entry.identity for entry in executor.walk()}
    assert list(entries) == [name, path]
    assert bench.outside.read(path) == b"content" == executor.open(NodePath(path)).read(0, 99)
    task = bench.delete(path, found)
    bench.done(task)
    assert bench.outside.trash() == {task.trash: b"content"}


@pytest.mark.parametrize("path", [b"\xff\xfe", b"/".join([b"x" * 200] * 6)])
def test_a_name_that_no_key_can_hold_is_refused(bench: Bench, path: bytes) -> None:
    task = bench.create(path, b"content")
    assert refused(bench.executor.act(task)) == "INVALID_PATH"
    with pytest.raises(InvalidPath):
        bench.executor.open_stage(task.command, NodePath(path))


def test_a_walk_tells_what_others_made_of_the_bucket(s3_mount: S3Mount) -> None:
    executor = s3_mount.open()
    outside = OutsideBucket(executor)
    for key in (b"a/b/c", b"a-b", b"a/", b"z", b"empty/", b"e&<>\"'/%2F+ x"):
        outside.put(key, b"" if key.endswith(b"/") else key)
    listed = {entry.path.raw: (entry.kind, entry.identity.size) for entry in executor.walk()}
    assert listed == {
        b"a": ("directory", 0), b"a/b": ("directory", 0), b"a/b/c": ("file", 5), b"a-b": ("file", 3), b"z": ("file", 1),
        b"empty": ("directory", 0), b"e&<>\"'": ("directory", 0), b"e&<>\"'/%2F+ x": ("file", 13),
    }  # fmt: skip
    assert executor.open(NodePath(b"z")).identity.tag == next(
        entry.identity.tag for entry in executor.walk() if entry.path.raw == b"z"
    )


def test_keys_that_are_no_paths_are_told_as_unseen(s3_mount: S3Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store of these tests takes no such keys, so a listing is played to the scan."""
    executor = s3_mount.open()
    prefix = executor.store.keys.prefix
    keys = ["a//b", "a/../b", "./c", "nul\0", "back\\slash/" + "n" * 300, "good"]
    page = [ListedObject(prefix + key, "etag", 3) for key in keys]
    monkeypatch.setattr(executor.store.bucket, "pages", lambda *_: iter([(page, None)]))
    (told,) = executor.scan(ROOT)
    assert [seen.path for seen in told.entries] == [b"back\\slash", b"back\\slash/" + b"n" * 300, b"good"]
    assert [(one.path, one.code) for one in told.unseen] == [(key.encode(), "INVALID_PATH") for key in keys[:4]]


def test_a_scan_tells_how_far_it_is_by_the_directories_behind_it(s3_mount: S3Mount) -> None:
    executor = s3_mount.open()
    outside = OutsideBucket(executor)
    for key in (b"a/1", b"b/x/1", b"b/x/2", b"b/y & z/1", b"c/1", b"c/2"):
        outside.put(key, b"x")
    pages = list(executor.scan(ROOT, b"", 2))
    assert pages[-1].share is None, "the last page needs none"
    told = [page.share for page in pages if page.share is not None]
    assert told == sorted(told) and {round(share, 3) for share in told} <= {0.333, 0.5, 0.667} and len(set(told)) >= 2
    (later,) = executor.scan(ROOT, pages[-2].cursor, 1000)
    assert later.share is None


def test_nothing_is_lost_at_the_end_of_a_full_page(s3_mount: S3Mount) -> None:
    """The store says that nothing follows a page that ends with a directory's marker, when only its content is left."""
    executor = s3_mount.open()
    outside = OutsideBucket(executor)
    for key in (b"z/", b"z/last"):
        outside.put(key, b"" if key.endswith(b"/") else b"x")
    pages = executor.store.bucket.pages(executor.store.keys.folder(NodePath(b"z")), None, 1)
    assert [one.key.rpartition("/z/")[2] for page, _ in pages for one in page] == ["", "last"]


def test_a_walk_goes_over_all_pages(s3_mount: S3Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    executor = s3_mount.open()
    outside = OutsideBucket(executor)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda n: outside.put(b"many/%04d" % n, b"x"), range(1005)))
    assert len({entry.path.raw for entry in executor.walk()}) == 1006


def test_directories_and_nothing_are_no_files(bench: Bench) -> None:
    bench.outside.put(b"a/b", b"x")
    with pytest.raises(NotADirectory):
        bench.executor.open(NodePath(b"a"))
    with pytest.raises(NodeNotFound):
        bench.executor.open(NodePath(b"a/c"))


# -- the mount ---------------------------------------------------------------------------------------------------------


def test_a_prefix_belongs_to_one_mount(s3_mount: S3Mount, s3_server: S3Server, tmp_path: Path) -> None:
    s3_mount.open().register()
    other = S3Mount(s3_server, s3_mount.bucket, s3_mount.prefix, tmp_path)
    with pytest.raises(InvalidRequest, match="another mount"):
        other.open().register()
    with pytest.raises(MountOffline, match="another mount"):
        other.open().check()
    s3_mount.open().check()
    assert OutsideBucket(s3_mount.open()).keys() == [".filestore/mount.json"]


def test_a_mount_inside_of_a_mount_is_refused(s3_mount: S3Mount, s3_server: S3Server, tmp_path: Path) -> None:
    inner = S3Mount(s3_server, s3_mount.bucket, s3_mount.prefix + "/deep/er", tmp_path)
    with pytest.raises(InvalidRequest, match="inside of another"):
        inner.open().register()
    assert OutsideBucket(s3_mount.open()).keys() == [".filestore/mount.json"]


def test_a_bucket_that_is_not_there_is_said(s3_server: S3Server, tmp_path: Path) -> None:
    mount = S3Mount(s3_server, "no-such-bucket", "x", tmp_path)
    with pytest.raises(MountOffline, match="bucket"):
        mount.open().check()
    with pytest.raises(InvalidRequest, match="bucket does not exist"):
        mount.open().register()


def test_a_prefix_without_its_sentinel_is_not_the_mount(s3_mount: S3Mount) -> None:
    OutsideBucket(s3_mount.open()).remove(b".filestore/mount.json")
    with pytest.raises(MountOffline, match="sentinel"):
        s3_mount.open().check()


def test_a_store_that_ignores_conditions_becomes_no_mount(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = new_mount(s3_server, tmp_path)
    fresh = S3Mount(s3_server, mount.bucket, mount.prefix + "-fresh", tmp_path)
    executor = fresh.open()
    put: Any = executor.store.bucket.put
    monkeypatch.setattr(executor.store.bucket, "put", lambda *given: put(*given[:-1], {}))
    with pytest.raises(InvalidRequest, match="If-None-Match"):
        executor.register()
    assert OutsideBucket(fresh.open()).keys() == []


def test_one_look_at_the_sentinel_holds_for_a_moment(s3_mount: S3Mount, s3_proxy: S3Proxy) -> None:
    executor = s3_mount.open(s3_proxy.endpoint)
    for _ in range(20):
        executor.check()
    assert s3_proxy.count("GET", "mount.json") == 1


def test_an_identity_from_a_listing_is_what_steps_are_checked_against(bench: Bench) -> None:
    bench.outside.put(b"found", b"by reconciliation")
    (entry,) = bench.executor.walk()
    assert isinstance(entry.identity, Identity)
    bench.done(bench.replace(b"found", b"new", entry.identity))
    assert bench.outside.read(b"found") == b"new"
