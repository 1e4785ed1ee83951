"""One file that can not be read, or not be recorded, is a finding: it keeps neither its look nor any other file waiting."""

import os
from pathlib import Path
from typing import Any

import pytest

from schema.errors import Forbidden, InvalidPath, MountOffline
from schema.paths import NodePath
from schema.store.pool import Pool
from tests.executors.bench_s3 import OutsideBucket
from tests.store.drift import Drifting, make_drifting
from tests.store.helpers import Protocol
from tests.store.test_drift_objects import bucket, drifting

__all__ = ["bucket", "drifting"]

FAILED = "SELECT count(*) AS n FROM filestore.looks WHERE mount_id = %s AND state = 'failed'"


@pytest.mark.parametrize(
    "error",
    [MountOffline("One key answers 403."), Forbidden("archived"), InvalidPath("odd"), OSError(5, "Input/output error")],
)
async def test_an_object_that_its_bucket_does_not_give_is_a_finding(
    drifting: Drifting, bucket: OutsideBucket, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    for path in (b"a", b"b", b"c"):
        bucket.put(path, path)
    opened = drifting.executor.open

    def refusing(path: NodePath) -> Any:
        if path.raw == b"b":
            raise error
        return opened(path)

    monkeypatch.setattr(drifting.executor, "open", refusing)
    for _ in range(2):
        assert (await drifting.look()).counts.keys() >= {"unreadable"}
        assert await drifting.findings() == {"b": ("unreadable", "open")}
        assert await drifting.states() == {"a": "active", "c": "active"}
    monkeypatch.undo()
    await drifting.look()
    assert (await drifting.findings(), (await drifting.states())["b"]) == ({}, "active")


async def test_a_bucket_that_does_not_answer_ends_the_look_and_changes_nothing(
    drifting: Drifting, bucket: OutsideBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put(b"a", b"a")

    def gone(*given: Any) -> Any:
        raise MountOffline("The store does not answer.")

    monkeypatch.setattr(drifting.executor, "open", gone)
    asked = iter([drifting.executor.check])
    monkeypatch.setattr(drifting.executor, "check", lambda: next(asked, gone)())
    assert not await drifting.read(await drifting.begin())
    assert (await drifting.findings(), await drifting.states()) == ({}, {})


async def test_what_lies_deeper_than_the_record_reaches_is_a_finding_and_all_else_is_recorded(
    pool: Pool, tmp_path: Path, protocol: Protocol
) -> None:
    drifting = await make_drifting(pool, tmp_path / "root", protocol, ["a"])
    held = deepened(drifting.root, "top", 13)
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=held))
    os.close(held)
    drifting.write("b")
    drifting.write("a", "changed")
    await drifting.settle()
    [(path, state)] = (await drifting.findings()).items()
    assert (state, 2600 < len(path) < 2900) == (("unreadable", "open"), True)
    states = await drifting.states()
    assert (states["a"], states["b"], max(map(len, states)) <= 2600) == ("active", "active", True)
    assert (await drifting.look()).counts == {"unreadable": 1}


async def test_a_known_tree_that_goes_too_deep_is_a_finding_where_it_arrived(
    pool: Pool, tmp_path: Path, protocol: Protocol
) -> None:
    drifting = await make_drifting(pool, tmp_path / "root", protocol, ["a"])
    deep = deepened(drifting.root, "deep", 6)
    held = deepened(drifting.root, "known", 6)
    await drifting.settle()
    before = await drifting.nodes()
    drifting.write("a", "changed")
    os.rename("known", "known", src_dir_fd=(root := os.open(drifting.root, os.O_RDONLY)), dst_dir_fd=deep)
    for one in (root, deep, held):
        os.close(one)
    for _ in range(2):
        await drifting.settle()
        [(path, state)] = (await drifting.findings()).items()
        assert (path.rpartition("/")[2], state) == ("known", ("unreadable", "open"))
        after = await drifting.nodes()
        assert (after["a"], after["known"][0]) == (before["a"], before["known"][0])
    assert await drifting.rows(FAILED, drifting.mount) == [{"n": 0}]


def deepened(root: Path, top: str, levels: int) -> int:
    """The descriptor of the last of some directories with long names that do not compress."""
    held = os.open(root, os.O_RDONLY)
    for name in (top, *(os.urandom(120).hex() for _ in range(levels))):
        os.mkdir(name, dir_fd=held)
        below = os.open(name, os.O_RDONLY, dir_fd=held)
        os.close(held)
        held = below
    return held
