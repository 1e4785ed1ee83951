"""Looks at a real disk bring a real record there: nodes, versions, totals, journal and events, and the check agrees."""

import hashlib
import os
from pathlib import Path

import pytest

from schema.store.pool import Pool
from tests.store.drift import Drifting, make_drifting
from tests.store.helpers import Protocol, upload

FILES = ("a", "b", "d/a", "d/b", "d/e/c")


@pytest.fixture
async def drifting(pool: Pool, tmp_path: Path, protocol: Protocol) -> Drifting:
    return await make_drifting(pool, tmp_path / "root", protocol, FILES)


async def test_a_first_look_records_what_lies_there(drifting: Drifting) -> None:
    assert set(await drifting.nodes()) == {"a", "b", "d", "d/a", "d/b", "d/e", "d/e/c"}
    assert set((await drifting.states()).values()) == {"active"}
    assert await drifting.problems() == []
    assert ("node.created", "d/e/c") in await drifting.events()


async def test_a_look_at_what_did_not_change_writes_nothing(drifting: Drifting) -> None:
    await drifting.look()
    before = await drifting.rows("SELECT max(id) AS id FROM filestore.journal_entries")
    end = await drifting.look()
    assert (end.counts, end.changes) == ({}, 0)
    assert await drifting.rows("SELECT max(id) AS id FROM filestore.journal_entries") == before


async def test_new_changed_moved_and_missing_files_are_followed(drifting: Drifting) -> None:
    before = await drifting.nodes()
    drifting.write("a", "other")
    drifting.rename("b", "moved")
    drifting.remove("d/a")
    drifting.write("new/file")
    first = await drifting.look()
    assert (first.counts["changed"], first.counts["moved"], first.counts["new"], first.again) == (1, 1, 2, True)
    assert (await drifting.states())["d/a"] == "inconsistent"
    await drifting.look()
    after = await drifting.nodes()
    assert after["moved"] == before["b"]
    assert after["a"] == before["a"]
    assert after["d/a"] == (before["d/a"][0], "missing")
    assert await drifting.problems() == []
    events = await drifting.events()
    assert events.count(("node.missing", "d/a")) == 1
    assert (
        ("drift.detected", "d/a") in events and ("node.reconciled", "a") in events and ("node.moved", "moved") in events
    )


async def test_a_moved_tree_is_one_move(drifting: Drifting) -> None:
    before = await drifting.nodes()
    drifting.rename("d", "x/d2")
    end = await drifting.look()
    assert (end.counts["moved"], end.counts["new"]) == (1, 1)
    after = await drifting.nodes()
    assert {after[f"x/d2/{name}"] for name in ("a", "b", "e", "e/c")} == {
        before[f"d/{n}"] for n in ("a", "b", "e", "e/c")
    }
    assert await drifting.problems() == []
    assert (await drifting.look()).counts == {}


async def test_directories_that_swap_and_move_into_each_other_keep_their_nodes(drifting: Drifting) -> None:
    drifting.write("f/x")
    await drifting.settle(1)
    before = await drifting.nodes()
    drifting.rename("d", "t")
    drifting.rename("f", "d")
    drifting.rename("t", "d/f")
    drifting.write("d/f/new")
    await drifting.look()
    after = await drifting.nodes()
    assert (after["d"], after["d/f"], after["d/x"]) == (before["f"], before["d"], before["f/x"])
    assert after["d/f/e/c"] == before["d/e/c"]
    assert await drifting.problems() == []


async def test_a_file_that_comes_back_is_its_old_node(drifting: Drifting, tmp_path: Path) -> None:
    before = await drifting.nodes()
    drifting.rename("a", "../away")
    await drifting.settle()
    assert (await drifting.states())["a"] == "missing"
    drifting.rename("../away", "d/back")
    await drifting.settle(1)
    assert (await drifting.nodes())["d/back"] == before["a"]
    assert await drifting.problems() == []


