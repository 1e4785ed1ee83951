"""Where a mount may lie that a client asks for."""

import os
from pathlib import Path

import pytest

from api.mounts.locations import check_location
from schema.access.locations import check_endpoint, check_root
from schema.errors import InvalidRequest
from schema.settings import Settings

ROOTS = ["/srv", "/data/mounts"]


@pytest.mark.parametrize("real", ["/srv", "/srv/a", "/srv/a/b", "/data/mounts/x"])
def test_a_root_below_a_configured_folder_is_taken(real: str) -> None:
    check_root(real, ROOTS)


@pytest.mark.parametrize(
    "real", ["/", "/srv2", "/data", "/data/mount", "/etc", "/root", "/home/ann", "/var/lib/filestore"]
)
def test_every_other_root_is_refused(real: str) -> None:
    with pytest.raises(InvalidRequest, match="FILESTORE_LOCAL_ROOTS"):
        check_root(real, ROOTS)


def test_an_empty_list_of_roots_refuses_all() -> None:
    with pytest.raises(InvalidRequest):
        check_root("/srv/a", Settings(local_roots="").roots_of_mounts)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "real", ["/", "/root/.ssh", "/home/ann/x", "/etc", "/usr/lib", "/var/lib/postgresql", "/proc/1", "/opt"]
)
def test_without_a_setting_no_home_and_no_folder_of_the_system_is_taken(
    real: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FILESTORE_LOCAL_ROOTS", raising=False)
    with pytest.raises(InvalidRequest):
        check_root(real, Settings().roots_of_mounts)  # type: ignore[call-arg]
    check_root("/srv/files", Settings().roots_of_mounts)  # type: ignore[call-arg]


async def test_a_link_out_of_a_configured_folder_is_refused_and_one_into_it_is_taken(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
    os.symlink(outside, inside / "out")
    os.symlink(inside, tmp_path / "in")
    settings = Settings(local_roots=str(inside))  # type: ignore[call-arg]
    with pytest.raises(InvalidRequest):
        await check_location(settings, str(inside / "out"), {})
    with pytest.raises(InvalidRequest):
        await check_location(settings, str(inside / ".." / "outside"), {})
    await check_location(settings, str(tmp_path / "in" / "new"), {})


REFUSED = [
    ("169.254.169.254", "metadata"), ("100.100.100.200", "metadata"), ("fd00:ec2::254", "metadata"), ("127.0.0.1", "this machine"),
    ("127.9.9.9", "this machine"), ("::1", "this machine"), ("0.0.0.0", "this machine"), ("::", "this machine"),
    ("169.254.1.1", "link-local"), ("fe80::1", "link-local"), ("fe80::1%eth0", "link-local"), ("224.0.0.1", "no single"),
    ("255.255.255.255", "no single"), ("::ffff:127.0.0.1", "this machine"), ("::ffff:169.254.169.254", "metadata"),
    ("64:ff9b::a9fe:a9fe", "metadata"), ("2002:7f00:1::", "this machine"), ("::127.0.0.1", "this machine"),
]  # fmt: skip


@pytest.mark.parametrize(("address", "why"), REFUSED)
def test_an_endpoint_at_a_forbidden_address_is_refused_whatever_its_name(address: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        check_endpoint("store.example.org", ["93.184.216.34", address], [])


@pytest.mark.parametrize("host", ["metadata.google.internal", "METADATA.google.internal.", "instance-data"])
def test_a_name_of_a_metadata_service_is_refused_though_it_can_not_be_looked_up(host: str) -> None:
    with pytest.raises(InvalidRequest, match="metadata"):
        check_endpoint(host, [], [])


@pytest.mark.parametrize("address", ["93.184.216.34", "10.1.2.3", "192.168.0.9", "2606:4700::1111"])
def test_other_addresses_are_taken(address: str) -> None:
    check_endpoint("store.example.org", [address], [])


@pytest.mark.parametrize("allowed", [["127.0.0.1"], ["127.0.0.0/8"], ["minio.local"], ["not-this", "127.0.0.1"]])
def test_the_operator_allows_by_name_address_or_network(allowed: list[str]) -> None:
    check_endpoint("minio.local", ["127.0.0.1"], allowed)
    with pytest.raises(InvalidRequest):
        check_endpoint("other.local", ["127.0.0.1", "169.254.169.254"], allowed)


async def test_the_endpoint_of_a_mount_is_looked_up_by_its_host(tmp_path: Path) -> None:
    settings = Settings(local_roots=str(tmp_path), endpoints_allowed="")  # type: ignore[call-arg]
    for endpoint in (
        "http://127.0.0.1:9000",
        "http://[::1]:9000",
        "http://localhost",
        "http://2130706433",
        "http://0x7f.1",
    ):
        with pytest.raises(InvalidRequest, match="this machine"):
            await check_location(settings, None, {"endpoint": endpoint})
