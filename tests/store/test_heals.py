"""Heals on a real disk: what was written over or removed comes back from our copy, what is unknown leaves its name; and nothing of
it is lost, or done to anything but what the finding has seen."""

import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from schema import faults
from schema.commands.command import Command, CommandKind
from schema.ids import NodeId, new_command_id
from schema.store import heals
from schema.store.pool import Pool
from tests.store.drift import Drifting, make_drifting
from tests.store.healing import healed, steps_of
from tests.store.helpers import Protocol
from tests.store.test_holds import hold

FILES = ("a", "b", "c", "d/a", "d/e/c")
HEALING = {"onNew": "quarantine", "onChanged": "restore", "onMissing": "restore"}


@pytest.fixture
async def drifting(pool: Pool, tmp_path: Path, protocol: Protocol) -> Drifting:
    """Of every file another copy lies in `copies`."""
    names = [*FILES, *(f"copies/{name.replace('/', '-')}" for name in FILES)]
    drifting = await make_drifting(pool, tmp_path / "root", protocol, names)
    for name in FILES:
        drifting.write(f"copies/{name.replace('/', '-')}", name)
    await drifting.settle(1)
    await drifting.policy(**HEALING)
    return drifting


def lies(drifting: Drifting, path: str) -> str | None:
    place = drifting.root / path
    return place.read_text() if place.is_file() else None


def lies_there(drifting: Drifting, path: str) -> bool:
    return os.path.lexists(drifting.root / path)


def kept(drifting: Drifting) -> set[str]:
    """All that the trash holds."""
    trash = drifting.root / ".filestore" / "trash"
    return {place.read_text() for place in trash.rglob("*") if place.is_file()}


async def test_what_policy_says_is_put_right_and_what_lay_there_is_kept(drifting: Drifting) -> None:
    before = await drifting.nodes()
    drifting.write("a", "theirs")
    drifting.remove("b")
    drifting.write("stray")
    drifting.write("strays/below/x")
    await drifting.settle()
    assert {path: state for path, (_, state) in (await drifting.findings()).items()} == dict.fromkeys(
        ("a", "b", "stray", "strays"), "waiting"
    )
    assert await healed(drifting) == 4
    assert (lies(drifting, "a"), lies(drifting, "b"), lies(drifting, "stray")) == ("a", "b", None)
    assert not (drifting.root / "strays").exists()
    assert kept(drifting) >= {"theirs", "stray", "strays/below/x"}
    after = await drifting.nodes()
    assert (after["a"], after["b"]) == (before["a"], before["b"])
    assert (await drifting.findings(), await drifting.problems()) == ({}, [])
    assert (await steps_of(drifting).prepare(drifting.mount)).wait_seconds is None
    assert (await drifting.look()).counts.keys() <= {"touched"}
    entries = await drifting.rows(
        "SELECT kind FROM filestore.journal_entries WHERE mount_id = %s AND kind <> 'reconcileNode'", drifting.mount
    )
    assert sorted(row["kind"] for row in entries) == ["deleteNode", "deleteNode", "restoreNode", "restoreNode"]


async def test_the_way_back_of_a_heal_leads_to_what_lay_there(drifting: Drifting) -> None:
    drifting.write("a", "theirs")
    drifting.write("stray")
    await drifting.settle()
    await healed(drifting)
    node, _ = (await drifting.nodes())["a"]
    [row] = await drifting.rows("SELECT version FROM filestore.nodes WHERE id = %s", node)
    [gone] = await drifting.rows(
        "SELECT id FROM filestore.nodes WHERE mount_id = %s AND name = 'stray' AND state = 'deleted'", drifting.mount
    )
    back = [
        command(drifting, "a", node_id=NodeId(node), content_version=row["version"] - 1),
        command(drifting, "stray", node_id=NodeId(gone["id"])),
    ]
    await steps_of(drifting).run(drifting.mount, back)
    assert (lies(drifting, "a"), lies(drifting, "stray")) == ("theirs", "stray")
    assert (await drifting.problems(), (await drifting.look()).counts.keys() <= {"touched"}) == ([], True)


def command(drifting: Drifting, path: str, **more: Any) -> Command:
    return Command(new_command_id(), CommandKind.RESTORE, drifting.mount, path, "main", "a client", 0, **more)


