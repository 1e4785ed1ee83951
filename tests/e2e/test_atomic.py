"""Lists of which all are recorded or none, on the real stack: refused, failed, killed in the middle, and against each other."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from tests.fix_service import MountOfTest, Service, until

FILES = {"d/old": b"old", "d/gone": b"gone", "d/source": b"source", "d/onto": b"onto", "d/under": b"under"}


@pytest.fixture
def tree(service: Service, mount: MountOfTest) -> Iterator[MountOfTest]:
    assert service.mkdir(mount, "d").status_code == 201
    assert service.mkdir(mount, "d/sub").status_code == 201
    for path, content in FILES.items():
        assert service.upload(mount, path, content).status_code == 201
    yield mount


def one(command: str, mount: MountOfTest, path: str, **body: Any) -> dict[str, Any]:
    return {"command": command, "backendMountId": mount.id, "path": path, **body}


def every_kind(mount: MountOfTest) -> list[dict[str, Any]]:
    """A list with something of everything that can be taken back."""
    return [
        one("createDirectory", mount, "d/a"),
        one("deleteNode", mount, "d/gone"),
        one("moveNode", mount, "d/source", targetPath="d/b"),
        one("moveNode", mount, "d/onto", targetPath="d/under", overwrite=True),
        one("moveNode", mount, "d/sub", targetPath="d/moved"),
        one("copyNode", mount, "d/old", targetPath="d/copy"),
        one("createDirectory", mount, "d/z"),
    ]


DONE = {"d": None, "d/old": b"old", "d/a": None, "d/b": b"source", "d/under": b"onto", "d/moved": None,
        "d/copy": b"old", "d/z": None}  # fmt: skip
BEFORE = {"d": None, "d/sub": None, **FILES}


def body_of(commands: list[dict[str, Any]], key: str | None = None) -> dict[str, Any]:
    """Keys are one client's on all mounts; here each test has a mount, and keys, of its own."""
    key = key and f"{key}-{commands[0]['backendMountId']}"
    return {"mode": "atomic", "commands": commands, **({"idempotencyKey": key} if key else {})}


def send(
    service: Service, commands: list[dict[str, Any]], key: str | None = None, **options: Any
) -> list[dict[str, Any]]:
    answer = service.call("POST", "/v1/commands", json=body_of(commands, key), **options)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"]["results"])


def shown(results: list[dict[str, Any]]) -> list[Any]:
    return [result["error"]["code"] if "error" in result else result["status"] for result in results]


def works_as_before(service: Service, mount: MountOfTest) -> None:
    """What was taken back is known to the record as it is now: nothing of it looks like drift."""
    assert mount.on_disk() == BEFORE
    assert service.delete(mount, "d/gone").status_code == 200
    assert service.move(mount, "d/source", "d/b").status_code == 200
    assert service.upload(mount, "d/under", b"new", overwrite="true").status_code in (200, 201)
    assert service.move(mount, "d/onto", "d/c").status_code == 200
    assert service.move(mount, "d/sub", "d/e").status_code == 200


def test_all_of_them_are_recorded_in_one_transaction(service: Service, tree: MountOfTest) -> None:
    results = send(service, every_kind(tree), "all")
    assert shown(results) == [201, 200, 200, 200, 200, 201, 201], results
    assert tree.on_disk() == DONE
    entries = service.journal(tree)[:7]
    assert len({entry["atomicId"] for entry in entries}) == 1 and entries[0]["atomicId"]
    assert len({entry["recordedAt"] for entry in entries}) == 1
    again = send(service, every_kind(tree), "all")
    assert [result["data"]["idempotent"] for result in again] == [True] * 7
    assert [a["data"]["journalEntryId"] for a in again] == [r["data"]["journalEntryId"] for r in results]


