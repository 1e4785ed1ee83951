"""Rules of the drift protocol, each by the order of steps that breaks without it: on a real disk, against the real record."""

import hashlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from activities.drift import hashing
from activities.executors.contract.listing import ScanPage
from schema.drift.hints import Hint
from schema.ids import MountId
from schema.paths import NodePath
from schema.store import drift_hints, findings
from schema.store.pool import Pool
from tests.store.drift import Drifting, make_drifting
from tests.store.healing import ours, steps_of, uploaded
from tests.store.helpers import Protocol


@pytest.fixture
async def drifting(pool: Pool, tmp_path: Any, protocol: Protocol) -> Drifting:
    return await make_drifting(pool, tmp_path / "root", protocol, ("a", "b", "d/x"))


def forged(drifting: Drifting, path: str, content: str) -> None:
    """Written to, under the old time."""
    place = drifting.root / path
    was = place.stat()
    place.write_text(content)
    os.utime(place, ns=(was.st_atime_ns, was.st_mtime_ns))


async def hash_of(drifting: Drifting, path: str) -> bytes:
    [row] = await drifting.rows(
        "SELECT sha256 FROM filestore.node_documents WHERE mount_id = %s AND path_text = %s AND state <> 'deleted'",
        drifting.mount, path,
    )  # fmt: skip
    return bytes(row["sha256"])


# The look


async def test_hint(drifting: Drifting) -> None:
    """A hint says nothing by itself, and what no hint told of is found all the same."""
    async with drifting.pool.connection() as connection:
        await drift_hints.hint(connection, drifting.mount, [Hint(b"a", reason="gone"), Hint(b"nowhere")])
    drifting.write("b", "no hint of this")
    look = await drifting.begin(whole=False, hinted=True)
    await drifting.read(look)
    assert (await drifting.conclude(look)).counts == {}
    assert (await drifting.look()).counts == {"changed": 1}


async def test_own(drifting: Drifting) -> None:
    """What is staged, and whatever else lies below our own folder, is no drift."""
    uploaded(drifting, "n", b"staged, and nothing more")
    drifting.write(".filestore/stage/strange")
    assert ((await drifting.look()).counts, await drifting.findings()) == ({}, {})


