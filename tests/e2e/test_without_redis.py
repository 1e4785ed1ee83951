"""Every kind of command on a service that has no Redis: events, waiting and resuming need Postgres and Temporal alone."""

import io
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.test_commands import result
from tests.e2e.test_resumable import about, client_of
from tests.fix_service import MountOfTest, Service, until
from tests.sse import close_all, connect


@pytest.fixture(params=["inline", ""], ids=["inline", "empty"])
def without_redis(
    running_service: Service, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    monkeypatch.setenv("REDIS_URL", request.param)  # for the consistency check, too
    running_service.restart(REDIS_URL=request.param)
    yield running_service
    running_service.kill()


def several(service: Service, mount: MountOfTest, mode: str, *commands: dict[str, Any]) -> list[int]:
    body = {"mode": mode, "commands": [{"backendMountId": mount.id, **command} for command in commands]}
    return [one["status"] for one in result(service.call("POST", "/v1/commands", json=body), 200)["results"]]


async def test_every_kind_of_command(without_redis: Service, mount: MountOfTest) -> None:
    service, big = without_redis, os.urandom(3 << 20)
    assert service.call("GET", "/ready").json()["checks"]["redis"] == "inline"
    stream = await connect(("127.0.0.1", service.port), service.token, backendMountId=mount.id)
    try:
        result(service.mkdir(mount, "d"), 201)
        file = result(service.upload(mount, "d/f", b"one", f"f-{mount.id}"), 201)["node"]["id"]
        assert result(service.upload(mount, "d/f", b"one", f"f-{mount.id}"), 200)["idempotent"] is True
        result(service.upload(mount, "d/f", b"two", overwrite="true"), 200)
        result(service.upload(mount, "big", big), 201)
        at = {"backendMountId": mount.id, "path": "written"}
        result(service.call("PUT", "/v1/files/by-path", params=at, content=b"written"), 201)
        result(service.move(mount, "written", "d/moved"), 200)
        result(service.copy(mount, "d", "copy"), 201)
        result(service.describe(mount, file, set={"n": 1}), 200)
        result(service.restore(mount, nodeId=file, version=1), 200)
        result(service.delete(mount, "copy", recursive=True), 200)
        result(service.restore(mount, path="copy"), 200)
        directories = [{"command": "createDirectory", "path": f"made-{number}"} for number in range(6)]
        assert several(service, mount, "independent", *directories[:2]) == [201, 201]
        inside = {"command": "createDirectory", "path": "made-2/in"}
        assert several(service, mount, "ordered", directories[2], inside, directories[0], directories[3]) == [
            201, 201, 409, 424,
        ]  # fmt: skip
        assert several(service, mount, "atomic", directories[3], {"command": "deleteNode", "path": "made-0"}) == [
            201,
            200,
        ]
        assert several(service, mount, "atomic", directories[4], directories[1]) == [424, 409]
        uploader = client_of(service).uploader(
            file_stream=io.BytesIO(big), chunk_size=1 << 20, metadata=about(mount, "tus")
        )
        uploader.upload()
        events = await stream.events(1 + len(service.journal(mount)))
    finally:
        await close_all()
    assert mount.on_disk() == {
        "d": None, "d/f": b"one", "d/moved": b"written", "big": big, "tus": big, "copy": None, "copy/f": b"two",
        "copy/moved": b"written", "made-1": None, "made-2": None, "made-2/in": None, "made-3": None,
    }  # fmt: skip
    # The end of a command comes before what it changed.
    assert [one.event for one in events[:2]] == ["filestore.command.completed", "filestore.node.created"]
    assert events[1].data["data"]["path"] == "d"
    assert service.call("GET", f"/v1/files/{file}/content").content == b"one"
    assert until(lambda: service.call("GET", "/ready").json()["checks"]["outbox"]["unpublished"] == 0)