async def test_holds_and_freezes_bind_a_heal(drifting: Drifting) -> None:
    await hold(drifting.pool, drifting.mount, "a")
    drifting.write("a", "theirs")
    drifting.write("b", "theirs")
    await drifting.settle()
    [freeze] = await drifting.rows(
        """INSERT INTO filestore.freezes (tenant, mount_id, reason, principal, key)
           VALUES ('main', %s, 'moving house', 'ann', %s) RETURNING id""",
        drifting.mount, f"freeze {drifting.mount}",
    )  # fmt: skip
    assert await healed(drifting) == 0
    assert set((await drifting.findings()).values()) == {("changed", "waiting")}
    lift = "UPDATE filestore.freezes SET lifted_at = now(), lifted_by = 'ann' WHERE id = %s RETURNING id"
    await drifting.rows(lift, freeze["id"])
    await drifting.rows("UPDATE filestore.findings SET due_at = now() WHERE mount_id = %s RETURNING id", drifting.mount)
    assert await healed(drifting) == 1
    assert (lies(drifting, "a"), lies(drifting, "b")) == ("theirs", "b")
    query = "SELECT state::text, problem FROM filestore.findings WHERE ended_at IS NULL AND mount_id = %s"
    [row] = await drifting.rows(query, drifting.mount)
    assert (row["state"], row["problem"]["code"]) == ("open", "HELD")


async def test_a_directory_that_is_gone_comes_back_with_all_it_held(drifting: Drifting) -> None:
    before = await drifting.nodes()
    drifting.remove("d")
    await drifting.settle()
    assert await drifting.findings() == {"d": ("missing", "waiting")}
    assert await healed(drifting) == 4
    assert (lies(drifting, "d/a"), lies(drifting, "d/e/c")) == ("d/a", "d/e/c")
    assert await drifting.nodes() == before
    assert (await drifting.findings(), await drifting.problems()) == ({}, [])


async def test_what_a_directory_held_comes_back_though_a_look_has_asked_about_it_since(drifting: Drifting) -> None:
    drifting.remove("d")
    await drifting.settle()
    steps = steps_of(drifting)
    step = await steps.prepare(drifting.mount)
    await steps.run(drifting.mount, step.commands)
    await drifting.policy(onMissing="ask")
    await drifting.look()
    assert (await drifting.findings())["d/a"] == ("missing", "open")
    assert await steps.end(step) + await healed(drifting) == 4
    assert (lies(drifting, "d/a"), lies(drifting, "d/e/c")) == ("d/a", "d/e/c")


async def test_without_a_copy_a_finding_waits_for_a_person_and_keeps_no_other_waiting(drifting: Drifting) -> None:
    drifting.remove("copies/a")
    drifting.write("a", "theirs")
    drifting.write("b", "theirs too")
    await drifting.settle()
    assert await healed(drifting) == 1
    assert (lies(drifting, "a"), lies(drifting, "b")) == ("theirs", "b")
    found = await drifting.rows(
        "SELECT path, state::text, problem->>'code' AS code FROM filestore.findings WHERE ended_at IS NULL AND mount_id = %s",
        drifting.mount,
    )
    told = {bytes(row["path"]): (row["state"], row["code"]) for row in found}
    assert told[b"a"] == ("open", "CONTENT_EXPIRED")