def test_one_that_is_refused_leaves_all_undone(service: Service, tree: MountOfTest) -> None:
    commands = [*every_kind(tree)[:3], one("deleteNode", tree, "d/nowhere"), *every_kind(tree)[3:]]
    before = len(service.journal(tree))
    results = send(service, commands, "refused")
    assert shown(results) == ["NOT_ATTEMPTED"] * 3 + ["NODE_NOT_FOUND"] + ["NOT_ATTEMPTED"] * 4
    assert [result["status"] for result in results][2:4] == [424, 404]
    assert tree.on_disk() == BEFORE
    entries = service.journal(tree)
    assert len(entries) == before + 8 and {entry["outcome"] for entry in entries[:8]} == {"failed"}
    assert shown(send(service, commands, "refused")) == shown(results) and len(service.journal(tree)) == before + 8
    works_as_before(service, tree)


def test_what_can_not_go_together_is_told(service: Service, tree: MountOfTest) -> None:
    twice = [one("deleteNode", tree, "d/gone"), one("moveNode", tree, "d/gone", targetPath="d/b")]
    results = send(service, [one("createDirectory", tree, "d/a"), *twice])
    assert shown(results) == ["NOT_ATTEMPTED", "INVALID_REQUEST", "INVALID_REQUEST"]
    assert results[1]["error"]["details"]["paths"] == ["d/gone", "d/gone"]
    whole = one("copyNode", tree, "d/sub", targetPath="d/sub2")
    assert shown(send(service, [whole, one("createDirectory", tree, "d/a")])) == ["NOT_SUPPORTED", "NOT_ATTEMPTED"]
    assert tree.on_disk() == BEFORE


def test_keys_of_single_commands_make_no_list(service: Service, tree: MountOfTest) -> None:
    assert service.mkdir(tree, "d/a", f"mixed-{tree.id}#0").status_code == 201
    commands = [one("createDirectory", tree, "d/a"), one("createDirectory", tree, "d/b")]
    assert shown(send(service, commands, "mixed")) == ["IDEMPOTENCY_CONFLICT"] * 2
    assert shown(send(service, commands[1:] + commands[:1], "mixed")) == ["IDEMPOTENCY_CONFLICT"] * 2
    assert tree.on_disk() == {**BEFORE, "d/a": None}


def test_one_that_fails_on_the_disk_takes_all_back(service: Service, tree: MountOfTest) -> None:
    (tree.root / "d/z").write_bytes(b"a stranger's")
    results = send(service, every_kind(tree), "stranger")
    assert shown(results) == ["NOT_ATTEMPTED"] * 6 + ["NODE_EXISTS"]
    assert tree.on_disk() == {**BEFORE, "d/z": b"a stranger's"}
    assert shown(send(service, every_kind(tree), "stranger")) == shown(results)
    (tree.root / "d/z").unlink()
    works_as_before(service, tree)


def test_one_that_can_not_be_recorded_takes_all_back(service: Service, tree: MountOfTest) -> None:
    service.kill("api")
    service.start("api", fault="commit.item=fail~d/z")
    results = send(service, every_kind(tree), "poison")
    assert shown(results) == ["NOT_ATTEMPTED"] * 6 + ["UNAVAILABLE"], results
    assert tree.on_disk() == BEFORE
    service.kill("api")
    service.ensure_running()
    assert shown(send(service, every_kind(tree), "poison")) == [201, 200, 200, 200, 200, 201, 201], "it can pass"
    assert tree.on_disk() == DONE


