"""The machine behind the service is in trouble: no file descriptors, a quota that is used up, a disk that fails. Answers are
honest, nothing is lost, and the same key succeeds when it is over."""

import asyncio
import errno
import os
import resource
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.http.descriptors import RESERVE
from api.uploads.spool import PIECE
from tests.fix_service import MountOfTest, Service, make_mount, until, upload_parts
from tests.fix_stack import REPOSITORY

BIG = os.urandom(200_000)


def key(mount: MountOfTest, name: str) -> str:
    """Keys are one client's on all mounts; here each test has a mount, and keys, of its own."""
    return f"{name}-{mount.id}"


def code(response: httpx2.Response) -> tuple[int, str]:
    assert int(response.headers["retry-after"]) >= 1
    return response.status_code, response.json()["error"]["code"]


# No descriptors


@contextmanager
def descriptors(service: Service, left: int) -> Iterator[None]:
    """The API may open so many more files than it has open now."""
    pid = service.processes["api"].pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    seen: list[list[str]] = []

    def still() -> bool:
        """What earlier requests had open is closed."""
        seen.append(sorted(os.listdir(f"/proc/{pid}/fd")))
        time.sleep(0.1)
        return len(seen) > 5 and all(one == seen[-1] for one in seen[-6:])

    assert until(still), "the process goes on opening and closing files"
    lowest = next(n for n in range(before[0]) if not os.path.lexists(f"/proc/{pid}/fd/{n}"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest + left, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_it_may_open_as_many_files_as_the_machine_allows(service: Service) -> None:
    for process in service.processes.values():
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard


def test_few_descriptors_are_kept_for_what_is_under_way(service: Service, mount: MountOfTest) -> None:
    assert service.upload(mount, "f", b"old").status_code == 201
    with descriptors(service, RESERVE // 2):
        answers = [
            service.upload(mount, "f", BIG, key(mount, "big"), overwrite="true"),
            service.upload(mount, "f", b"small", key(mount, "small"), overwrite="true"),
            service.mkdir(mount, "d", key(mount, "d")),
            service.delete(mount, "f", key(mount, "gone")),
            service.at(mount, "f"),
            service.call("POST", "/v1/commands", json={"mode": "atomic", "commands": []}),
            service.call("GET", "/ready"),
        ]
        assert [code(answer) for answer in answers] == [(503, "UNAVAILABLE")] * 7
        assert {answer.headers["connection"] for answer in answers} == {"close"}
        problem = service.call("GET", "/v1/backend-mounts", headers={"accept": "application/problem+json"}).json()
        assert (problem["status"], problem["code"], problem["retryable"]) == (503, "UNAVAILABLE", True)
        assert service.call("GET", "/health").status_code == 200
    assert mount.on_disk() == {"f": b"old"} and len(service.journal(mount)) == 1
    assert service.upload(mount, "f", BIG, key(mount, "big"), overwrite="true").status_code == 200
    assert service.mkdir(mount, "d", key(mount, "d")).status_code == 201
    assert mount.on_disk() == {"f": BIG, "d": None}


async def test_they_run_out_under_bodies_on_their_way_and_nothing_is_lost(service: Service, mount: MountOfTest) -> None:
    """Each of them opens a file and a lock when more of it comes."""
    bodies = {f"f{number}": os.urandom(2 * PIECE) for number in range(10)}
    going, begun = asyncio.Event(), asyncio.Semaphore(0)

    async def pieces(content: bytes) -> AsyncIterator[bytes]:
        yield content[:1000]
        begun.release()
        await going.wait()
        yield content[1000:]

    async def put(client: httpx2.AsyncClient, path: str) -> httpx2.Response:
        params: dict[str, str | int] = {"backendMountId": mount.id, "path": path}
        headers = {"idempotency-key": key(mount, path)}
        return await client.put("/v1/files/by-path", params=params, content=pieces(bodies[path]), headers=headers)

    async with service.async_client() as client:
        answers = [asyncio.create_task(put(client, path)) for path in bodies]
        for _ in bodies:
            await begun.acquire()
        await asyncio.sleep(0.2)  # they have passed the door
        with descriptors(service, 3):
            going.set()
            came = await asyncio.gather(*answers)
        assert {answer.status_code for answer in came} <= {201, 503} and 503 in {answer.status_code for answer in came}
        assert {code(answer)[1] for answer in came if answer.status_code == 503} <= {"UNAVAILABLE", "OUTCOME_UNKNOWN"}
        again = [await put(client, path) for path in bodies]
    assert {answer.status_code for answer in again} <= {200, 201}
    assert mount.on_disk() == bodies
    succeeded = [entry["path"] for entry in service.journal(mount) if entry["outcome"] == "succeeded"]
    assert sorted(succeeded) == sorted(bodies), "each of them once"


async def test_more_clients_than_descriptors(service: Service, mount: MountOfTest) -> None:
    bodies = {f"f{number}": os.urandom(150_000) for number in range(60)}

    async def put(client: httpx2.AsyncClient, path: str) -> httpx2.Response | None:
        data, files = upload_parts(mount.id, path, bodies[path], key(mount, path))
        try:
            return await client.post("/v1/files", data=data, files=files)
        except httpx2.TransportError:
            return None  # there was not even a descriptor for its connection

    with descriptors(service, RESERVE + 30):
        async with service.async_client() as client:
            answers = await asyncio.gather(*(put(client, path) for path in bodies))
    came = [answer for answer in answers if answer is not None]
    assert {answer.status_code for answer in came} <= {201, 503}
    assert {code(answer) for answer in came if answer.status_code == 503} == {(503, "UNAVAILABLE")}
    async with service.async_client() as client:
        again = [await put(client, path) for path in bodies]
    assert {answer.status_code for answer in again if answer is not None} <= {200, 201} and None not in again
    assert mount.on_disk() == bodies


def test_with_none_at_all_connections_are_cut_or_refused_and_it_heals(service: Service, mount: MountOfTest) -> None:
    def refusal_of(client: httpx2.Client) -> object:
        body = {"backendMountId": mount.id, "path": "d", "idempotencyKey": key(mount, "d")}
        try:
            return code(client.post("/v1/directories", json=body))
        except httpx2.TransportError:
            return "cut"

    with service.client() as connected:
        assert connected.get("/health").status_code == 200
        with descriptors(service, 0):
            for _ in range(3):
                # Which of the two depends on what the process itself has just closed.
                with service.client() as new:
                    assert refusal_of(new) in ("cut", (503, "UNAVAILABLE"))
            assert refusal_of(connected) in ("cut", (503, "UNAVAILABLE"))
    assert mount.on_disk() == {}

    def healed() -> bool:
        with suppress(httpx2.TransportError):
            return service.mkdir(mount, "d", key(mount, "d")).status_code in (200, 201)
        return False

    assert until(healed) and mount.on_disk() == {"d": None}
    assert until(lambda: service.call("GET", "/ready").status_code == 200)


# A disk that fails


class Failing:
    """System calls of the API that fail, below one folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder

    @contextmanager
    def __call__(self, call: str, number: int, below: Path) -> Iterator[None]:
        draft = self.folder / "draft"
        draft.write_text(f"{number} {below}")
        draft.rename(self.folder / call)
        yield
        (self.folder / call).unlink()


@pytest.fixture
def failing(service: Service, tmp_path: Path) -> Iterator[Failing]:
    made = Failing(tmp_path / "failing")
    service.kill("api")
    service.start("api", PYTHONPATH=str(REPOSITORY / "tests" / "injected"), FAILING_CALLS=str(made.folder))
    yield made
    service.kill("api")


FULL, BROKEN = (507, "STORAGE_FULL"), (503, "UNAVAILABLE")


@pytest.mark.sampled(3)
@pytest.mark.parametrize("content", [b"small", BIG], ids=["small", "big"])
@pytest.mark.parametrize(
    ("call", "number", "refusal"),
    [
        ("write", errno.EDQUOT, FULL),
        ("write", errno.ENOSPC, FULL),
        ("fsync", errno.EDQUOT, FULL),  # where it is only known when it is written out
        ("write", errno.EIO, BROKEN),
        ("fsync", errno.EIO, BROKEN),
        ("write", errno.EROFS, (403, "MOUNT_READ_ONLY")),
    ],
    ids=["write-quota", "write-full", "fsync-quota", "write-broken", "fsync-broken", "write-read-only"],
)  # fmt: skip
def test_content_the_disk_does_not_take(
    service: Service,
    mount: MountOfTest,
    failing: Failing,
    call: str,
    number: int,
    refusal: tuple[int, str],
    content: bytes,
) -> None:
    assert service.upload(mount, "f", b"old").status_code == 201
    with failing(call, number, mount.root / ".filestore" / "stage" / "0"):
        answer = service.upload(mount, "f", content, key(mount, "f"), overwrite="true")
        assert (answer.status_code, answer.json()["error"]["code"]) == refusal, answer.text
        assert ("retry-after" in answer.headers) is (refusal[0] >= 500)
        assert mount.on_disk() == {"f": b"old"}
        assert service.call("GET", f"/v1/files/{_id(service, mount)}/content").content == b"old"
    if refusal[0] >= 500:
        assert service.upload(mount, "f", content, key(mount, "f"), overwrite="true").status_code == 200
        assert mount.on_disk() == {"f": content}


def test_a_directory_for_which_the_quota_has_no_room(service: Service, mount: MountOfTest, failing: Failing) -> None:
    with failing("mkdir", errno.EDQUOT, mount.root):
        assert code(service.mkdir(mount, "d", key(mount, "d"))) == FULL
    assert service.mkdir(mount, "d", key(mount, "d")).status_code == 201


def test_a_copy_for_which_the_quota_has_no_room(service: Service, mount: MountOfTest, failing: Failing) -> None:
    assert service.upload(mount, "f", b"content").status_code == 201
    with failing("pwrite", errno.EDQUOT, mount.root):
        assert code(service.copy(mount, "f", "copy", key(mount, "copy"))) == FULL
        assert mount.on_disk() == {"f": b"content"}
    assert service.copy(mount, "f", "copy", key(mount, "copy")).status_code == 201
    assert mount.on_disk() == {"f": b"content", "copy": b"content"}


def test_content_the_disk_can_not_read(service: Service, mount: MountOfTest, failing: Failing) -> None:
    assert service.upload(mount, "f", b"content").status_code == 201
    address = f"/v1/files/{_id(service, mount)}/content"
    with failing("pread", errno.EIO, mount.root):
        assert code(service.call("GET", address)) == BROKEN
    assert service.call("GET", address).content == b"content"


def _id(service: Service, mount: MountOfTest, path: str = "f") -> Any:
    return service.at(mount, path).json()["data"]["id"]


def test_what_would_lead_to_another_disk_is_refused(service: Service, tmp_path: Path) -> None:
    """A disk that is mounted inside of a mount: a name can not go there in one step."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    mount = make_mount(service, tmp_path / "mount")
    assert service.mkdir(mount, "inner").status_code == 201 and service.upload(mount, "f", b"1").status_code == 201
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(mount.root / "inner")], check=True)
    try:
        answers = [
            service.mkdir(mount, "inner/d"),
            service.upload(mount, "inner/g", b"2"),
            service.move(mount, "f", "inner/f"),
        ]
        assert [(a.status_code, a.json()["error"]["code"]) for a in answers] == [(400, "NOT_SUPPORTED")] * 3
        assert mount.on_disk() == {"inner": None, "f": b"1"}
    finally:
        subprocess.run(["umount", "-l", str(mount.root / "inner")], check=True)
    assert service.mkdir(mount, "inner/d").status_code == 201
    assert mount.on_disk() == {"inner": None, "inner/d": None, "f": b"1"}