async def test_a_tree_that_is_gone_is_missing_whole_and_what_left_it_before_is_not(drifting: Drifting) -> None:
    before = await drifting.nodes()
    drifting.rename("d/e/c", "saved")
    drifting.remove("d")
    await drifting.settle()
    states = await drifting.states()
    assert {path: state for path, state in states.items() if path.startswith("d")} == dict.fromkeys(
        ("d", "d/a", "d/b", "d/e"), "missing"
    )
    assert (await drifting.nodes())["saved"] == before["d/e/c"]
    assert await drifting.problems() == []


async def test_a_file_whose_name_a_known_one_takes_loses_its_name(drifting: Drifting) -> None:
    before = await drifting.nodes()
    os.replace(drifting.root / "a", drifting.root / "b")
    await drifting.settle()
    after = await drifting.nodes()
    assert after["b"] == before["a"]
    lost = [path for path, node in after.items() if node[0] == before["b"][0]]
    assert lost == [f"b (missing {before['b'][0]})"] and after[lost[0]][1] == "missing"
    assert await drifting.problems() == []


async def test_a_directory_in_the_place_of_a_file_and_the_other_way_round(drifting: Drifting) -> None:
    drifting.remove("a")
    drifting.write("a/below")
    drifting.remove("d")
    drifting.write("d")
    await drifting.settle(3)
    states = await drifting.states()
    assert (states["a"], states["a/below"], states["d"]) == ("active", "active", "active")
    assert sorted(state for path, state in states.items() if "(missing" in path) == ["missing"] * 6
    assert await drifting.problems() == []


async def test_what_a_directory_without_a_name_still_holds_is_found_at_any_depth(drifting: Drifting) -> None:
    """A command at work keeps a file from being judged with the directories above it."""
    left = (await drifting.nodes())["d/e/c"][0]
    drifting.remove("d")
    drifting.write("d")
    await drifting.settle(3)
    brought_back = "UPDATE filestore.nodes SET state = 'active', missed_in = NULL WHERE id = %s RETURNING id"
    await drifting.rows(brought_back, left)
    await drifting.settle(2)
    assert {state for path, state in (await drifting.states()).items() if "(missing" in path} == {"missing"}


