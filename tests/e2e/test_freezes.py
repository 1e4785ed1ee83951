"""A freeze on the real stack: changes are refused, operations wait, reads go on; lifted, everything goes on."""

from base64 import b64encode
from http.client import HTTPConnection
from urllib.parse import urlsplit

from tests.e2e.test_commands import refused, result
from tests.e2e.test_operations import asked, ended, has_done, reached, shown
from tests.e2e.test_resumable import about
from tests.fix_service import MountOfTest, Service


def put_without_its_body(service: Service, mount: MountOfTest) -> int:
    """The answer to a large upload of which only the head is sent."""
    connection = HTTPConnection(urlsplit(service.url).netloc, timeout=60)
    connection.putrequest("PUT", f"/v1/files/by-path?backendMountId={mount.id}&path=large")
    connection.putheader("Authorization", f"Bearer {service.token}")
    connection.putheader("Content-Length", "50000000")
    connection.endheaders()
    return connection.getresponse().status


def resumable(service: Service, mount: MountOfTest) -> int:
    """The answer to the announcement of a resumable upload."""
    named = ",".join(f"{name} {b64encode(text.encode()).decode()}" for name, text in about(mount, "large").items())
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "50000000", "Upload-Metadata": named}
    return service.call("POST", "/v1/uploads", headers=headers).status_code


def test_a_frozen_mount_refuses_changes_and_keeps_operations_waiting_until_it_is_lifted(
    service: Service, mount: MountOfTest
) -> None:
    result(service.mkdir(mount, "a"), 201)
    for number in range(12):
        result(service.upload(mount, f"a/{number}", b"content"), 201)
    operation = asked(service, mount, "copy", path="a", targetPath="z", options={"filesPerSecond": 4})
    has_done(service, operation, 2)
    body = {"scope": {"backendMountId": mount.id}, "reason": "The array is rebuilt."}
    freeze = result(service.call("POST", "/v1/freeze", json=body, headers={"Idempotency-Key": mount.key}), 201)
    again = service.call("POST", "/v1/freeze", json=body, headers={"Idempotency-Key": mount.key})
    assert result(again, 200)["id"] == freeze["id"] and freeze["holds"]
    for answer in (
        service.upload(mount, "new", b"new", key="u"),
        service.mkdir(mount, "new"),
        service.delete(mount, "a/1"),
    ):
        refused(answer, 423, "FROZEN")
        told = {"freezeId": freeze["id"], "reason": "The array is rebuilt.", "until": None}
        assert told.items() <= answer.json()["error"]["details"].items()
    record = f"/v1/metastore/records/{result(service.at(mount, 'a/1'), 200)['id']}"
    refused(service.call("PATCH", record, json={"addTags": ["red"]}), 423, "FROZEN")
    assert (put_without_its_body(service, mount), resumable(service, mount)) == (423, 423), "before any byte comes"
    assert reached(service, operation, "waiting")["waitsFor"] == f"freeze {freeze['id']}"
    lies = mount.on_disk()
    assert result(service.at(mount, "a/1"), 200)["sizeBytes"] == 7, "reads go on"
    service.restart()
    refused(service.upload(mount, "new", b"new", key="u"), 423, "FROZEN")
    assert mount.on_disk() == lies and shown(service, operation)["state"] == "waiting"
    assert freeze["id"] in [one["id"] for one in result(service.call("GET", "/v1/freeze"), 200)["freezes"]]
    assert result(service.call("DELETE", f"/v1/freeze/{freeze['id']}"), 200)["holds"] is False
    refused(service.call("DELETE", f"/v1/freeze/{freeze['id']}"), 409, "WRONG_STATE")
    result(service.upload(mount, "new", b"new", key="u"), 201)
    assert ended(service, operation)["progress"]["itemsDone"] == 13 and "new" in mount.on_disk()
    assert [entry["command"] for entry in service.journal(mount, command="freeze,liftFreeze")] == [
        "liftFreeze",
        "freeze",
    ]