async def test_links_and_special_files_leave_like_any_other_stray_and_are_not_followed(drifting: Drifting) -> None:
    outside = drifting.root.with_name("outside")
    outside.write_text("not ours")
    os.symlink(outside, drifting.root / "link")
    os.symlink("nowhere", drifting.root / "d" / "broken")
    os.mkfifo(drifting.root / "pipe")
    file, _ = (await drifting.nodes())["c"]
    drifting.remove("c")
    os.symlink(outside, drifting.root / "c")
    drifting.remove("d/e")
    drifting.write("d/e", "a file where a directory was")
    await drifting.settle()
    assert {path: kind for path, (kind, _) in (await drifting.findings()).items()} == dict.fromkeys(
        ("link", "d/broken", "pipe", "c", "d/e"), "new"
    )
    assert await healed(drifting) == 5
    assert not [path for path in ("link", "d/broken", "pipe", "c") if lies_there(drifting, path)]
    await drifting.settle(3)
    assert await healed(drifting) == 3, "our copies of what strays stood for come back"
    assert lies(drifting, "d/e/c") == "d/e/c"
    assert (await drifting.nodes())["c"] == (file, "active")
    assert (lies(drifting, "c"), outside.read_text(), await drifting.problems()) == ("c", "not ours", [])
    gone = await drifting.rows(
        """SELECT id, kind::text FROM filestore.nodes WHERE mount_id = %s AND state = 'deleted' AND kind IN ('symlink', 'special')
            ORDER BY id""",
        drifting.mount,
    )
    assert sorted(row["kind"] for row in gone) == ["special", "symlink", "symlink", "symlink"]
    [pipe] = [row["id"] for row in gone if row["kind"] == "special"]
    await steps_of(drifting).run(drifting.mount, [command(drifting, "pipe", node_id=NodeId(pipe))])
    assert (drifting.root / "pipe").is_fifo()


async def test_what_changed_since_it_was_seen_is_seen_anew_and_not_healed(drifting: Drifting) -> None:
    drifting.write("a", "theirs")
    drifting.write("stray", "one")
    await drifting.settle()
    drifting.write("a", "theirs, later")
    drifting.write("stray", "two")
    assert await healed(drifting) == 0
    assert (lies(drifting, "a"), lies(drifting, "stray")) == ("theirs, later", "two")
    hints = await drifting.rows("SELECT path FROM filestore.drift_hints WHERE mount_id = %s", drifting.mount)
    assert {bytes(row["path"]) for row in hints} == {b"a", b"stray"}
    await drifting.settle()
    assert await healed(drifting) == 2
    assert kept(drifting) >= {"theirs, later", "two"}


async def test_a_stray_that_became_ours_is_not_taken_away_by_its_old_finding(drifting: Drifting) -> None:
    drifting.write("stray")
    await drifting.settle()
    steps = steps_of(drifting)
    step = await steps.prepare(drifting.mount)
    await drifting.policy()
    await drifting.look()
    assert (await drifting.states())["stray"] == "active"
    await steps.run(drifting.mount, step.commands)
    assert (await steps.end(step), lies(drifting, "stray")) == (0, "stray")


async def test_a_place_that_is_ignored_by_now_is_not_touched(drifting: Drifting) -> None:
    drifting.write("a", "theirs")
    drifting.write("d/stray")
    await drifting.settle()
    steps = steps_of(drifting)
    step = await steps.prepare(drifting.mount)
    await drifting.policy(**HEALING, ignore=["d/", "a"])
    await steps.run(drifting.mount, step.commands)
    assert await steps.end(step) == 0
    await drifting.rows("UPDATE filestore.findings SET due_at = now() WHERE mount_id = %s RETURNING id", drifting.mount)
    assert await healed(drifting) == 0
    assert (lies(drifting, "a"), lies(drifting, "d/stray")) == ("theirs", "d/stray")
    assert set((await drifting.findings()).values()) == {("changed", "ignored"), ("new", "ignored")}