def test_an_effect_that_can_not_be_taken_back_is_declared(service: Service, tree: MountOfTest, tmp_path: Path) -> None:
    """A stranger writes into what was moved, before all of it is to be taken back."""
    service.kill("api")
    folder = tmp_path / "fault"
    folder.mkdir()
    service.start("api", fault=f"apply.flushed=wait:{folder};commit.item=fail~d/z")
    answers: list[list[dict[str, Any]]] = []
    thread = threading.Thread(target=lambda: answers.append(send(service, every_kind(tree), "doubt")))
    thread.start()
    assert until((folder / "apply.flushed.reached").exists)
    (tree.root / "d/b").write_bytes(b"a stranger wrote here")
    (folder / "apply.flushed.go").touch()
    thread.join(30)
    [results] = answers
    assert shown(results) == ["NOT_ATTEMPTED"] * 2 + ["VERSION_CONFLICT"] + ["NOT_ATTEMPTED"] * 3 + ["UNAVAILABLE"]
    assert service.at(tree, "d/source").json()["data"]["state"] == "inconsistent"
    after = {path: content for path, content in tree.on_disk().items() if path not in ("d/b", "d/source")}
    assert after == {path: content for path, content in BEFORE.items() if path != "d/source"}
    service.kill("api")
    service.ensure_running()
    assert shown(send(service, every_kind(tree), "doubt")) == shown(results), "its keys open nothing any more"
    # The stranger takes his bytes away again, so that the mount is in order for its check.
    (tree.root / "d/b").unlink()
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            "UPDATE filestore.nodes SET state = 'active' WHERE mount_id = %s AND state = 'inconsistent'", (tree.id,)
        )


KILLS = (
    "stage.recorded",
    "apply.acted=kill@2",
    "commit.committed",
    "begin.committed",
    "apply.flushed",
    "commit.before_commit",
)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("point", KILLS)
def test_a_kill_leaves_all_or_none_and_the_same_keys_get_all(service: Service, tree: MountOfTest, point: str) -> None:
    _kill_at(service, tree, point if "=" in point else f"{point}=kill", "killed")
    assert shown(_until_known(service, every_kind(tree), "killed")) in (
        [200] * 7,
        [201, 200, 200, 200, 200, 201, 201],
    )
    assert tree.on_disk() == DONE
    entries = [entry for entry in service.journal(tree) if entry["key"].startswith("killed-")]
    assert len(entries) == 7 and len({entry["recordedAt"] for entry in entries}) == 1


@pytest.mark.sampled(1)
@pytest.mark.parametrize("point", ["commit.taken_back", "commit.before_commit", "apply.flushed", "commit.committed"])
def test_a_kill_while_a_list_fails_leaves_none_of_it(service: Service, tree: MountOfTest, point: str) -> None:
    (tree.root / "d/z").write_bytes(b"a stranger's")
    _kill_at(service, tree, f"{point}=kill", "failing")
    results = _until_known(service, every_kind(tree), "failing")
    assert shown(results) == ["NOT_ATTEMPTED"] * 6 + ["NODE_EXISTS"]
    (tree.root / "d/z").unlink()
    works_as_before(service, tree)


def test_a_worker_that_dies_while_it_takes_a_list_back_is_followed_by_the_next(
    service: Service, tree: MountOfTest
) -> None:
    (tree.root / "d/z").write_bytes(b"a stranger's")
    service.settle()
    service.kill()
    service.start("worker", fault="commit.taken_back=kill")
    service.start("api", fault="apply.acted=kill@3")
    with suppress(httpx2.HTTPError):
        send(service, every_kind(tree), "twice")
    worker = service.processes["worker"]
    assert until(lambda: worker.poll() is not None), "it resumed the list"
    service.ensure_running()
    assert shown(_until_known(service, every_kind(tree), "twice")) == ["NOT_ATTEMPTED"] * 6 + ["NODE_EXISTS"]
    (tree.root / "d/z").unlink()
    works_as_before(service, tree)


def test_a_slow_list_goes_on_by_itself_and_is_recorded_as_one(service: Service, tree: MountOfTest) -> None:
    service.kill("api")
    service.start("api", fault="apply.act=sleep:4~d/z", FILESTORE_APPLY_SECONDS="1")
    results = send(service, every_kind(tree), "slow")
    assert shown(results) == [201, 200, 200, 200, 200, 201, 201]
    assert len({entry["recordedAt"] for entry in service.journal(tree)[:7]}) == 1
    service.kill("api")


