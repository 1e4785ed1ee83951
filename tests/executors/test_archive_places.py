"""Where the archive of the journal lies, a folder or a prefix of a real bucket: the same promises."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from activities.upkeep.archive import ArchivePlace, end_of
from activities.upkeep.archive_places import ArchiveBucket, ArchiveFolder, open_place
from tests.fix_s3 import BUCKET, S3Server


@pytest.fixture(params=["folder", "bucket", "top of a bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArchivePlace]:
    if request.param == "folder":
        yield open_place(str(tmp_path / "not/yet/there"))
        return
    server: S3Server = request.getfixturevalue("s3_server")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client, bucket = server.client(), f"archive-{tmp_path.name.replace('_', '-').lower()}"[:60].rstrip("-")
    client.create_bucket(Bucket=bucket)
    yield open_place(f"s3://{bucket}" if request.param != "bucket" else f"s3://{bucket}/a/journal")
    client.close()


def test_what_was_written_is_read_back_and_written_over(place: ArchivePlace) -> None:
    assert list(place.names()) == [] and end_of(place) == (0, None)
    place.write("one", b"\x00\xff" * 70_000)
    place.write("empty", b"")
    assert (place.read("one"), place.read("empty")) == (b"\x00\xff" * 70_000, b"")
    place.write("one", b"written again, as after a crash")
    assert place.read("one") == b"written again, as after a crash"
    assert sorted(place.names()) == ["empty", "one"]
    with pytest.raises(Exception, match=r"NoSuchKey|No such file"):
        place.read("none")


def test_a_prefix_is_an_archive_of_its_own_and_longer_than_a_page(s3_server: S3Server, tmp_path: Path) -> None:
    client, top = s3_server.client(), f"{tmp_path.name}/a"
    one, other = ArchiveBucket(client, BUCKET, top), ArchiveBucket(client, BUCKET, f"{top}b/")
    names = [f"{n:04}" for n in range(1001)]
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda name: one.write(name, b"x"), names))
    other.write("elsewhere", b"x")
    assert sorted(one.names()) == names and list(other.names()) == ["elsewhere"]
    client.close()


def test_a_folder_whose_process_died_while_it_wrote_has_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "one.part").write_bytes(b"half of ")
    place = ArchiveFolder(str(tmp_path))
    place.write("one", b"the whole")
    assert (list(place.names()), place.read("one")) == (["one"], b"the whole")
