"""The fsspec driver: fsspec's own acceptance suite, and what it promises beyond."""

import os
import uuid
from collections.abc import Callable
from typing import Any

import fsspec
import pytest
from filestore_sdk import errors
from filestore_sdk.fs import FilestoreFileSystem
from fsspec.tests.abstract import AbstractFixtures
from fsspec.tests.abstract.copy import AbstractCopyTests
from fsspec.tests.abstract.get import AbstractGetTests
from fsspec.tests.abstract.open import AbstractOpenTests
from fsspec.tests.abstract.pipe import AbstractPipeTests
from fsspec.tests.abstract.put import AbstractPutTests

from tests.fix_service import MountOfTest, Service

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestRemovedIn10Warning")


class PlacesOfFiles(AbstractFixtures):  # type: ignore[misc]
    @pytest.fixture
    def fs(self, service: Service) -> FilestoreFileSystem:
        return FilestoreFileSystem(url=service.url, token=service.token)

    @pytest.fixture
    def fs_path(self, mount: MountOfTest) -> str:
        return f"{mount.key}/{uuid.uuid4().hex}"

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return True


class TestCopy(PlacesOfFiles, AbstractCopyTests):  # type: ignore[misc]
    pass


class TestGet(PlacesOfFiles, AbstractGetTests):  # type: ignore[misc]
    pass


class TestPut(PlacesOfFiles, AbstractPutTests):  # type: ignore[misc]
    pass


class TestOpen(PlacesOfFiles, AbstractOpenTests):  # type: ignore[misc]
    pass


class TestPipe(PlacesOfFiles, AbstractPipeTests):  # type: ignore[misc]
    pass


@pytest.fixture
def files(service: Service) -> FilestoreFileSystem:
    return FilestoreFileSystem(url=service.url, token=service.token)


def test_addresses_open_through_fsspec(service: Service, mount: MountOfTest) -> None:
    options = {"url": service.url, "token": service.token}
    with fsspec.open(f"filestore://{mount.key}/d/a.csv", "w", **options) as file:
        file.write("x,y\n1,2\n")
    with fsspec.open(f"filestore://{mount.key}/d/a.csv", "r", **options) as file:
        assert file.read() == "x,y\n1,2\n"


def test_a_file_appears_when_it_is_closed_and_large_ones_do_too(files: FilestoreFileSystem, mount: MountOfTest) -> None:
    content = os.urandom(11 * 1024 * 1024)
    with files.open(f"{mount.key}/f", "wb") as file:
        file.write(content)
        assert not files.exists(f"{mount.key}/f")
    assert files.cat_file(f"{mount.key}/f") == content
    with files.open(f"{mount.key}/f", "rb") as file:
        file.seek(-7, 2)
        assert file.read() == content[-7:]
    with files.open(f"{mount.key}/f", "ab") as file:
        file.write(b"more")
    assert files.cat_file(f"{mount.key}/f", start=-4) == b"more"


def test_a_reader_sees_one_version(files: FilestoreFileSystem, mount: MountOfTest) -> None:
    files.pipe_file(f"{mount.key}/f", b"a" * 1000)
    with files.open(f"{mount.key}/f", "rb", block_size=100, cache_type="none") as file:
        assert file.read(10) == b"a" * 10
        files.pipe_file(f"{mount.key}/f", b"b" * 1000)
        with pytest.raises(errors.VersionConflict):
            file.read(10)


def test_a_transaction_is_all_or_none(files: FilestoreFileSystem, mount: MountOfTest) -> None:
    files.pipe_file(f"{mount.key}/old", b"old")
    with files.transaction:
        for name in ("one", "two", "old"):
            with files.open(f"{mount.key}/{name}", "wb") as file:
                file.write(name.encode() * 2)
        assert files.cat_file(f"{mount.key}/old") == b"old"
    assert mount.on_disk() == {"one": b"oneone", "two": b"twotwo", "old": b"oldold"}
    with pytest.raises(ZeroDivisionError), files.transaction:
        with files.open(f"{mount.key}/three", "wb") as file:
            file.write(b"3")
        _ = 1 // 0
    assert "three" not in mount.on_disk() and len(mount.on_disk()) == 3


def test_what_caches_and_readers_ask_for(files: FilestoreFileSystem, mount: MountOfTest) -> None:
    place = f"{mount.key}/d"
    for name in ("f", "e/g", "e/h"):
        files.pipe_file(f"{place}/{name}", name.encode())
    assert files.ukey(f"{place}/f") == files.info(f"{place}/f")["contentHash"]
    assert files.checksum(f"{place}/f") != files.checksum(f"{place}/e/g")
    assert str(files.modified(f"{place}/f")).endswith("+00:00") and files.created(f"{place}/f") is not None
    assert files.find(place) == [f"{place}/e/g", f"{place}/e/h", f"{place}/f"]
    assert files.glob(f"{place}/**/g") == [f"{place}/e/g"]
    assert files.du(place) == 7
    assert files.cat_ranges([f"{place}/f", f"{place}/e/g"], [0, 1], [1, 3]) == [b"f", b"/g"]
    files.mv(f"{place}/e", f"{mount.key}/moved")
    assert mount.on_disk() == {"d": None, "d/f": b"f", "moved": None, "moved/g": b"e/g", "moved/h": b"e/h"}
    files.rm(f"{mount.key}/moved", recursive=True)
    with pytest.raises(FileNotFoundError):
        files.info(f"{mount.key}/moved")


def test_hostile_addresses_are_plain_errors(files: FilestoreFileSystem, mount: MountOfTest) -> None:
    refused: list[tuple[Any, str]] = [(FileNotFoundError, "nomount/x"), (FileNotFoundError, f"{mount.key}/none")]
    for kind, place in refused:
        with pytest.raises(kind):
            files.cat_file(place)
    with pytest.raises(IsADirectoryError):
        files.cat_file(mount.key)
