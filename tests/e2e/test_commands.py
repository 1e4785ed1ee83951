"""Every command as a client sees it, on the real stack."""

import hashlib
import json
from typing import Any

import redis

from tests.fix_service import PATIENCE, MountOfTest, Service, until


def result(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    return dict(response.json()["data"])


def refused(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == code, error
    return dict(error)


def test_a_directory_is_made_on_disk_and_in_the_record(service: Service, mount: MountOfTest) -> None:
    data = result(service.mkdir(mount, "a"), 201)
    assert data["idempotent"] is False
    assert data["node"]["path"] == "a" and data["node"]["kind"] == "directory" and data["node"]["depth"] == 1
    assert data["result"]["commandType"] == "createDirectory" and data["result"]["version"] == 1
    assert mount.on_disk() == {"a": None}


def test_a_file_goes_in_and_comes_out(service: Service, mount: MountOfTest) -> None:
    content = b"hello\0world" * 1000
    data = result(service.upload(mount, "f.bin", content, metadata={"n": 1, "t": True, "x": None}), 201)
    digest = hashlib.sha256(content).hexdigest()
    assert data["node"]["contentHash"] == digest and data["node"]["sizeBytes"] == len(content)
    assert data["node"]["metadata"] == {"n": 1, "t": True, "x": None}
    assert mount.on_disk() == {"f.bin": content}
    answer = service.call("GET", data["node"]["download"]["streamUrl"])
    assert answer.content == content and answer.headers["etag"] == f'"{digest}"'
    part = service.call("GET", data["node"]["download"]["streamUrl"], headers={"Range": "bytes=5-15"})
    assert part.status_code == 206 and part.content == content[5:16]


def test_a_large_file_is_streamed_through_a_stage(service: Service, mount: MountOfTest) -> None:
    content = bytes(range(256)) * 4096 * 12
    digest = hashlib.sha256(content).hexdigest()
    data = result(service.upload(mount, "big", content, headers={"x-filestore-checksum": f"sha256:{digest}"}), 201)
    assert data["node"]["contentHash"] == digest
    assert service.call("GET", data["node"]["download"]["streamUrl"]).content == content


def test_overwrite_keeps_the_old_content_in_the_trash(service: Service, mount: MountOfTest) -> None:
    result(service.upload(mount, "f", b"old"), 201)
    refused(service.upload(mount, "f", b"new"), 409, "NODE_EXISTS")
    data = result(service.upload(mount, "f", b"newer", overwrite="true"), 200)
    assert data["result"]["previousVersion"] == 1 and data["result"]["previousSizeBytes"] == 3
    assert data["node"]["version"] == 2
    assert mount.on_disk() == {"f": b"newer"}
    # It gets there after the answer: the stage is cleared once the record is durable.
    trash = mount.root / ".filestore/trash"
    assert until(lambda: [p.read_bytes() for p in trash.rglob("*") if p.is_file()] == [b"old"])


def test_deleting_moves_to_the_trash_and_can_be_repeated(service: Service, mount: MountOfTest) -> None:
    result(service.mkdir(mount, "d"), 201)
    result(service.upload(mount, "d/f", b"x"), 201)
    refused(service.delete(mount, "d"), 409, "CHILDREN_EXIST")
    assert result(service.delete(mount, "d/f"), 200)["node"]["state"] == "deleted"
    assert result(service.delete(mount, "d"), 200)["idempotent"] is False
    assert result(service.delete(mount, "d"), 200)["idempotent"] is True
    refused(service.delete(mount, "never"), 404, "NODE_NOT_FOUND")
    assert mount.on_disk() == {}
    assert service.at(mount, "d").json()["data"]["state"] == "deleted"


def test_a_new_file_on_a_deleted_path_is_a_new_node(service: Service, mount: MountOfTest) -> None:
    first = result(service.upload(mount, "f", b"1"), 201)["node"]
    result(service.delete(mount, "f"), 200)
    second = result(service.upload(mount, "f", b"2"), 201)["node"]
    assert first["id"] != second["id"] and second["version"] == 1


def test_rollups_are_exact_at_commit(service: Service, mount: MountOfTest) -> None:
    result(service.mkdir(mount, "a"), 201)
    result(service.mkdir(mount, "a/b"), 201)
    result(service.upload(mount, "a/b/f", b"12345"), 201)
    result(service.upload(mount, "a/g", b"123"), 201)
    result(service.upload(mount, "a/b/f", b"1234567", overwrite="true"), 200)
    rollup = service.at(mount, "a").json()["data"]["rollup"]
    assert (rollup["sizeBytes"], rollup["fileCount"], rollup["directoryCount"], rollup["childCount"]) == (10, 2, 1, 2)
    result(service.delete(mount, "a/b/f"), 200)
    rollup = service.at(mount, "a").json()["data"]["rollup"]
    assert (rollup["sizeBytes"], rollup["fileCount"], rollup["directoryCount"]) == (3, 1, 1)


def test_the_parent_must_exist_and_be_a_directory(service: Service, mount: MountOfTest) -> None:
    refused(service.mkdir(mount, "no/child"), 404, "PARENT_NOT_FOUND")
    refused(service.upload(mount, "no/child", b""), 404, "PARENT_NOT_FOUND")
    result(service.upload(mount, "file", b""), 201)
    assert service.mkdir(mount, "file/child").json()["error"]["code"] in ("PARENT_NOT_FOUND", "NOT_A_DIRECTORY")
    assert mount.on_disk() == {"file": b""}


def test_the_same_key_answers_the_same_and_another_body_is_refused(service: Service, mount: MountOfTest) -> None:
    first = result(service.upload(mount, "f", b"one", key="k1"), 201)
    again = result(service.upload(mount, "f", b"one", key="k1"), 200)
    assert again["idempotent"] is True and again["journalEntryId"] == first["journalEntryId"]
    refused(service.upload(mount, "f", b"two", key="k1"), 409, "IDEMPOTENCY_CONFLICT")
    refused(service.mkdir(mount, "other", key="k1"), 409, "IDEMPOTENCY_CONFLICT")
    failed = refused(service.mkdir(mount, "no/parent", key="k2"), 404, "PARENT_NOT_FOUND")
    assert refused(service.mkdir(mount, "no/parent", key="k2"), 404, "PARENT_NOT_FOUND") == failed
    assert mount.on_disk() == {"f": b"one"}
    assert len(service.journal(mount)) == 2


def test_a_stale_version_is_refused(service: Service, mount: MountOfTest) -> None:
    result(service.upload(mount, "f", b"1"), 201)
    result(service.upload(mount, "f", b"2", overwrite="true"), 200)
    refused(service.upload(mount, "f", b"3", headers={"If-Match": '"1"'}), 412, "VERSION_CONFLICT")
    result(service.upload(mount, "f", b"3", headers={"If-Match": '"2"'}), 200)
    digest = hashlib.sha256(b"3").hexdigest()
    result(service.upload(mount, "f", b"4", headers={"If-Match": f'"{digest}"'}), 200)
    assert mount.on_disk() == {"f": b"4"}


def test_a_wrong_checksum_stores_nothing(service: Service, mount: MountOfTest) -> None:
    for size in (10, 300_000):
        answer = service.upload(mount, "f", b"x" * size, headers={"x-filestore-checksum": "sha256:" + "0" * 64})
        refused(answer, 422, "CHECKSUM_MISMATCH")
        entry = service.journal(mount)[0]
        assert (entry["outcome"], entry["code"], entry["path"]) == ("failed", "CHECKSUM_MISMATCH", "f")
        assert entry["commandId"] == answer.headers["x-filestore-command-id"]
    assert mount.on_disk() == {}
    assert len(service.journal(mount)) == 2


def test_the_right_content_comes_under_the_key_of_the_wrong_one(service: Service, mount: MountOfTest) -> None:
    claim = {"x-filestore-checksum": hashlib.sha256(b"right").hexdigest()}
    refused(service.upload(mount, "f", b"wrong", key="k", headers=claim), 422, "CHECKSUM_MISMATCH")
    result(service.upload(mount, "f", b"right", key="k", headers=claim), 201)
    assert mount.on_disk() == {"f": b"right"}
    newest, first = service.journal(mount)
    assert (newest["outcome"], newest["key"], first["outcome"]) == ("succeeded", "k", "failed")


def test_the_journal_tells_everything_failures_too(service: Service, mount: MountOfTest) -> None:
    result(service.mkdir(mount, "a", key="key-a"), 201)
    refused(service.mkdir(mount, "x/y"), 404, "PARENT_NOT_FOUND")
    newest, first = service.journal(mount)
    assert (newest["outcome"], newest["code"], newest["path"]) == ("failed", "PARENT_NOT_FOUND", "x/y")
    assert newest["context"]["message"]
    assert (first["outcome"], first["command"], first["key"]) == ("succeeded", "createDirectory", "key-a")
    assert first["principal"] and first["workflowId"].startswith(f"cmd/{mount.id}/")
    shown = service.call("GET", f"/v1/commands/{first['commandId']}").json()["data"]
    assert shown["status"] == "succeeded" and shown["outcome"]["result"]["path"] == "a"


def test_events_reach_redis_in_commit_order_without_gaps(service: Service, mount: MountOfTest) -> None:
    client = redis.Redis.from_url(service.env["REDIS_URL"])
    channel: Any = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    channel.subscribe(service.env["FILESTORE_EVENTS_CHANNEL"])
    channel.get_message(timeout=1)
    result(service.mkdir(mount, "a"), 201)
    result(service.upload(mount, "a/f", b"1"), 201)
    result(service.upload(mount, "a/f", b"22", overwrite="true"), 200)
    result(service.delete(mount, "a/f"), 200)
    expected = [
        "command.completed", "node.created", "command.completed", "node.created", "node.uploaded",
        "command.completed", "node.updated", "node.uploaded", "command.completed", "node.deleted",
    ]  # fmt: skip
    seen: list[dict[str, Any]] = []
    while len(seen) < len(expected):
        message = channel.get_message(timeout=PATIENCE)
        assert message is not None, f"only {[m['type'] for m in seen]} arrived"
        envelope = json.loads(message["data"])
        assert set(envelope) == {"origin", "event", "position"} and set(envelope["event"]) == {"type", "data"}
        if envelope["event"]["data"]["backendMountId"] == mount.id:
            seen.append(envelope["event"] | envelope)
    channel.close()
    client.close()
    assert [event["type"].removeprefix("filestore.") for event in seen] == expected
    positions = [event["position"] for event in seen]
    assert positions == list(range(positions[0], positions[0] + len(positions)))
    assert all(event["origin"] for event in seen), "the process that sent it"
    assert seen[6]["data"]["delta"] == {"sizeBytes": 1, "fileCount": 0} and seen[6]["data"]["version"] == 2


def test_a_bucket_that_is_not_there_is_said_so_without_its_secret(service: Service, mount: MountOfTest) -> None:
    config = {"endpoint": "http://127.0.0.1:9", "secretAccessKey": "s3cr3t", "accessKeyId": "me"}
    made = service.call(
        "POST", "/v1/backend-mounts",
        json={"mountKey": f"s3-{mount.key}", "backendKind": "s3", "bucket": "bucket", "config": config},
    )  # fmt: skip
    refused(made, 503, "MOUNT_OFFLINE")
    assert "s3cr3t" not in made.text


def test_there_is_no_such_mount(service: Service, mount: MountOfTest) -> None:
    answer = service.call("POST", "/v1/directories", json={"backendMountId": 2**40, "path": "a"})
    refused(answer, 404, "BACKEND_NOT_FOUND")


def test_without_waiting_the_answer_is_a_place_to_ask(service: Service, mount: MountOfTest) -> None:
    body = {"backendMountId": mount.id, "path": "later"}
    answer = service.call("POST", "/v1/directories", json=body, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    place = answer.headers["location"]
    assert until(lambda: service.call("GET", place).json()["data"]["status"] != "running")
    shown = service.call("GET", place)
    assert shown.json()["data"]["status"] == "succeeded"
