"""Answers that come later: 202 with a place to ask, which knows of the command from the first moment, and the end in time."""

import time
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from tests.fix_service import MountOfTest, Service, until

ASYNC = {"Prefer": "respond-async"}


def mkdir(service: Service, mount: MountOfTest, path: str, key: str | None = None, **options: Any) -> httpx2.Response:
    body = {"backendMountId": mount.id, "path": path} | ({"idempotencyKey": key} if key else {})
    return service.call("POST", "/v1/directories", json=body, **options)


def place(answer: httpx2.Response) -> str:
    """Where to ask, as every 202 tells."""
    assert answer.status_code == 202, answer.text
    id = answer.json()["data"]["commandId"]
    assert answer.headers["location"] == answer.json()["data"]["href"] == f"/v1/commands/{id}"
    assert int(answer.headers["retry-after"]) >= 1
    return answer.headers["location"]


def status(service: Service, where: str) -> str:
    answer = service.call("GET", where)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["status"])


def held(service: Service, folder: Path, point: str, **settings: str) -> Path:
    """The API stops at this point until the file exists that is returned."""
    folder.mkdir()
    service.kill(*service.processes.keys() & {"api"})
    service.start("api", fault=f"{point}=wait:{folder}", **settings)
    return folder / f"{point}.go"


def test_who_does_not_want_to_wait_finds_the_command_at_once(service: Service, mount: MountOfTest) -> None:
    for number in range(20):
        where = place(mkdir(service, mount, f"d{number}", headers=ASYNC))
        # Queued: a machine that has other things to do may not have begun it within the second that a client is held.
        assert status(service, where) in ("queued", "running", "succeeded")
        assert until(lambda: status(service, where) == "succeeded")  # noqa: B023
    assert len(mount.on_disk()) == 20


@pytest.mark.sampled(1)
@pytest.mark.parametrize("options", [{"headers": ASYNC}, {"params": {"wait": "0"}}, {"headers": {"Prefer": "wait=0"}}])
def test_the_command_is_durable_when_202_says_that_it_goes_on(
    service: Service, mount: MountOfTest, tmp_path: Path, options: dict[str, Any]
) -> None:
    service.kill()
    held(service, tmp_path / "fault", "apply.locked")
    where = place(mkdir(service, mount, "d", "durable" + str(mount.id), **options))
    assert until(lambda: status(service, where) == "running"), "of what is queued this process alone knows"
    service.kill("api")
    service.ensure_running()
    assert until(lambda: status(service, where) == "succeeded") and mount.on_disk() == {"d": None}


def test_while_it_waits_in_the_queue_this_process_knows_of_it(
    service: Service, mount: MountOfTest, tmp_path: Path
) -> None:
    go = held(service, tmp_path / "fault", "api.sealed")
    began = time.monotonic()
    answer = mkdir(service, mount, "d", headers=ASYNC)
    assert time.monotonic() - began > 0.9
    where = place(answer)
    answer = service.call("GET", where)
    assert answer.json()["data"]["status"] == "queued" and answer.headers["retry-after"]
    stranger = service.make_token("stranger", "read")
    with httpx2.Client(base_url=service.url, headers={"Authorization": f"Bearer {stranger}"}) as client:
        assert client.get(where).status_code == 404
    go.touch()
    assert until(lambda: status(service, where) == "succeeded")
    service.kill("api")


def test_202_names_the_command_that_an_earlier_request_opened(
    service: Service, mount: MountOfTest, tmp_path: Path
) -> None:
    key = f"twice-{mount.id}"
    service.kill()
    go = held(service, tmp_path / "fault", "apply.locked")
    first = mkdir(service, mount, "d", key, headers=ASYNC)
    second = mkdir(service, mount, "d", key, headers=ASYNC)
    assert place(first) == place(second)
    go.touch()
    assert until(lambda: status(service, place(first)) == "succeeded")
    again = mkdir(service, mount, "d", key, headers=ASYNC)
    assert again.status_code == 200 and again.json()["data"]["idempotent"] is True
    service.kill("api")


def test_one_that_was_queued_under_a_known_key_is_found_where_it_stands(
    service: Service, mount: MountOfTest, tmp_path: Path
) -> None:
    key, other = f"known-{mount.id}", f"other-{mount.id}"
    first = mkdir(service, mount, "d", key)
    assert first.status_code == 201
    assert mkdir(service, mount, "e", other).status_code == 201
    go = held(service, tmp_path / "fault", "api.sealed", FILESTORE_LANES="1")
    same = place(mkdir(service, mount, "d", key, headers=ASYNC))
    assert same.endswith(first.json()["data"]["commandId"]) and status(service, same) == "succeeded"
    conflict = place(mkdir(service, mount, "f", other, headers=ASYNC))
    assert status(service, conflict) == "queued"
    go.touch()
    assert until(lambda: status(service, conflict) == "failed")
    assert service.call("GET", conflict).json()["data"]["code"] == "IDEMPOTENCY_CONFLICT"
    service.kill("api")


def test_a_list_that_goes_together_is_found_at_once_too(service: Service, mount: MountOfTest, tmp_path: Path) -> None:
    service.kill()
    go = held(service, tmp_path / "fault", "apply.locked")
    commands = [{"command": "createDirectory", "backendMountId": mount.id, "path": path} for path in "ab"]
    body = {"mode": "atomic", "commands": commands, "idempotencyKey": f"list-{mount.id}"}
    for _ in range(2):
        answer = service.call("POST", "/v1/commands", json=body, headers=ASYNC)
        results = answer.json()["data"]["results"]
        assert [result["status"] for result in results] == [202, 202] and all(r["retryAfter"] for r in results)
        for result in results:
            assert status(service, result["data"]["href"]) in ("queued", "running")
            assert until(lambda: status(service, result["data"]["href"]) == "running")  # noqa: B023
    go.touch()
    for result in results:
        assert until(lambda: status(service, result["data"]["href"]) == "succeeded")  # noqa: B023
    service.kill("api")


def test_a_time_to_wait_that_is_over_is_202(service: Service, mount: MountOfTest, tmp_path: Path) -> None:
    go = held(service, tmp_path / "fault", "apply.act")
    began = time.monotonic()
    where = place(mkdir(service, mount, "slow", params={"wait": "2"}))
    assert time.monotonic() - began > 1.9
    go.touch()
    assert until(lambda: status(service, where) == "succeeded")
    assert mkdir(service, mount, "quick", params={"wait": "20"}).status_code == 201
    service.kill("api")


def test_the_end_of_a_long_command_is_told_soon(service: Service, mount: MountOfTest) -> None:
    """It ends in the worker, and this process hears of it from its row. What this machine takes for any command is allowed for."""
    assert service.mkdir(mount, "tree").status_code == 201
    assert service.upload(mount, "tree/f", b"content").status_code == 201
    late = []
    for number in range(6):
        began = time.monotonic()
        assert service.mkdir(mount, f"plain{number}").status_code == 201
        plain = time.monotonic() - began
        answer = service.copy(mount, "tree", f"copy{number}")
        arrived = time.time()
        assert answer.status_code == 201, answer.text
        with psycopg.connect(service.env["FILESTORE_DATABASE_URL"]) as connection:
            row = connection.execute(
                "SELECT extract(epoch FROM ended_at)::float FROM filestore.commands WHERE id = %s",
                (answer.json()["data"]["commandId"],),
            ).fetchone()
        assert row is not None
        late.append(arrived - row[0] - 2 * plain)
    # A poll each 0.2 s; the best of some says how often it looks, whatever else this machine does meanwhile.
    assert min(late) < 0.3 and sorted(late)[2] < 0.6, late
