"""The demo on a person's own folder: what it leaves out, what it deletes, and whom it blames."""

import os
from pathlib import Path

import pytest

from deploy.demo import chosen_for_deletion
from deploy.demonstration.client import DemoClient, DemoUnreadable, _content
from deploy.demonstration.input_files import InputFile, find_files
from tests.fix_service import free_port


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    for name in ("kept", ".hidden", "other"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "link").symlink_to("kept")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "a").write_bytes(b"x")
    with open(os.fsencode(tmp_path) + b"/\xff", "wb"):
        pass
    found = find_files(tmp_path)
    assert [file.relative for file in found.files] == ["kept", "other"]
    assert found.said() == (
        "1 hidden files, 1 hidden or generated directories, 1 neither file nor directory, 1 symbolic links, "
        "1 with a name that is not UTF-8"
    )


def test_nothing_is_said_where_nothing_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"x")
    assert find_files(tmp_path).said() == ""


def files(*names: str) -> list[InputFile]:
    return [InputFile(Path(name), name, 1) for name in names]


@pytest.mark.parametrize("count", range(12))
@pytest.mark.parametrize("place", ["", "d/"])
def test_most_of_a_folder_stays(count: int, place: str) -> None:
    those = files(*(f"{place}f{number}" for number in range(count)))
    others, directory = chosen_for_deletion(those)
    inside = [file for file in those if directory and file.directory == directory]
    assert len(others) <= count // 4 and len(inside) <= count // 4
    assert not set(others) & set(inside)


def test_a_small_directory_is_deleted_with_its_files() -> None:
    those = files("a/1", "b/1", "b/2", "b/3", "1", "2", "3", "4")
    others, directory = chosen_for_deletion(those)
    assert directory == "a" and [file.relative for file in others] == ["3", "4"]


def test_a_file_that_can_not_be_read_is_not_the_services_fault(tmp_path: Path) -> None:
    client = DemoClient(f"http://127.0.0.1:{free_port()}", "token")
    (tmp_path / "there").write_bytes(b"x")
    with pytest.raises(ConnectionRefusedError):
        client.upload(1, "there", tmp_path / "there")

    class Vanishing(type(tmp_path)):  # type: ignore[misc]
        """Gone between the look at its size and its turn."""

        def open(self, *words: object) -> object:
            raise PermissionError(13, "Permission denied")

    source = Vanishing(tmp_path / "there")
    with pytest.raises(DemoUnreadable, match="there: Permission denied"):
        list(_content(source, 1))
    with pytest.raises(DemoUnreadable, match="became shorter"):
        list(_content(tmp_path / "there", 2))
