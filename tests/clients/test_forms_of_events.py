"""Events in the exact forms that existing clients compare or parse, from the stream and from Redis."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import redis

from tests.clients.apphub import EVENTS, AppHub, CommandCompleted, NodeDownloaded, frames
from tests.fix_service import PATIENCE, MountOfTest, Service

Told = list[tuple[str, dict[str, Any]]]


def sent_events(service: Service, mount: MountOfTest, after: int, count: int, **asked: str) -> Told:
    """The first events of a mount after a position, as the stream sends them to that client."""
    params: dict[str, Any] = {"backendMountId": mount.id, "lastEventId": after, **asked}
    headers = {"Accept": "text/event-stream"}
    text, found = "", Told()
    with (
        service.client() as client,
        client.stream("GET", "/v1/events/stream", params=params, headers=headers, timeout=PATIENCE) as answer,
    ):
        for piece in answer.iter_text():
            text += piece
            found = list(frames(text[: text.rfind("\n\n") + 2]))
            if len(found) >= count:
                break
    for name, event in found:
        assert set(event) == {"type", "data"} and event["type"] == name
        EVENTS[name].model_validate(event["data"])
    return [(name.removeprefix("filestore."), event["data"]) for name, event in found]


def last(service: Service) -> int:
    return int(service.call("GET", "/v1/events").json()["data"]["last"])


def events_of(service: Service, mount: MountOfTest, count: int, act: Callable[[AppHub], object]) -> Told:
    after = last(service)
    act(AppHub(service))
    return sent_events(service, mount, after, count)


def test_a_command_is_told_first_then_what_became_of_its_node(service: Service, mount: MountOfTest) -> None:
    def act(client: AppHub) -> None:
        client.create_directory(mount.id, "a")
        file = client.upload_file(mount.id, "a/f", b"abc").result.node_id
        client.upload_file(mount.id, "a/f", b"abcd", overwrite="true")
        client.copy_node(mount.id, "a/f", "g")
        client.move_node(mount.id, "g", "h")
        client.update_metadata(mount.id, file, set={"n": 1})
        client.delete_node(mount.id, "a", recursive=True)

    found = events_of(service, mount, 18, act)
    assert [name for name, _ in found] == [
        "command.completed", "node.created",
        "command.completed", "node.created", "node.uploaded",
        "command.completed", "node.updated", "node.uploaded",
        "command.completed", "node.created", "node.copied",
        "command.completed", "node.updated", "node.moved",
        "command.completed", "node.updated",
        "command.completed", "node.deleted",
    ]  # fmt: skip
    copied, moved = found[10][1], found[13][1]
    assert (copied["copiedFrom"], "movedFrom" in copied) == ("a/f", False)
    assert (moved["movedFrom"], "copiedFrom" in moved) == ("g", False)
    assert all("pathB64" not in data for _, data in found)


def test_a_completed_command_has_the_result_of_its_answer(service: Service, mount: MountOfTest) -> None:
    answers: list[dict[str, Any]] = []

    def act(_: AppHub) -> None:
        answers.append(service.mkdir(mount, "a", key="made").json()["data"])
        answers.append(service.move(mount, "a", "b", key="moved").json()["data"])
        service.mkdir(mount, "no/c", key="refused")

    found = [data for name, data in events_of(service, mount, 6, act) if name == "command.completed"]
    assert [data["result"] for data in found] == [answers[0]["result"], answers[1]["result"], {}]
    assert [data["idempotencyKey"] for data in found] == ["made", "moved", "refused"]
    assert [data["path"] for data in found] == ["a", "b", "no/c"]
    assert [data["journalId"] for data in found[:2]] == [answer["journalEntryId"] for answer in answers]
    assert (found[2]["status"], found[2]["code"]) == ("failed", "PARENT_NOT_FOUND")
    assert CommandCompleted.model_validate(found[0]).node_id == answers[0]["node"]["id"]


def test_a_download_says_how_it_went_out(service: Service, mount: MountOfTest) -> None:
    node = AppHub(service).upload_file(mount.id, "f", b"abc").result.node_id
    after = last(service)
    service.call("GET", f"/v1/files/{node}/content")
    [(_, data)] = sent_events(service, mount, after, 1, events="filestore.node.downloaded")
    event = NodeDownloaded.model_validate(data)
    assert (event.mode, event.range, event.size_bytes, event.path) == ("stream", None, 3, "f")


def test_redis_carries_an_envelope_with_its_origin(service: Service, mount: MountOfTest) -> None:
    client = redis.Redis.from_url(service.env["REDIS_URL"])
    channel: Any = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    channel.subscribe(service.env["FILESTORE_EVENTS_CHANNEL"])
    channel.get_message(timeout=1)
    AppHub(service).create_directory(mount.id, "a")
    found: list[dict[str, Any]] = []
    while len(found) < 2:
        message = channel.get_message(timeout=PATIENCE)
        assert message is not None
        envelope = json.loads(message["data"])
        if envelope["event"]["data"]["backendMountId"] == mount.id:
            found.append(envelope)
    channel.close()
    client.close()
    for envelope in found:
        assert isinstance(envelope["origin"], str) and envelope["origin"]
        assert set(envelope["event"]) == {"type", "data"}
        EVENTS[envelope["event"]["type"]].model_validate(envelope["event"]["data"])
    assert [one["event"]["type"] for one in found] == ["filestore.command.completed", "filestore.node.created"]


def test_a_stream_that_was_refused_is_an_error_like_any_other(service: Service) -> None:
    answer = httpx2.get(f"{service.url}/v1/events/stream", headers={"Accept": "text/event-stream"}, timeout=PATIENCE)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
