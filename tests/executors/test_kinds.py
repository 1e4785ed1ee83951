"""What the place of a mount may be called, and which mounts would share files: refused in both directions."""

import os
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from activities.executors.kinds import KINDS, kind_of, prepare_storage
from schema.errors import ExecutorNotFound, InvalidRequest, MountOffline
from schema.ids import MountId
from schema.mounts import Mount
from tests.executors.bench_s3 import OutsideBucket
from tests.fix_s3 import S3Mount

SPOOL = "/nowhere/spool"


def local(root: str | Path, **changes: Any) -> Mount:
    mount = Mount(
        MountId(7), "main", "m", str(uuid.uuid4()), "local", str(root), None, None, "rw", "active", "here", 1, {}, {}
    )
    return replace(mount, **changes)


def in_bucket(bucket: str | None = "bucket", prefix: str | None = "p", **changes: Any) -> Mount:
    return replace(local(""), **{"backend_kind": "s3", "root_path": None, "bucket": bucket, "prefix": prefix} | changes)


def known(s3_mount: S3Mount, prefix: str, endpoint: str | None = None) -> Mount:
    config = s3_mount.server.config | ({"endpoint": endpoint} if endpoint else {})
    return in_bucket(s3_mount.bucket, prefix, config=config, secrets=s3_mount.server.secrets)


BAD = {
    "relative": local("a/b"),
    "dots": local("/a/../b"),
    "one dot": local("/a/./b"),
    "doubled": local("/a//b"),
    "empty": local(""),
    "a local bucket": local("/a", bucket="bucket"),
    "a local prefix": local("/a", prefix="p"),
    "no bucket": in_bucket(None),
    "short": in_bucket("ab"),
    "long": in_bucket("a" * 64),
    "capitals": in_bucket("Bucket"),
    "underscore": in_bucket("my_bucket"),
    "a path": in_bucket("a/b"),
    "two dots": in_bucket("a..b"),
    "blank": in_bucket("a b"),
    "an address": in_bucket("10.0.0.1"),
    "a last hyphen": in_bucket("abc-"),
    "not ASCII": in_bucket("bücher"),
    "a root": in_bucket(root_path="/a"),
    "dots in the prefix": in_bucket(prefix="a/../b"),
    "doubled in the prefix": in_bucket(prefix="a//b"),
    "our own name": in_bucket(prefix="a/.filestore"),
    "a prefix too long": in_bucket(prefix="p" * 901),
    "region": in_bucket(config={"region": "eu central"}),
    "region with a slash": in_bucket(config={"region": "eu/1"}),
    "region of a number": in_bucket(config={"region": 1}),
    "empty region": in_bucket(config={"region": ""}),
    "endpoint": in_bucket(config={"endpoint": "ftp://s3"}),
    "endpoint without a host": in_bucket(config={"endpoint": "http://"}),
    "endpoint with a bad port": in_bucket(config={"endpoint": "http://s3:99999"}),
    "endpoint with a query": in_bucket(config={"endpoint": "http://s3?a=b"}),
    "a misspelt name": in_bucket(config={"regoin": "eu"}),
    "half of a key": in_bucket(secrets={"accessKeyId": "a"}),
    "path style": in_bucket(config={"forcePathStyle": "yes"}),
    "bundle": in_bucket(config={"caBundle": 5}),
}  # fmt: skip
GOOD = {
    "root": local("/a/b"),
    "a last slash": local("/a/b/"),
    "name with dots": local("/a..b/c"),
    "everything": local("/"),
    "bucket": in_bucket(),
    "dotted": in_bucket("my.bucket-1"),
    "no prefix": in_bucket(prefix=None),
    "slashes": in_bucket(prefix="/a/b/"),
    "config": in_bucket(config={"region": "eu-central-1", "endpoint": "http://127.0.0.1:8333", "forcePathStyle": True}),
    "an odd region": in_bucket(config={"region": "US"}),
    "IPv6": in_bucket(config={"endpoint": "https://[::1]:8333/"}),
}  # fmt: skip


@pytest.mark.parametrize("mount", BAD.values(), ids=list(BAD))
def test_a_place_that_no_mount_can_have_is_refused(mount: Mount) -> None:
    with pytest.raises(InvalidRequest):
        KINDS[mount.backend_kind].check_place(mount)


@pytest.mark.parametrize("mount", GOOD.values(), ids=list(GOOD))
def test_a_place_that_a_mount_can_have_is_taken(mount: Mount) -> None:
    KINDS[mount.backend_kind].check_place(mount)


def test_an_unknown_kind_is_said() -> None:
    with pytest.raises(ExecutorNotFound, match="local, s3"):
        kind_of("tape")