async def test_what_a_stranger_writes_while_a_heal_steps_is_put_back(
    drifting: Drifting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It forges the time, so that only the bytes tell; our own rename has moved the ctime."""
    drifting.write("a", "theirs")
    drifting.write("stray", "first!")
    await drifting.settle()
    steps = steps_of(drifting)
    step = await steps.prepare(drifting.mount)
    begun = await steps.begun(drifting.mount, step.commands)

    def forge(point: str, subject: str = "") -> None:
        if point == "apply.act":
            place = drifting.root / subject
            was = place.stat()
            place.write_text("forged")
            os.utime(place, ns=(was.st_atime_ns, was.st_mtime_ns))

    monkeypatch.setattr(faults, "reach", forge)
    await steps.run_begun(drifting.mount, begun)
    assert await steps.end(step) == 0
    assert (lies(drifting, "a"), lies(drifting, "stray")) == ("forged", "forged")
    query = "SELECT path, node_id, before FROM filestore.journal_entries WHERE mount_id = %s AND outcome = 'failed' ORDER BY path"
    told = [(bytes(row["path"]), row["node_id"], row["before"]) for row in await drifting.rows(query, drifting.mount)]
    ours, _ = (await drifting.nodes())["a"]
    assert told == [(b"a", ours, None), (b"stray", None, None)], "the versions that were not made are not told of"
    assert [problem for problem in await drifting.problems() if problem.startswith("journal")] == []


async def test_a_tree_that_is_deleted_promises_no_content_that_was_gone_before(drifting: Drifting) -> None:
    """Of a file that is missing, and of a version that another program wrote over."""
    await drifting.policy()
    drifting.remove("d/e/c")
    drifting.write("d/a", "theirs")
    await drifting.settle()
    assert ((await drifting.states())["d/e/c"], await drifting.problems()) == ("missing", [])
    gone = Command(new_command_id(), CommandKind.DELETE, drifting.mount, "d", "main", "a client", 0, recursive=True)
    await steps_of(drifting).run(drifting.mount, [gone])
    kept_of = """SELECT convert_from(v.name, 'UTF8') AS name, v.version, v.content_until > now() AS kept FROM filestore.versions v
                   JOIN filestore.nodes n ON n.id = v.node_id
                  WHERE n.mount_id = %s AND n.state = 'deleted' AND v.kind = 'file' AND v.state <> 'deleted' ORDER BY 1, 2"""
    told = [(row["name"], row["version"], row["kept"]) for row in await drifting.rows(kept_of, drifting.mount)]
    assert told == [("a", 1, False), ("a", 2, True), ("c", 1, False), ("c", 2, False)]
    assert await drifting.problems() == []


@pytest.mark.parametrize("policy", ["import", "quarantine"])
async def test_what_a_stranger_takes_out_of_a_tree_that_leaves_is_in_the_trash_no_longer(
    drifting: Drifting, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """A tree leaves by one rename: nothing looks again at what is in it."""
    await drifting.policy(onNew=policy)

    def take(point: str, subject: str = "") -> None:
        if point == "apply.act":
            drifting.rename("d/e/c", "taken")

    monkeypatch.setattr(faults, "reach", take)
    gone = Command(new_command_id(), CommandKind.DELETE, drifting.mount, "d", "main", "a client", 0, recursive=True)
    await steps_of(drifting).run(drifting.mount, [gone])
    monkeypatch.undo()
    assert [problem for problem in await drifting.problems() if problem.startswith("kept d/e/c")] != []
    await drifting.settle()
    await healed(drifting)
    assert await drifting.problems() == []
    assert "d/e/c" in kept(drifting) | {lies(drifting, "taken")}


async def test_the_brake_holds_our_own_heals_until_a_yes(drifting: Drifting) -> None:
    await drifting.policy(**HEALING, brake={"share": 1.0, "count": 1})
    drifting.write("x")
    drifting.write("y")
    await drifting.settle()
    assert await healed(drifting) == 0
    [held] = await drifting.rows(
        "SELECT id, reason, plan FROM filestore.looks WHERE mount_id = %s AND state = 'waiting'", drifting.mount
    )
    assert (held["reason"], held["plan"]["changes"], held["plan"]["counts"]) == ("heal", 2, {"quarantine": 2})
    async with drifting.pool.connection() as connection:
        assert await heals.answer(connection, drifting.mount, held["id"], "a person", yes=True)
        assert not await heals.answer(connection, drifting.mount, held["id"], "a person", yes=True)
    assert await healed(drifting) == 2


async def test_a_claimed_place_waits_and_is_healed_afterwards(drifting: Drifting) -> None:
    drifting.write("b", "theirs")
    drifting.write("c", "theirs")
    await drifting.settle()
    steps = steps_of(drifting)
    step = await steps.prepare(drifting.mount)
    first = await steps.begun(drifting.mount, step.commands[:1])
    assert len(first.go) == 1
    again = await steps.prepare(drifting.mount)
    await steps.run(drifting.mount, again.commands)
    assert await steps.end(again) == 1
    await steps.run_begun(drifting.mount, first)
    assert (await steps.end(step), await drifting.findings()) == (1, {})
    assert (lies(drifting, "b"), lies(drifting, "c")) == ("b", "c")


async def test_links_and_pipes_that_are_gone_or_lead_elsewhere_come_back(drifting: Drifting) -> None:
    await drifting.policy()
    for path in ("link", "d/other"):
        os.symlink(f"nowhere/{path}", drifting.root / path)
    os.mkfifo(drifting.root / "pipe")
    (drifting.root / "pipe").chmod(0o620)
    await drifting.settle()
    before = await drifting.nodes()
    await drifting.policy(**HEALING)
    drifting.remove("link")
    drifting.remove("pipe")
    drifting.remove("d/other")
    os.symlink("elsewhere", drifting.root / "d" / "other")
    await drifting.settle()
    assert await drifting.findings() == {
        "link": ("missing", "waiting"), "pipe": ("missing", "waiting"), "d/other": ("changed", "waiting"),
    }  # fmt: skip
    assert await healed(drifting) == 3
    assert [os.readlink(drifting.root / path) for path in ("link", "d/other")] == ["nowhere/link", "nowhere/d/other"]
    assert (stat.S_IMODE((pipe := drifting.root / "pipe").stat().st_mode), pipe.is_fifo()) == (0o620, True)
    assert (await drifting.nodes(), await drifting.problems()) == (before, [])
    await drifting.settle()
    assert (await drifting.findings(), (await drifting.look()).counts) == ({}, {})
    kept = [os.readlink(one) for one in (drifting.root / ".filestore" / "trash").rglob("*") if one.is_symlink()]
    assert kept == ["elsewhere"]


async def test_a_socket_that_is_gone_waits_for_a_person(drifting: Drifting) -> None:
    await drifting.policy()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(f"/proc/self/fd/{(held := os.open(drifting.root, os.O_RDONLY))}/door")
    os.close(held)
    await drifting.settle()
    await drifting.policy(**HEALING)
    drifting.remove("door")
    await drifting.settle()
    assert await healed(drifting) == 0
    [row] = await drifting.rows(
        "SELECT state::text, problem->>'code' AS code FROM filestore.findings WHERE ended_at IS NULL AND mount_id = %s",
        drifting.mount,
    )
    assert (row["state"], row["code"]) == ("open", "NOT_SUPPORTED")


async def test_a_directory_that_holds_an_ignored_place_stays(drifting: Drifting) -> None:
    drifting.write("strays/x")
    drifting.write("strays/below/keep")
    await drifting.policy(**HEALING, ignore=["strays/below/keep"])
    await drifting.settle()
    assert await healed(drifting) == 0
    assert lies(drifting, "strays/below/keep") and lies(drifting, "strays/x")
    [row] = await drifting.rows(
        "SELECT state::text, problem->>'code' AS code FROM filestore.findings WHERE ended_at IS NULL AND mount_id = %s",
        drifting.mount,
    )
    assert (row["state"], row["code"]) == ("open", "NOT_SUPPORTED")


async def test_a_finding_is_ignored_for_as_long_as_the_policy_says(drifting: Drifting) -> None:
    await drifting.policy(onNew="ask", onChanged="ask")
    drifting.write("a", "theirs")
    drifting.write("stray")
    drifting.write("heals", "a stray that waits for its heal")
    await drifting.settle()
    await drifting.rows("UPDATE filestore.findings SET state = 'waiting', plan = 0 WHERE shown = 'heals' RETURNING id")
    asked = {"a": ("changed", "open"), "stray": ("new", "open")}
    await drifting.policy(onNew="ask", onChanged="ask", ignore=["a", "str*", "heals"])
    assert await healed(drifting) == 0
    await drifting.settle()
    assert await drifting.findings() == {
        "a": ("changed", "ignored"), "stray": ("new", "ignored"), "heals": ("new", "ignored"),
    }  # fmt: skip
    await drifting.policy(onNew="ask", onChanged="ask")
    drifting.remove("heals")
    await drifting.settle()
    assert await drifting.findings() == asked
    drifting.write("a", "a")
    drifting.remove("stray")
    await drifting.policy(onNew="ask", onChanged="ask", ignore=["a", "str*"])
    await drifting.settle()
    await drifting.policy(onNew="ask", onChanged="ask")
    await drifting.settle()
    assert await drifting.findings() == {}
