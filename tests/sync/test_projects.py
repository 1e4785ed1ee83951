"""Projects over HTTP, on the real service and a real NATS: put, commit, follow, conflict, history."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from activities.sync.hot import HotUnavailable
from activities.sync.nats.store import NatsHot
from api.sync.packs import pack, unpack
from tests.fix_service import MountOfTest, Service, until
from tests.sync.nats_server import link_to


def sha_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class ProjectOfTest:
    """A project as a client uses it."""

    def __init__(self, service: Service, mount: MountOfTest, **options: Any) -> None:
        self.service, self.name = service, f"p-{uuid.uuid4().hex[:8]}"
        self.call("POST", "", 201, json={"name": self.name, "backendMountId": mount.id, **options}, top=True)

    def call(self, method: str, path: str, status: int = 200, *, top: bool = False, **options: Any) -> Any:
        address = "/v1/projects" if top else f"/v1/projects/{self.name}{path}"
        answer = self.service.call(method, address, **options)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.headers.get("content-type") == "application/json" else answer.content

    def put(self, content: bytes) -> str:
        sha = sha_of(content)
        self.call("PUT", f"/objects/{sha}", content=content)
        return sha

    def change(self, path: str, content: bytes, base: bytes | None = None) -> dict[str, Any]:
        before = None if base is None else sha_of(base)
        return {"kind": "put", "path": path, "sha": self.put(content), "sizeBytes": len(content), "baseSha": before}

    def commit(self, *changes: dict[str, Any], status: int = 201, **body: Any) -> Any:
        return self.call("POST", "/commits", status, json={"changes": changes, **body})

    def changes(self, since: str = "0", **query: Any) -> Any:
        return self.call("GET", "/changes", params={"since": since, **query})["data"]

    def shown(self) -> Any:
        return self.call("GET", "")["data"]


@pytest.fixture
def project(service: Service, mount: MountOfTest) -> Iterator[ProjectOfTest]:
    yield ProjectOfTest(service, mount)


def test_a_commit_is_a_revision_that_others_can_follow_and_read(project: ProjectOfTest) -> None:
    small, large = b"small", b"large" * 200_000
    made = project.commit(project.change("d/small", small), project.change("large", large))["data"]
    assert (made["revision"], made["durability"], made["other"]) == (1, "hot", [])
    changes = project.changes()
    assert [(one["kind"], one["path"]) for one in changes["changes"]] == [
        ("mkdir", "d"),
        ("put", "d/small"),
        ("put", "large"),
    ]
    assert (changes["nextSince"], changes["manifestSha"]) == ("1", made["manifestSha"])
    assert project.call("GET", f"/objects/{sha_of(large)}") == large
    wanted = [sha_of(small), sha_of(large), "0" * 64]
    assert unpack(project.call("POST", "/fetch", json={"shas": wanted})) == {sha_of(small): small}
    assert project.call("POST", "/intent", json={"shas": wanted})["data"] == {"needed": ["0" * 64]}
    tree = project.call("GET", "/tree")["data"]
    assert [(one["name"], one["kind"], one["sizeBytes"], one["files"]) for one in tree["entries"]] == [
        ("d", "directory", 5, 1), ("large", "file", len(large), 1),
    ]  # fmt: skip
    held = project.shown()["objects"].values()  # some have a cold copy by now
    assert sum(one["objects"] for one in held) == 2 and sum(one["sizeBytes"] for one in held) == 5 + len(large)


def test_many_small_contents_come_with_one_request(project: ProjectOfTest) -> None:
    contents = {sha_of(b"%d" % n): b"%d" % n for n in range(200)}
    assert project.call("POST", "/objects", content=pack(contents))["data"]["created"] == sorted(contents)
    assert project.call("POST", "/objects", content=pack(contents))["data"]["created"] == []
    broken = pack({sha_of(b"x"): b"y"})
    assert project.call("POST", "/objects", 422, content=broken)["error"]["code"] == "CHECKSUM_MISMATCH"


def test_a_commit_is_refused_on_another_head_and_for_contents_that_are_not_there(project: ProjectOfTest) -> None:
    head = project.commit(project.change("f", b"one"), base=0)["data"]
    stale = project.commit(project.change("g", b"two"), base=0, status=409)["error"]
    assert (stale["code"], stale["details"]["manifestSha"]) == ("STALE_REVISION", head["manifestSha"])
    missing = {"kind": "put", "path": "h", "sha": "0" * 64, "sizeBytes": 1}
    assert project.commit(missing, status=409)["error"]["details"] == {"needed": ["0" * 64]}


def test_the_same_batch_is_committed_once(project: ProjectOfTest) -> None:
    change = project.change("f", b"one")
    assert project.commit(change, batch="b1") == project.commit(change, batch="b1")
    other = project.change("f", b"two")
    assert project.commit(other, batch="b1", status=409)["error"]["code"] == "IDEMPOTENCY_CONFLICT"
    assert len(project.call("GET", "/commits")["data"]["revisions"]) == 1


def test_a_conflict_is_in_the_inbox_until_one_content_is_chosen(project: ProjectOfTest) -> None:
    project.commit(project.change("f", b"one"), node="a")
    project.commit(project.change("f", b"two"), node="b")
    (conflict,) = project.call("GET", "/conflicts")["data"]["conflicts"]
    assert (conflict["path"], conflict["winnerSha"], conflict["loserSha"], conflict["loserNode"]) == (
        "f", sha_of(b"two"), sha_of(b"one"), "a",
    )  # fmt: skip
    chosen = {"ids": [conflict["id"]], "decision": "loser"}
    assert project.call("POST", "/conflicts/decide", json=chosen)["data"] == {"decided": 1}
    assert project.changes("2")["changes"][0]["sha"] == sha_of(b"one")
    assert project.call("GET", "/conflicts")["data"]["conflicts"] == []
    assert project.call("GET", "/tree", params={"revision": 2})["data"]["entries"][0]["sha"] == sha_of(b"two")


def test_events_of_a_commit_are_in_the_feed_behind_those_of_its_contents(
    project: ProjectOfTest, mount: MountOfTest
) -> None:
    project.commit(project.change("f", b"new content"))

    def told() -> list[str]:
        feed = project.service.call("GET", "/v1/events", params={"backendMountId": mount.id, "limit": 100}).json()
        return [one["type"] for one in feed["data"]["events"] if one["data"].get("project") == project.name]

    assert until(lambda: len(told()) >= 3)
    assert told()[:3] == ["filestore.object.created", "filestore.path.created", "filestore.project.changed"]


def test_events_are_told_in_the_hot_store_as_cloudevents(project: ProjectOfTest) -> None:
    project.commit(project.change("f", b"told"))

    async def told(subject: str) -> dict[str, Any]:
        link = link_to(project.service.stack)
        try:
            message = await link.ask(f"$JS.API.DIRECT.GET.FS_EVENTS.{subject}")
            return dict(json.loads(message.data or b"{}"))
        finally:
            await link.close()

    def is_there() -> bool:
        with suppress(HotUnavailable):
            return bool(asyncio.run(told("fs.events.path.created")).get("data", {}).get("project") == project.name)
        return False

    assert until(is_there)
    created, path = (asyncio.run(told(f"fs.events.{what}.created")) for what in ("object", "path"))
    assert (path["specversion"], path["subject"], path["data"]["event"]) == ("1.0", "f", "PathCreated")
    assert created["data"]["sha"] == sha_of(b"told") and created["sequence"] < path["sequence"]


def test_a_strict_project_is_cold_before_it_is_committed(service: Service, mount: MountOfTest) -> None:
    project = ProjectOfTest(service, mount, promotion="strict")
    content = b"strict"
    assert project.commit(project.change("f", content))["data"]["durability"] == "cold"
    assert project.shown()["tier"] == "cold"
    assert project.call("GET", f"/objects/{sha_of(content)}") == content


def test_a_file_is_shared_by_an_address_that_gives_what_is_there_then(project: ProjectOfTest) -> None:
    project.commit(project.change("d/report.txt", b"first"))
    made = project.call("POST", "/links", 201, json={"path": "d/report.txt", "maxUses": 3})["data"]
    assert (made["project"], made["path"], made["kind"]) == (project.name, "d/report.txt", "read")
    stranger = httpx2.Client()

    def followed() -> tuple[int, bytes]:
        answer = stranger.get(made["url"])
        return answer.status_code, answer.content

    assert followed() == (200, b"first")
    head = stranger.head(made["url"])
    assert (head.headers["content-length"], "report.txt" in head.headers["content-disposition"]) == ("5", True)
    project.commit(project.change("d/report.txt", b"second", b"first"))
    assert followed() == (200, b"second")
    project.commit({"kind": "delete", "path": "d/report.txt", "baseSha": sha_of(b"second")})
    assert followed()[0] == 404
    project.commit(project.change("d/report.txt", b"third"))
    assert [followed(), followed()[0]] == [(200, b"third"), 404], "it was used three times"
    for path, code in (("d", "NODE_NOT_FOUND"), ("nothing", "NODE_NOT_FOUND"), ("..", "INVALID_PATH")):
        status = 400 if code == "INVALID_PATH" else 404
        assert project.call("POST", "/links", status, json={"path": path})["error"]["code"] == code
    again = project.call("POST", "/links", 201, json={"path": "d/report.txt"})["data"]
    project.call("DELETE", "")
    assert stranger.get(again["url"]).status_code == 404, "it ends with its project"
    stranger.close()


def test_a_frozen_mount_refuses_what_would_change_a_project(project: ProjectOfTest) -> None:
    put = project.change("f", b"one")
    project.commit(put)
    mount = project.shown()["backendMountId"]
    body = {"scope": {"backendMountId": mount}, "reason": "It is moved."}
    freeze = project.service.call("POST", "/v1/freeze", json=body).json()["data"]["id"]
    again = {**put, "path": "g"}
    refusals = [
        project.commit(again, status=423, batch="b"),
        project.call("PUT", f"/objects/{sha_of(b'new')}", 423, content=b"new"),
        project.call("POST", "/objects", 423, content=pack({sha_of(b"new"): b"new"})),
        project.call("POST", "/conflicts/decide", 423, json={"ids": [1], "decision": "loser"}),
        project.call("POST", "/gc", 423, json={}),
        project.call("DELETE", "", 423),
        project.call("POST", "", 423, json={"name": "another", "backendMountId": mount}, top=True),
    ]
    for refused in refusals:
        assert refused["error"]["code"] == "FROZEN" and refused["error"]["details"]["freezeId"] == freeze
    project.call("POST", "/promote", 202, json={})
    assert [one["path"] for one in project.changes()["changes"]] == ["f"], "reads go on"
    assert project.service.call("DELETE", f"/v1/freeze/{freeze}").status_code == 200
    assert project.commit(again, batch="b")["data"]["revision"] == 2


def test_nodes_are_listed_with_how_far_they_are(project: ProjectOfTest) -> None:
    project.call("POST", "/nodes", 201, json={"name": "n1", "host": "h", "folder": "/srv"})
    project.commit(project.change("f", b"one"))
    beat = project.call("PATCH", "/nodes/n1", json={"revision": 0, "waiting": 2})["data"]
    assert beat == {"state": "active", "revision": 1, "wanted": []}
    (node,) = project.call("GET", "/nodes")["data"]["nodes"]
    assert (node["lag"], node["waiting"], node["alive"]) == (1, 2, True)
    project.call("PATCH", "/nodes/n1", json={"revision": 1, "waiting": 0})
    project.call("DELETE", "/nodes/n1", 204)
    assert project.call("PATCH", "/nodes/n1", 404, json={})["error"]["code"] == "NOT_FOUND"
    done = ["createProject", "attachProjectNode", "commitProject", "followProject", "detachProjectNode"]
    assert until(lambda: [what for what in audited(project) if what != "moveProjectContents"] == done)


def audited(project: ProjectOfTest) -> list[str]:
    """What the audit stream has of a project."""

    async def read() -> list[dict[str, Any]]:
        hot = NatsHot(link_to(project.service.stack))
        try:
            return [json.loads(entry) async for page in hot.noted() for entry in page]
        except HotUnavailable:
            return []
        finally:
            await hot.close()

    return [one["what"] for one in asyncio.run(read()) if one["details"]["project"] == project.name]


def test_a_name_is_taken_until_its_project_is_deleted(project: ProjectOfTest, mount: MountOfTest) -> None:
    again = {"name": project.name, "backendMountId": mount.id}
    assert project.call("POST", "", 409, top=True, json=again)["error"]["code"] == "PROJECT_EXISTS"
    kept = project.service.call("DELETE", f"/v1/backend-mounts/{mount.id}", params={"forget": "true"})
    assert (kept.status_code, kept.json()["error"]["code"]) == (409, "CHILDREN_EXIST") and project.name in kept.text
    project.call("DELETE", "")
    project.call("GET", "", 404)
    assert project.call("POST", "", 201, top=True, json=again)["data"]["revision"] == 0