async def test_two_lists_on_the_same_paths_take_turns(service: Service, tree: MountOfTest) -> None:
    async with service.async_client() as client:

        async def swap(first: str, second: str) -> list[Any]:
            commands = [
                one("createDirectory", tree, first),
                one("createDirectory", tree, second),
            ]
            answer = await client.post("/v1/commands", json=body_of(commands))
            return shown(answer.json()["data"]["results"])

        for turn in range(8):
            names = [f"d/n{turn}", f"d/m{turn}"]
            one_, other = await asyncio.gather(swap(*names), swap(*reversed(names)))
            assert sorted([one_ == [201, 201], other == [201, 201]]) == [False, True], (one_, other)
            assert "NODE_EXISTS" in (other if one_ == [201, 201] else one_)


async def test_a_list_and_single_commands_share_paths_and_lanes(service: Service, tree: MountOfTest) -> None:
    async with service.async_client() as client:

        async def put(number: int) -> int:
            body = {"backendMountId": tree.id, "path": f"d/s{number}"}
            return (await client.post("/v1/directories", json=body)).status_code

        async def both(number: int) -> list[Any]:
            commands = [one("createDirectory", tree, f"d/s{number}"), one("createDirectory", tree, f"d/t{number}")]
            answer = await client.post("/v1/commands", json=body_of(commands))
            return shown(answer.json()["data"]["results"])

        lists = [asyncio.create_task(both(number)) for number in range(20)]
        singles = await asyncio.gather(*(put(number) for number in range(20)))
        results = await asyncio.gather(*lists)
    disk = tree.on_disk()
    for number in range(20):
        went = results[number] == [201, 201]
        assert went != (singles[number] == 201), (results[number], singles[number])
        assert (f"d/t{number}" in disk) == went and f"d/s{number}" in disk


async def test_a_list_waits_for_a_path_and_then_says_that_it_is_busy(
    service: Service, tree: MountOfTest, tmp_path: Path
) -> None:
    faults = tmp_path / "faults"
    faults.mkdir()
    service.kill("api")
    service.start("api", fault=f"apply.act=wait:{faults}~d/held", FILESTORE_PATH_WAIT_SECONDS="1")
    async with service.async_client() as client:
        holder = asyncio.create_task(client.post("/v1/directories", json={"backendMountId": tree.id, "path": "d/held"}))
        assert await asyncio.to_thread(until, (faults / "apply.act.reached").exists)
        commands = [one("createDirectory", tree, "d/free"), one("createDirectory", tree, "d/held/x")]
        commands.append(one("createDirectory", tree, "d/held"))
        answer = await client.post("/v1/commands", json=body_of(commands[::2], "busy"))
        assert shown(answer.json()["data"]["results"]) == ["PATH_BUSY"] * 2
        assert answer.json()["data"]["results"][0]["retryAfter"] >= 1
        (faults / "apply.act.go").touch()
        assert (await holder).status_code == 201
        answer = await client.post("/v1/commands", json=body_of(commands[::2], "busy"))
    assert shown(answer.json()["data"]["results"]) == ["NOT_ATTEMPTED", "NODE_EXISTS"]
    service.kill("api")
    assert "d/free" not in tree.on_disk()


def _kill_at(service: Service, mount: MountOfTest, fault: str, key: str) -> None:
    service.settle()
    # No other process: one whose API was not ready for it yet would be carried through by the worker.
    service.kill()
    service.start("api", fault=fault)
    with suppress(httpx2.HTTPError):
        send(service, every_kind(mount), key)
    assert until(lambda: service.processes["api"].poll() is not None), "the point is on the way"
    service.kill("api")
    service.ensure_running()


def _until_known(service: Service, commands: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    for _ in range(60):
        results = send(service, commands, key)
        if not any(result["status"] in (202, 503) for result in results):
            return results
    raise AssertionError(results)
