"""Two folders as two servers, on the real service: what one writes the other has, whatever is killed, and nothing is lost."""

import os
import random
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fix_s3_service import MountInBucket
from tests.fix_service import MountOfTest, Service, until
from tests.sync.agents import AgentOfTest, become_one
from tests.sync.test_projects import ProjectOfTest, sha_of
from tests.sync.test_tiers_of_projects import work

Pair = tuple[ProjectOfTest, AgentOfTest, AgentOfTest]


def contents_of(project: ProjectOfTest) -> tuple[int, int]:
    """How many, and their bytes, in whatever state."""
    states = project.shown()["objects"].values()
    return sum(one["objects"] for one in states), sum(one["sizeBytes"] for one in states)


@pytest.fixture
def pair(service: Service, mount: MountOfTest, tmp_path: Path) -> Iterator[Pair]:
    project = ProjectOfTest(service, mount)
    agents = [AgentOfTest(service, project.name, name, tmp_path / name) for name in ("a", "b")]
    yield project, agents[0].start(), agents[1].start()
    for agent in agents:
        agent.kill()


def test_what_one_folder_gets_the_other_has(pair: Pair) -> None:
    """One story, because each step begins from the folders as the last one left them."""
    project, a, b = pair
    # Files of all sizes, empty directories, permissions, odd names; a link and what is left out stay at home.
    a.write("f", b"one")
    a.write("d/e/deep", b"deep")
    a.write("empty", b"")
    a.write("large", os.urandom(3 << 20))
    (a.folder / "nothing").mkdir()
    a.write("script", b"#!/bin/sh\n")
    (a.folder / "script").chmod(0o755)
    with open(os.fsencode(a.folder) + b"/odd \xff\n name", "wb") as file:
        file.write(b"odd")
    a.write(".fsignore", b"*.tmp\n")
    b_tree = become_one([a, b], lambda tree: len(tree) == 10)
    assert b_tree["script"][1] == 0o755 and b_tree["nothing"][0] is None
    a.write("left.tmp", b"out")
    (a.folder / "link").symlink_to("f")
    # Both ways, a rename without bytes, deletions.
    b.write("from-b", b"b")
    assert until(lambda: (a.folder / "from-b").exists())
    assert not (b.folder / "left.tmp").exists() and not (b.folder / "link").is_symlink()
    (a.folder / "left.tmp").unlink()
    (a.folder / "link").unlink()
    before = contents_of(project)
    os.rename(a.folder / "d", a.folder / "moved")
    become_one([a, b], lambda tree: "moved/e/deep" in tree and "d" not in tree)
    assert contents_of(project) == before
    assert "move" in [one["kind"] for one in project.changes()["changes"]]
    shutil.rmtree(b.folder / "moved")
    (b.folder / "f").unlink()
    become_one([a, b], lambda tree: "moved" not in tree and "f" not in tree)
    # A file that becomes a directory.
    (a.folder / "empty").unlink()
    a.write("empty/now", b"a directory")
    become_one([a, b], lambda tree: "empty/now" in tree)
    # No node commits what it was told.
    revisions = project.call("GET", "/commits")["data"]["revisions"]
    assert {one["node"] for one in revisions if one["revision"] == 1} <= {"a"}
    by_b = [one for one in revisions if one["node"] == "b"]
    assert sum(one["changes"] for one in by_b) <= 5, by_b
    assert project.call("GET", "/conflicts")["data"]["conflicts"] == []


def test_folders_are_empty_while_a_project_is_cold_and_as_they_were_afterwards(pair: Pair) -> None:
    project, a, b = pair
    a.write(".fsignore", b"*.tmp\n")
    a.write("left.tmp", b"mine")
    a.write("d/f", b"one")
    a.write("large", os.urandom(600_000))
    assert until(lambda: {"d/f", "large", ".fsignore"} <= b.tree().keys())
    before = b.tree()
    work(project, "deactivate")
    assert until(lambda: (set(a.tree()), set(b.tree())) == ({".fsignore", "left.tmp"}, {".fsignore"}))
    # What is written meanwhile waits, and an agent that begins anew takes nothing for deleted.
    a.kill()
    b.write("new", b"while it was cold")
    a.start()
    work(project, "reactivate")
    assert until(lambda: "new" in a.tree() and a.tree().keys() - {"left.tmp"} == b.tree().keys())
    assert {path: one for path, one in b.tree().items() if path != "new"} == before
    assert {one["kind"] for one in project.changes()["changes"]} == {"put", "mkdir"}, "nothing was deleted"