@pytest.mark.parametrize("system", ["/proc", "/proc/self", "/sys", "/dev/pts"])
def test_what_the_kernel_shows_of_itself_is_no_mount(system: str) -> None:
    with pytest.raises(InvalidRequest):
        prepare_storage(local(system), SPOOL)
    assert not os.path.lexists(f"{system}/.filestore")


@pytest.mark.parametrize("inner", ["", "deep/er", "link"])
def test_local_mounts_that_contain_each_other_are_refused_in_both_directions(tmp_path: Path, inner: str) -> None:
    outer = tmp_path / "outer"
    (outer / "deep" / "er").mkdir(parents=True)
    (tmp_path / "beside").mkdir()
    (outer / "link").symlink_to(outer / "deep")
    one, two = local(outer, id=MountId(1)), local(outer / inner, id=MountId(2))
    for mount, other in ((one, two), (two, one)):
        with pytest.raises(InvalidRequest, match="never share files"):
            prepare_storage(mount, SPOOL, [other])
    assert list(outer.rglob(".filestore")) == [], "nothing is left of what was refused"
    prepare_storage(one, SPOOL, [replace(two, host_id="elsewhere"), local(tmp_path / "beside"), local(f"{outer}2")])


def test_a_directory_that_is_mounted_twice_is_the_same_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "in").mkdir(parents=True)
    (tmp_path / "b" / "in").mkdir(parents=True)
    stat = os.stat

    def twice(path: str) -> os.stat_result:
        return stat(str(path).replace(f"{tmp_path}/b", f"{tmp_path}/a"))

    monkeypatch.setattr("activities.executors.local.kind.os.stat", twice)
    kind = KINDS["local"]
    assert kind.meets(local(tmp_path / "a"), local(tmp_path / "b" / "in"), Path(SPOOL))
    assert kind.meets(local(tmp_path / "b" / "in"), local(tmp_path / "a"), Path(SPOOL))


@pytest.mark.parametrize(
    ("root", "spool"), [("data", "data/spool"), ("data/spool", "data/spool"), ("data/spool/in", "data/spool")]
)
def test_the_data_of_the_service_is_no_mount(tmp_path: Path, root: str, spool: str) -> None:
    (tmp_path / root).mkdir(parents=True)
    (tmp_path / spool).mkdir(parents=True, exist_ok=True)
    with pytest.raises(InvalidRequest, match="own data"):
        prepare_storage(local(tmp_path / root), str(tmp_path / spool))
    assert list(tmp_path.rglob(".filestore")) == []


def test_a_root_that_can_not_be_furnished_keeps_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(reserved: int) -> None:
        raise InvalidRequest("poor")

    monkeypatch.setattr("activities.executors.local.registration._refuse_poor", refuses)
    with pytest.raises(InvalidRequest, match="poor"):
        prepare_storage(local(tmp_path), SPOOL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inner", ["", "/deep/er"])
def test_prefixes_that_contain_each_other_are_refused_in_both_directions(s3_mount: S3Mount, inner: str) -> None:
    """Also where the bucket is reached by another name: the other's sentinel is read there."""
    other = replace(known(s3_mount, s3_mount.prefix), mount_uuid=s3_mount.uuid)
    spelled = s3_mount.server.endpoint.replace("127.0.0.1", "localhost")
    for endpoint in (None, s3_mount.server.endpoint + "/", spelled):
        mount = known(s3_mount, s3_mount.prefix + inner, endpoint)
        with pytest.raises(InvalidRequest, match="never share files"):
            prepare_storage(mount, SPOOL, [other])
    around = known(s3_mount, s3_mount.prefix.rpartition("/")[0], spelled)
    with pytest.raises(InvalidRequest, match="never share files"):
        prepare_storage(around, SPOOL, [other])
    assert OutsideBucket(s3_mount.open()).keys() == [".filestore/mount.json"]


def test_the_same_names_in_other_buckets_and_beside_each_other_do_not_meet(s3_mount: S3Mount, tmp_path: Path) -> None:
    mount = known(s3_mount, s3_mount.prefix)
    for other in (
        known(s3_mount, s3_mount.prefix + "2"),
        replace(mount, bucket="another-bucket"),
        replace(mount, config={"endpoint": "http://localhost:1"}, mount_uuid=str(uuid.uuid4())),  # not that sentinel
    ):
        assert not KINDS["s3"].meets(mount, other, tmp_path)


def test_a_bucket_that_is_not_there_is_a_bad_request_and_a_store_that_is_away_is_not(
    s3_mount: S3Mount, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match="does not exist"):
        prepare_storage(replace(known(s3_mount, "p"), bucket="no-such-bucket"), str(tmp_path))
    with pytest.raises(MountOffline):
        prepare_storage(known(s3_mount, "p", "http://127.0.0.1:1"), str(tmp_path))
