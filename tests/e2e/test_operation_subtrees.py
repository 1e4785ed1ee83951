"""Directories that a copy takes as one item, on the real stack."""

from tests.e2e.test_commands import result
from tests.e2e.test_operations import asked, ended, items, steered
from tests.fix_service import MountOfTest, Service


def test_a_directory_of_moderate_size_is_one_item_and_its_copy_is_undone(service: Service, mount: MountOfTest) -> None:
    for path in ("a", "a/many", "a/few"):
        result(service.mkdir(mount, path), 201)
    for number in range(100):
        result(service.upload(mount, f"a/many/{number:02}", b"%d" % number), 201)
    result(service.upload(mount, "a/few/f", b"few"), 201)
    before = mount.on_disk()
    copied = ended(service, asked(service, mount, "copy", path="a", targetPath="copy"))
    expected = {"copy" + path[1:]: content for path, content in before.items()}
    assert mount.on_disk() == before | expected
    assert copied["plan"]["items"] == 1 and copied["progress"]["nodesDone"] == 104
    assert copied["progress"]["bytesDone"] == 190 + 3
    undo = ended(service, steered(service, copied, "undo"))
    assert mount.on_disk() == before and [one["kind"] for one in items(service, undo)] == ["delete"]
    result(service.mkdir(mount, "copy"), 201)
    again = ended(service, asked(service, mount, "copy", path="a", targetPath="copy"))
    assert [(one["kind"], one["targetPath"] or one["path"], one["nodes"]) for one in items(service, again)] == [
        ("mkdir", "copy/few", 1), ("copy", "copy/few/f", 1), ("copy", "copy/many", 101),
    ]  # fmt: skip
    result(service.upload(mount, "copy/many/05", b"mine", overwrite=True), 200)
    left = ended(service, steered(service, again, "undo"), "partial")
    assert [one["code"] for one in left["errors"]] == ["VERSION_CONFLICT"] and mount.on_disk()[
        "copy/many/05"
    ] == b"mine"