def test_large_files_of_a_strict_project_go_straight_into_its_bucket(
    service: Service, s3: MountInBucket, tmp_path: Path
) -> None:
    """None of their bytes goes through the service, and the agent has no credentials of the bucket."""
    project = ProjectOfTest(service, s3, promotion="strict")
    a, b = (AgentOfTest(service, project.name, name, tmp_path / name).start() for name in ("a", "b"))
    before = put_bytes(service)
    a.write("large", os.urandom(3 << 20))
    a.write("small", b"small")
    tree = become_one([a, b], lambda tree: tree.keys() == {"large", "small"})
    assert put_bytes(service) - before < 1000 and len(tree["large"][0] or b"") == 3 << 20
    assert set(project.shown()["objects"]) == {"cold"}
    assert (a.stop(), b.stop()) == (0, 0)


def put_bytes(service: Service) -> float:
    """Through the API."""
    found = re.search(r"^filestore_sync_put_bytes_total (\S+)$", service.call("GET", "/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_a_base_that_changes_up_to_a_second_before_a_commit_is_never_overwritten(pair: Pair) -> None:
    """The other node writes each file a little later than this one: either it has seen that, or both contents are kept."""
    project, a, b = pair
    names = [f"f{number}" for number in range(12)]
    for name in names:
        a.write(name, b"base")
    become_one([a, b], lambda tree: len(tree) == len(names))
    begun, seen = time.monotonic(), set[str]()
    for name in names:
        b.write(name, b"by b " + name.encode())
    for number, name in enumerate(names):
        wait_for(begun + number / (len(names) - 1))
        seen |= {name} if (a.folder / name).read_bytes() != b"base" else set()
        a.write(name, b"by a " + name.encode())
    ours = [{b"by a " + name.encode(), b"by b " + name.encode()} for name in names]
    tree = become_one([a, b], lambda tree: all(tree[name][0] in some for name, some in zip(names, ours, strict=True)))
    conflicts = project.call("GET", "/conflicts", params={"limit": 100})["data"]["conflicts"]
    kept = {(one["path"], one["loserSha"]) for one in conflicts}
    for name, some in zip(names, ours, strict=True):
        (loser,) = some - {tree[name][0]}
        assert name in seen or (name, sha_of(loser)) in kept, (name, loser)
        assert project.call("GET", f"/objects/{sha_of(loser)}") == loser, (
            "what was replaced knowingly is in the history"
        )
    assert kept


def wait_for(moment: float) -> None:
    assert until(lambda: time.monotonic() >= moment)


def test_what_both_wrote_while_apart_becomes_one_and_the_loser_is_kept(pair: Pair) -> None:
    project, a, b = pair
    a.write("f", b"base")
    a.write("gone", b"base")
    become_one([a, b], lambda tree: "f" in tree and "gone" in tree)
    b.kill()
    a.write("f", b"by a")
    (a.folder / "gone").unlink()
    a.write("new-a", b"a")
    assert until(lambda: project.shown()["files"] == 2)
    b.write("f", b"by b")
    b.write("gone", b"edited")
    b.write("new-b", b"b")
    b.start()
    tree = become_one([a, b], lambda tree: "new-a" in tree and "new-b" in tree and "gone" in tree)
    assert (tree["f"][0], tree["gone"][0]) == (b"by b", b"edited"), "the last committer wins, and a deletion no edit"
    (conflict,) = project.call("GET", "/conflicts")["data"]["conflicts"]
    assert (conflict["loserSha"], project.call("GET", f"/objects/{sha_of(b'by a')}")) == (sha_of(b"by a"), b"by a")


def test_kills_at_any_time_lose_nothing_and_show_no_torn_file(pair: Pair) -> None:
    """Programs go on writing while agents, the hot store and the API are killed."""
    project, a, b = pair
    random_ = random.Random(7)
    contents: dict[str, bytes] = {}
    for number in range(40):
        agent = random_.choice([a, b])
        path = f"d{number % 5}/{agent.name}-{number % 9}"
        contents[path] = b"%d " % number + os.urandom(random_.choice([10, 1000, 400_000]))
        agent.write(path, contents[path])
        if number % 8 == 3:
            agent.kill()
            agent.start()
        if number == 20:
            project.service.stack.kill("nats")
        if number == 30:
            project.service.restart()
    written = {path: content for path, content in contents.items()}
    tree = become_one(
        [a, b], lambda tree: all(tree.get(path, (None, 0))[0] == content for path, content in written.items())
    )
    assert {path for path, (content, _) in tree.items() if content is not None} == set(written)
    assert (a.stop(), b.stop()) == (0, 0)
    assert list((a.folder / ".filestore/tmp").iterdir()) == list((b.folder / ".filestore/tmp").iterdir()) == []
