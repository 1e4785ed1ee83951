"""Operations, drift, tokens, links, mounts and events while the line fails: every change once, and the right answer."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.clients.sdk.conftest import make
from tests.clients.sdk.test_every_call import METHODS, settled
from tests.clients.sdk.test_faults import carry
from tests.e2e.test_drift import inbox, policy
from tests.fix_s3_proxy import Fault, S3Proxy
from tests.fix_service import MountOfTest, Service, until

FAULTS = [{"cut_answer": -1}, {"cut_answer": 1}, {"end_answer": 2}, {"status": 503}, {"cut_request": 5}]


@dataclass
class Shaken:
    """A client whose every call meets a line that fails, once for each method."""

    client: Any
    proxy: S3Proxy
    fault: dict[str, int]

    def __call__(self, act: Callable[[], Any]) -> Any:
        faults = [self.proxy.on(Fault(method, **self.fault)) for method in METHODS]  # type: ignore[arg-type]
        answer = settled(act)
        assert any(one.struck for one in faults)
        self.proxy.calm()
        return answer


@pytest.fixture(params=FAULTS, ids=str)
def line(request: pytest.FixtureRequest, shaken: Any, proxy: S3Proxy) -> Shaken:
    return Shaken(shaken, proxy, request.param)


@pytest.mark.sampled(1)
def test_an_operation_is_begun_steered_and_undone_once(line: Shaken, service: Service, mount: MountOfTest) -> None:
    operations, m = line.client.operations, mount.id
    line.client.mkdir(m, "d")
    for number in range(12):
        line.client.put(m, f"d/{number}", b"%d" % number)
    begun = line(lambda: operations.start("copy", m, "d", target="e", plan_only=True, options={"filesPerSecond": 2}))
    assert line(lambda: operations.wait(begun.id, planned=True)).state == "planned"
    assert len(line(lambda: list(operations.items(begun.id)))) == 13
    assert line(lambda: operations.apply(begun.id)).id == begun.id
    assert line(lambda: operations.pause(begun.id)).id == begun.id
    assert line(lambda: operations.limit(begun.id, filesPerSecond=None)).id == begun.id
    assert line(lambda: operations.resume(begun.id)).id == begun.id
    assert line(lambda: operations.wait(begun.id)).state == "succeeded"
    undone = line(lambda: operations.undo(begun.id))
    assert line(lambda: operations.wait(undone.id)).state == "succeeded"
    assert {one.id for one in line(lambda: list(operations.list(mount=m)))} == {begun.id, undone.id}
    assert sorted(mount.on_disk()) == ["d", *sorted(f"d/{number}" for number in range(12))]
    ended = [one["outcome"] for one in service.journal(mount) if one["operationId"] == begun.id]
    assert ended == ["succeeded"] * 13


@pytest.mark.sampled(1)
def test_drift_is_looked_for_and_decided_once(line: Shaken, service: Service, mount: MountOfTest) -> None:
    drift, m = line.client.drift, mount.id
    line.client.put(m, "a", b"ours")
    policy(service, mount, onNew="ask", onChanged="ask")
    (mount.root / "new").write_bytes(b"new")
    job = line(lambda: drift.reconcile(m))
    where = f"/v1/reconciliation/jobs/{job['id']}"
    assert until(lambda: line.client.request("GET", where)["completedAt"] is not None)
    assert len(line.client.request("GET", "/v1/reconciliation/jobs", backendMountId=m)["jobs"]) == 1
    [found] = line(lambda: list(drift.list(mount=m)))
    assert line(lambda: drift.get(found["id"])) == found and found["kind"] == "new"
    decided = line(lambda: drift.decide("accept", [found]))
    assert decided["decided"] and [one["id"] for one in decided["findings"]] == [found["id"]]
    assert inbox(service, mount) == {} and line.client.read(m, "new") == b"new"


@pytest.mark.sampled(1)
def test_a_token_is_made_rotated_and_revoked_once(line: Shaken, service: Service) -> None:
    tokens, name = line.client.tokens, f"robot-{line.proxy.endpoint.rpartition(':')[2]}"
    made = line(lambda: tokens.create(name, ["filestore:read"]))
    rotated = line(lambda: tokens.rotate(str(made["id"]), graceSeconds=600))
    assert rotated["id"] == made["id"] and [answers(service, one["token"]) for one in (made, rotated)] == [200, 200]
    assert len([one for one in line(lambda: list(tokens.list())) if one["principal"] == name]) == 1
    assert line(lambda: tokens.revoke(str(made["id"])))["revokedAt"]
    assert until(lambda: [answers(service, one["token"]) for one in (made, rotated)] == [401, 401])


def answers(service: Service, token: str) -> int:
    return httpx2.get(f"{service.url}/v1/backend-mounts", headers={"Authorization": f"Bearer {token}"}).status_code


@pytest.mark.sampled(1)
def test_a_link_is_made_and_revoked_once(line: Shaken, service: Service, mount: MountOfTest) -> None:
    links = line.client.links
    line.client.put(mount.id, "f", b"content")
    made = line(lambda: links.create(mount.id, "f", expiresIn=600))
    address = service.url + "/s/" + made["url"].partition("/s/")[2]
    assert httpx2.get(address).content == b"content"
    ours = [one["id"] for one in line(lambda: list(links.list())) if one["backendMountId"] == mount.id]
    assert ours == [made["id"]]
    line(lambda: links.revoke(str(made["id"])))
    assert httpx2.get(address).status_code == 404


@pytest.mark.sampled(1)
def test_a_mount_is_registered_and_changed_once(line: Shaken, service: Service, tmp_path: Path) -> None:
    mounts, key = line.client.mounts, f"m-{line.proxy.endpoint.rpartition(':')[2]}-{tmp_path.name}"
    (tmp_path / "root").mkdir()
    made = line(lambda: mounts.create(mountKey=key, backendKind="local", rootPath=str(tmp_path / "root")))
    service.made.append(made.id)
    assert line(lambda: mounts.update(made.id, description="by hand")).raw["description"] == "by hand"
    assert [one.id for one in line(lambda: list(mounts.list())) if one.mount_key == key] == [made.id]
    assert line(lambda: mounts.get(made.id)).id == made.id


@pytest.mark.sampled(1)
def test_events_that_are_pulled_come_once_and_in_order(line: Shaken, mount: MountOfTest) -> None:
    for number in range(5):
        line.client.mkdir(mount.id, f"d{number}")
    asked = {"after": 0, "mount": mount.id, "types": ["filestore.node.created"], "follow": False}
    assert until(lambda: len(list(line.client.events(**asked))) == 5)
    found = line(lambda: list(line.client.events(**asked)))
    assert [one.data["path"] for one in found] == [f"d{number}" for number in range(5)]


@contextmanager
def cut_answers(service: Service, after: int, times: int) -> Iterator[str]:
    """A line that resets its first connections when so many bytes of answers have come through each."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            left = times
            with suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    server = socket.create_connection((host, int(port)))
                    threading.Thread(target=carry, args=(client, server, None), daemon=True).start()
                    most = after if left > 0 else None
                    threading.Thread(target=carry, args=(server, client, most), daemon=True).start()
                    left -= 1

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("manner", ["waits", pytest.param("async", marks=pytest.mark.slow)])
def test_a_stream_that_is_cut_within_its_events_gives_each_once(
    service: Service, mount: MountOfTest, loop_of_clients: asyncio.AbstractEventLoop, manner: str
) -> None:
    names = [f"d{number}" for number in range(12)]
    for name in names:
        service.mkdir(mount, name)
    with cut_answers(service, after=2500, times=5) as url:
        client = make(manner, url, service.token, loop_of_clients)
        stream = client.events(after=0, mount=mount.id, types=["filestore.node.created"])
        assert [next(stream).data["path"] for _ in names] == names
        stream.close()
        client.close()