async def test_any_name_and_any_kind_of_file_is_recorded_and_none_is_followed(
    drifting: Drifting, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_text("secret")
    root = os.fsencode(drifting.root)
    os.symlink(tmp_path / "outside", drifting.root / "link")
    os.symlink(tmp_path, drifting.root / "folder-link")
    os.mkfifo(drifting.root / "pipe")
    for name in (b"back\\slash", b"\xff\xfe", b"n" * 255, b"new\nline", b"Case", b"case", b"%like_"):
        os.close(os.open(root + b"/" + name, os.O_CREAT | os.O_WRONLY))
    await drifting.settle(1)
    kinds = {row["name"]: row["kind"] for row in await drifting.rows(
        "SELECT name, kind::text FROM filestore.nodes WHERE mount_id = %s", drifting.mount
    )}  # fmt: skip
    assert (kinds[b"link"], kinds[b"folder-link"], kinds[b"pipe"], kinds[b"\xff\xfe"]) == (
        "symlink", "symlink", "special", "file",
    )  # fmt: skip
    assert {b"back\\slash", b"n" * 255, b"new\nline", b"Case", b"case", b"%like_"} <= set(kinds)
    assert await drifting.problems() == []
    assert (await drifting.look()).counts == {}


async def test_a_hard_link_is_a_finding_and_no_second_node(drifting: Drifting) -> None:
    os.link(drifting.root / "a", drifting.root / "again")
    await drifting.settle()
    assert (await drifting.findings(), "again" in await drifting.nodes()) == ({"again": ("linked", "open")}, False)
    drifting.remove("again")
    await drifting.settle(1)
    assert await drifting.findings() == {}


async def test_a_mount_that_is_not_there_loses_nothing(drifting: Drifting) -> None:
    drifting.root.rename(drifting.root.with_name("unmounted"))
    drifting.root.mkdir()
    look = await drifting.begin()
    assert not await drifting.read(look)
    assert set((await drifting.states()).values()) == {"active"}
    drifting.root.rmdir()
    drifting.root.with_name("unmounted").rename(drifting.root)
    assert (await drifting.look()).counts == {}


async def test_a_command_that_works_meanwhile_is_not_drift(drifting: Drifting) -> None:
    look = await drifting.begin()
    assert await drifting.read(look)
    await drifting.protocol.run(drifting.mount, upload(drifting.mount, "fresh", 1))
    drifting.write("fresh", "x")
    end = await drifting.conclude(look)
    assert end.counts == {}
    assert (await drifting.states())["fresh"] == "active"


async def test_a_conclusion_that_is_repeated_is_the_same_one(drifting: Drifting) -> None:
    drifting.remove("a")
    look = await drifting.begin()
    await drifting.read(look)
    first, again = await drifting.conclude(look), await drifting.conclude(look)
    assert (first.counts, again.counts) == ({"missed": 1}, {"missed": 1})
    assert (await drifting.states())["a"] == "inconsistent"


async def test_a_brake_holds_an_audit_that_would_change_too_much(drifting: Drifting) -> None:
    await drifting.policy(brake={"share": 0.3, "count": 100})
    drifting.remove("d")
    end = await drifting.look()
    assert (end.state, end.changes) == ("waiting", 5)
    assert set((await drifting.states()).values()) == {"active"}


async def test_what_a_person_decides_stays_a_finding(drifting: Drifting) -> None:
    await drifting.policy(onNew="ask", onChanged="ask", onMissing="ask")
    drifting.write("a", "other")
    drifting.write("x/new")
    drifting.remove("b")
    await drifting.settle()
    assert await drifting.findings() == {"a": ("changed", "open"), "x": ("new", "open"), "b": ("missing", "open")}
    states = await drifting.states()
    assert (states["a"], states["b"], "x" in states) == ("inconsistent", "missing", False)
    versions = await drifting.rows("SELECT version FROM filestore.findings WHERE mount_id = %s", drifting.mount)
    assert [row["version"] for row in versions] == [1, 1, 1], "what is seen again is no other finding"


async def test_a_look_at_one_name_takes_nothing_for_gone(drifting: Drifting) -> None:
    drifting.remove("a")
    drifting.write("d/a", "other")
    end = await drifting.look("a", "d/a", whole=False, subtree=False, reason="drift")
    assert (end.unsure, end.counts["changed"]) == (True, 1)
    assert (await drifting.states())["a"] == "inconsistent"


async def test_an_ignored_place_is_left_alone(drifting: Drifting) -> None:
    await drifting.policy(ignore=["*.tmp", "d/"])
    drifting.write("x.tmp")
    drifting.write("d/a", "other")
    drifting.write("y")
    await drifting.settle()
    states = await drifting.states()
    assert ("x.tmp" in states, states["d/a"], "y" in states) == (False, "active", True)


async def test_content_that_another_program_wrote_over_is_not_taken_for_what_is_kept_later(drifting: Drifting) -> None:
    first = hashlib.sha256(b"a").digest()
    drifting.write("a", "theirs")
    await drifting.settle(1)
    sent = upload(drifting.mount, "a", 3, overwrite=True)
    await drifting.protocol.run(drifting.mount, sent)
    query = """SELECT s.version, s.sha256, s.content_place IS NOT NULL AS kept, s.content_until <= now() AS lost
                 FROM filestore.snapshots s WHERE s.node_id = %s ORDER BY s.version"""
    versions = await drifting.rows(query, (await drifting.nodes())["a"][0])
    assert [(row["sha256"] == first, row["kept"], row["lost"]) for row in versions[:2]] == [
        (True, False, True),
        (False, True, False),
    ]
