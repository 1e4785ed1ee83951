"""The disk behind a mount misbehaves, or another program works on it."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fix_service import MountOfTest, Service, check_mount, make_mount, until


def code(response: object) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]  # type: ignore[attr-defined]


def test_a_name_taken_behind_our_back_is_refused_and_untouched(service: Service, mount: MountOfTest) -> None:
    (mount.root / "foreign").write_bytes(b"theirs")
    assert code(service.upload(mount, "foreign", b"ours", overwrite="true")) == (409, "NODE_EXISTS")
    assert code(service.mkdir(mount, "foreign")) == (409, "NODE_EXISTS")
    assert mount.on_disk() == {"foreign": b"theirs"}


def test_a_file_changed_behind_our_back_is_not_replaced_or_deleted(service: Service, tmp_path: Path) -> None:
    mount = make_mount(service, tmp_path / "drifting")
    assert service.upload(mount, "f", b"ours").status_code == 201
    (mount.root / "f").write_bytes(b"theirs now")
    for answer in (service.upload(mount, "f", b"again", overwrite="true"), service.delete(mount, "f")):
        assert answer.status_code in (409, 412), answer.text
    assert mount.on_disk() == {"f": b"theirs now"}


def test_a_second_name_of_a_file_is_left_to_its_owner(service: Service, mount: MountOfTest) -> None:
    assert service.upload(mount, "f", b"ours").status_code == 201
    assert service.copy(mount, "f", "copy").status_code == 201
    twin = mount.root.parent / "twin"
    os.link(mount.root / "f", twin)
    assert service.upload(mount, "f", b"new", overwrite="true").status_code == 200
    assert twin.read_bytes() == b"ours" and mount.on_disk() == {"f": b"new", "copy": b"ours"}
    os.link(mount.root / "f", mount.root.parent / "second twin")
    assert service.copy(mount, "f", "other").status_code == 201
    assert service.delete(mount, "f").status_code == 200
    assert (mount.root.parent / "second twin").read_bytes() == b"new"
    assert mount.on_disk() == {"copy": b"ours", "other": b"new"}


def test_a_mount_of_access_mode_ro_takes_no_commands(service: Service, tmp_path: Path) -> None:
    mount = make_mount(service, tmp_path / "ro", accessMode="ro")
    assert code(service.mkdir(mount, "a")) == (403, "MOUNT_READ_ONLY")
    assert code(service.upload(mount, "a", b"x" * 200_000)) == (403, "MOUNT_READ_ONLY")
    assert mount.on_disk() == {}
    check_mount(service, mount)


def test_a_vanished_mount_is_offline_and_heals(service: Service, tmp_path: Path) -> None:
    mount = make_mount(service, tmp_path / "vanishing")
    assert service.upload(mount, "f", b"1").status_code == 201
    mount.root.rename(tmp_path / "elsewhere")
    answer = service.mkdir(mount, "a", key="vanished")
    assert code(answer) == (503, "MOUNT_OFFLINE") and int(answer.headers["retry-after"]) >= 1
    mount.root.mkdir()
    assert code(service.upload(mount, "f", b"2", overwrite="true")) == (503, "MOUNT_OFFLINE")
    assert service.call("GET", "/ready").json()["status"] == "degraded"
    assert mount.on_disk() == {}
    mount.root.rmdir()
    (tmp_path / "elsewhere").rename(mount.root)
    assert service.mkdir(mount, "a", key="vanished").status_code in (200, 201)
    assert mount.on_disk() == {"a": None, "f": b"1"}
    check_mount(service, mount)


def test_a_key_that_failed_before_its_body_was_read_acts_nowhere_else(service: Service, tmp_path: Path) -> None:
    mount, second = make_mount(service, tmp_path / "vanishing"), make_mount(service, tmp_path / "second")
    key = f"moved {mount.key}"
    assert service.mkdir(mount, "p").status_code == service.mkdir(mount, "q").status_code == 201
    assert service.mkdir(second, "p").status_code == 201
    mount.root.rename(tmp_path / "elsewhere")
    assert code(service.upload(mount, "p/one", b"1", key=key)) == (503, "MOUNT_OFFLINE")
    assert code(service.upload(mount, "q/two", b"1", key=key)) == (409, "IDEMPOTENCY_CONFLICT"), "offline too"
    (tmp_path / "elsewhere").rename(mount.root)
    conflict = (409, "IDEMPOTENCY_CONFLICT")
    assert code(service.upload(mount, "q/two", b"1", key=key)) == conflict
    assert code(service.upload(second, "p/one", b"1", key=key)) == conflict
    assert code(service.mkdir(mount, "q/two", key=key)) == conflict
    assert code(service.upload(mount, "p/one", b"1", key=key, overwrite="true")) == conflict
    assert second.on_disk() == {"p": None} and mount.on_disk() == {"p": None, "q": None}
    assert service.upload(mount, "p/one", b"1", key=key).status_code == 201
    assert code(service.upload(mount, "q/two", b"1", key=key)) == conflict
    assert mount.on_disk() == {"p": None, "q": None, "p/one": b"1"}
    check_mount(service, mount)
    check_mount(service, second)


def test_a_new_mode_or_link_is_no_drift(service: Service, mount: MountOfTest) -> None:
    for name in ("replaced", "deleted", "moved", "copied", "onto"):
        assert service.upload(mount, name, name.encode()).status_code == 201
        (mount.root / name).chmod(0o600)
    subprocess.run(["cp", "-al", str(mount.root), f"{mount.root}.backup"], check=True)
    assert service.upload(mount, "replaced", b"new", overwrite="true").status_code == 200
    assert service.delete(mount, "deleted").status_code == 200
    assert service.move(mount, "moved", "away").status_code == 200
    assert service.copy(mount, "copied", "copy").status_code == 201
    assert service.move(mount, "away", "onto", overwrite=True).status_code == 200
    assert mount.on_disk() == {"replaced": b"new", "copied": b"copied", "copy": b"copied", "onto": b"moved"}


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "tiny"
    root.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(root)], check=True)
    yield root
    subprocess.run(["umount", "-l", str(root)], check=True)


def test_a_full_disk_is_507_and_the_same_key_succeeds_later(service: Service, tiny_disk: Path) -> None:
    mount = make_mount(service, tiny_disk)
    assert service.upload(mount, "f", b"old version").status_code == 201
    filler = tiny_disk / ".filestore" / "filler"
    filler.write_bytes(b"\0" * (1 << 20))
    big = os.urandom(1_500_000)
    answer = service.upload(mount, "f", big, key="full", overwrite="true")
    assert code(answer) == (507, "STORAGE_FULL") and "retry-after" in answer.headers
    assert mount.on_disk() == {"f": b"old version"}
    assert [e["code"] for e in service.journal(mount) if e["key"] == "full"] == ["STORAGE_FULL"]
    filler.unlink()
    assert service.upload(mount, "f", big, key="full", overwrite="true").status_code == 200
    assert mount.on_disk() == {"f": big}
    assert [e["outcome"] for e in service.journal(mount) if e["key"] == "full"] == ["succeeded", "failed"]
    check_mount(service, mount)


def test_without_inodes_nothing_runs_for_ever(service: Service, tiny_disk: Path) -> None:
    """The folder of the day was made ahead, so a delete succeeds. Where another program removed it, the delete is
    refused with what to do."""
    mount = make_mount(service, tiny_disk)
    trash, today = tiny_disk / ".filestore" / "trash", f"{datetime.now(UTC):%Y-%m-%d}"
    for name in ("a", "b", "c"):
        assert service.upload(mount, name, name.encode()).status_code == 201
    assert until(lambda: len(list(trash.iterdir())) >= 2), "today's and tomorrow's"
    assert (trash / today).is_dir()
    (full := tiny_disk / ".filestore" / "full").mkdir()
    subprocess.run(["mount", "-o", f"remount,nr_inodes={used_inodes(tiny_disk)}", str(tiny_disk)], check=True)
    with pytest.raises(OSError, match="No space left"):
        (full / "more").mkdir()
    assert service.delete(mount, "a").status_code == 200
    for day in list(trash.iterdir()):
        day.rename(full / day.name)  # frees nothing
    for answer in (service.delete(mount, "b", key="gone"), service.move(mount, "b", "c", key="onto", overwrite=True)):
        assert code(answer) == (507, "STORAGE_FULL") and "free some space" in answer.json()["error"]["message"]
    assert mount.on_disk() == {"b": b"b", "c": b"c"}
    subprocess.run(["mount", "-o", "remount,nr_inodes=10000", str(tiny_disk)], check=True)
    for day in full.iterdir():
        day.rename(trash / day.name)
    assert service.move(mount, "b", "c", key="onto", overwrite=True).status_code == 200
    assert mount.on_disk() == {"c": b"b"}
    full.rmdir()
    check_mount(service, mount)


def used_inodes(root: Path) -> int:
    facts = os.statvfs(root)
    return facts.f_files - facts.f_ffree


def test_a_disk_that_turned_read_only_says_so(service: Service, tiny_disk: Path) -> None:
    mount = make_mount(service, tiny_disk)
    assert service.mkdir(mount, "a").status_code == 201
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    assert code(service.mkdir(mount, "b", key="ro"))[1] in ("MOUNT_READ_ONLY", "MOUNT_OFFLINE")
    assert code(service.delete(mount, "a"))[1] in ("MOUNT_READ_ONLY", "MOUNT_OFFLINE")
    subprocess.run(["mount", "-o", "remount,rw", str(tiny_disk)], check=True)
    assert sorted(mount.on_disk()) == ["a"]