async def test_root_fd(drifting: Drifting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mount goes away right after its sentinel was read, and is back before the look ends."""
    scan, away = drifting.executor.scan, drifting.root.with_name("away")

    def gone(*args: Any, **more: Any) -> Iterator[ScanPage]:
        drifting.root.rename(away)
        drifting.root.mkdir()
        try:
            yield from scan(*args, **more)
        finally:
            drifting.root.rmdir()
            away.rename(drifting.root)

    monkeypatch.setattr(drifting.executor, "scan", gone)
    for _ in range(2):
        look = await drifting.begin()
        if await drifting.read(look):
            await drifting.conclude(look)
    assert set((await drifting.states()).values()) == {"active"}


async def test_stable(drifting: Drifting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file goes from a directory that is still to be listed to one that was listed."""
    before, scan = await drifting.nodes(), drifting.executor.scan

    def late(path: NodePath, *args: Any, **more: Any) -> Iterator[ScanPage]:
        pages = list(scan(path, *args, **more))
        if (drifting.root / "d" / "x").exists() and not path.raw:
            drifting.rename("d/x", "x")
        yield from pages

    monkeypatch.setattr(drifting.executor, "scan", late)
    for _ in range(2):
        await drifting.look()
    assert (await drifting.nodes())["x"] == before["d/x"]


async def test_ctime(drifting: Drifting) -> None:
    forged(drifting, "a", "x")
    assert (await drifting.look()).counts == {"changed": 1}


async def test_restat(drifting: Drifting, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written to while it is hashed: nothing is recorded of it, and the next look has all of it."""
    drifting.write("a", "first")
    digest, before = hashing._digest, await hash_of(drifting, "a")

    def slow(content: Any, read: Any) -> bytes:
        found = digest(content, read)
        drifting.write("a", "second")
        return found

    monkeypatch.setattr(hashing, "_digest", slow)
    end = await drifting.look()
    assert (end.counts, end.waiting, await hash_of(drifting, "a")) == ({}, 1, before)
    monkeypatch.undo()
    await drifting.settle(1)
    assert await drifting.problems() == []


async def test_whose(drifting: Drifting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file takes another's name, a new one its own, and it is written to while it is hashed: its old name is not replaced."""
    before, digest = await drifting.nodes(), hashing._digest
    os.replace(drifting.root / "a", drifting.root / "b")
    drifting.write("a", "new")

    def written_to(content: Any, read: Any) -> bytes:
        found = digest(content, read)
        if found == hashlib.sha256(b"a").digest():
            os.utime(drifting.root / "b")
        return found

    monkeypatch.setattr(hashing, "_digest", written_to)
    assert (await drifting.look()).counts == {}
    monkeypatch.undo()
    await drifting.settle()
    after = await drifting.nodes()
    assert (after["b"], after["a"][0] in {id for id, _ in before.values()}) == (before["a"], False)


async def test_racy(drifting: Drifting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stamp that is not older than the grain of the clock: another write could have the same one."""
    monkeypatch.setattr(hashing, "GRAIN_NS", 60 * 10**9)
    before = await hash_of(drifting, "a")
    drifting.write("a", "just now")
    end = await drifting.look()
    assert (end.counts, end.waiting, await hash_of(drifting, "a")) == ({}, 1, before)


async def test_readback(drifting: Drifting) -> None:
    """A write hides behind the times that a command's commit stores: the next look reads once what they stand for."""
    steps = steps_of(drifting)
    applied = await steps.applied(await steps.begun(drifting.mount, [uploaded(drifting, "n", b"ours!!")]))
    forged(drifting, "n", "theirs")
    await steps.committed(applied)
    assert (await drifting.look()).counts.keys() == {"changed"}
    assert await drifting.problems() == []


# The commit of a look


async def test_claimed(drifting: Drifting) -> None:
    await steps_of(drifting).begun(drifting.mount, [uploaded(drifting, "a", b"ours", overwrite=True)])
    drifting.write("a", "theirs")
    end = await drifting.look()
    assert (end.counts, end.waiting, (await drifting.states())["a"]) == ({}, 1, "active")


async def test_since_failed(drifting: Drifting) -> None:
    """Its step was visible for a moment, while the look read."""
    steps = steps_of(drifting)
    look = await drifting.begin()
    begun = await steps.begun(drifting.mount, [uploaded(drifting, "a", b"ours", overwrite=True)])
    drifting.write("a", "theirs")
    await steps.run_begun(drifting.mount, begun)
    await drifting.read(look)
    end = await drifting.conclude(look)
    assert (end.counts, end.waiting) == ({}, 1)
    assert (await drifting.look()).counts == {"changed": 1}


async def test_version(drifting: Drifting) -> None:
    """Two looks at once: what the other has concluded since this one began is not concluded again."""
    drifting.write("a", "theirs")
    first = await drifting.begin()
    await drifting.read(first)
    assert (await drifting.look()).counts == {"changed": 1}
    drifting.write("a", "later")
    end = await drifting.conclude(first)
    assert (end.counts, end.waiting) == ({}, 1)
    await drifting.settle(1)
    assert await drifting.problems() == []


async def test_now(drifting: Drifting) -> None:
    """A node is made after the look began, and its file is renamed before it reads."""
    look = await drifting.begin()
    await steps_of(drifting).run(drifting.mount, [uploaded(drifting, "n", b"ours")])
    node = (await drifting.nodes())["n"]
    drifting.rename("n", "m")
    await drifting.read(look)
    assert "new" not in (await drifting.conclude(look)).counts
    await drifting.settle(1)
    assert ((await drifting.nodes())["m"], "n" in await drifting.nodes()) == (node, False)


async def test_intent(drifting: Drifting) -> None:
    """A staged file appears, and is renamed before its node exists: it is that node's, and no new one."""
    steps = steps_of(drifting)
    begun = await steps.begun(drifting.mount, [uploaded(drifting, "n", b"ours")])
    applied = await steps.applied(begun)
    drifting.rename("n", "m")
    end = await drifting.look()
    assert ("new" in end.counts, "m" in await drifting.nodes()) == (False, False)
    await steps.committed(applied)
    await drifting.settle(1)
    assert (await drifting.states()).get("m") == "active" and "n" not in await drifting.nodes()


async def test_together(drifting: Drifting) -> None:
    """A name is taken only where the move of its own file is concluded: that has to wait, for a command is at work there."""
    before = await drifting.nodes()
    await steps_of(drifting).begun(drifting.mount, [uploaded(drifting, "b", b"ours", overwrite=True)])
    os.replace(drifting.root / "a", drifting.root / "b")
    drifting.write("a", "new")
    end = await drifting.look()
    assert (end.counts, end.waiting, await drifting.nodes()) == ({}, 2, before)


async def test_id_first(drifting: Drifting) -> None:
    before = await drifting.nodes()
    for source, target in (("a", "t"), ("b", "a"), ("t", "b")):
        drifting.rename(source, target)
    assert (await drifting.look()).counts == {"moved": 2}
    after = await drifting.nodes()
    assert (after["a"], after["b"]) == (before["b"], before["a"])


# Heals and decisions


async def test_heal_cas(drifting: Drifting) -> None:
    """The finding was renewed after the heal had looked."""
    drifting.write("copy", "a")
    await drifting.policy(onChanged="restore")
    await drifting.settle(1)
    drifting.write("a", "theirs")
    await drifting.look()
    steps = steps_of(drifting)
    step = await steps.prepare(drifting.mount)
    drifting.write("a", "later")
    await drifting.look()
    begun = await steps.begun(drifting.mount, step.commands)
    assert (begun.go, len(begun.refused), (drifting.root / "a").read_text()) == ([], 1, "later")
    assert await ours(drifting, "STALE_FINDING") == 1


async def test_heal_claim(drifting: Drifting) -> None:
    """Its step is taken, and what it put there is removed before it is recorded: no look judges that meanwhile."""
    drifting.write("copy", "a")
    await drifting.policy(onChanged="restore", onMissing="restore")
    await drifting.settle(1)
    drifting.write("a", "theirs")
    await drifting.look()
    steps = steps_of(drifting)
    step = await steps.prepare(drifting.mount)
    applied = await steps.applied(await steps.begun(drifting.mount, step.commands))
    drifting.remove("a")
    assert (await drifting.look()).counts == {}
    await steps.committed(applied)
    assert (await steps.end(step), (await drifting.states())["a"]) == (1, "active")
    await drifting.settle()
    assert await drifting.findings() == {"a": ("missing", "waiting")}


async def test_heal_noreplace(drifting: Drifting) -> None:
    """Another file comes to the name between the look of the heal and its step."""
    drifting.write("copy", "a")
    await drifting.policy(onMissing="restore")
    await drifting.settle(1)
    drifting.remove("a")
    await drifting.settle()
    steps = steps_of(drifting)
    step = await steps.prepare(drifting.mount)
    begun = await steps.begun(drifting.mount, step.commands)
    drifting.write("a", "theirs")
    await steps.run_begun(drifting.mount, begun)
    assert (await steps.end(step), (drifting.root / "a").read_text()) == (0, "theirs")


async def test_heal_check(drifting: Drifting) -> None:
    """Another file has the name by the time of the step: it is not what the finding saw."""
    await drifting.policy(onNew="quarantine")
    drifting.write("stray", "one")
    await drifting.look()
    steps = steps_of(drifting)
    step = await steps.prepare(drifting.mount)
    begun = await steps.begun(drifting.mount, step.commands)
    drifting.write("other", "two")
    drifting.rename("other", "stray")
    await steps.run_begun(drifting.mount, begun)
    assert (await steps.end(step), (drifting.root / "stray").read_text()) == (0, "two")


async def test_dec_claim(drifting: Drifting) -> None:
    """While a heal, or any command, has a claim there or above, nothing is decided."""
    await steps_of(drifting).begun(drifting.mount, [uploaded(drifting, "d/x", b"ours", overwrite=True)])
    async with drifting.pool.connection() as connection:
        assert await findings.claimed(connection, MountId(drifting.mount), [b"d/x", b"d", b"a"]) == {b"d/x", b"d"}
