"""Drift on the real stack: what another program does to a mount becomes the record, or waits for a person."""

import os
import shutil
from typing import Any

import psycopg
import pytest

from tests.e2e.test_commands import refused, result
from tests.fix_service import MountOfTest, Service, check_mounts, until

HINT = "INSERT INTO filestore.drift_hints (mount_id, path, subtree, reason) VALUES (%s, %s, false, 'test')"


@pytest.fixture
def tree(service: Service, mount: MountOfTest) -> MountOfTest:
    for path in ("d", "d/e"):
        result(service.mkdir(mount, path), 201)
    for path in ("a", "b", "d/c", "d/e/f"):
        result(service.upload(mount, path, path.encode()), 201)
    return mount


def reconciled(service: Service, mount: MountOfTest, path: str = "", **body: Any) -> dict[str, Any]:
    answer = service.call("POST", "/v1/reconciliation", json={"backendMountId": mount.id, "path": path, **body})
    asked = result(answer, 202)
    assert asked["enqueued"] is True
    where = f"/v1/reconciliation/jobs/{asked['id']}"
    assert until(lambda: result(service.call("GET", where), 200)["completedAt"] is not None), where
    return result(service.call("GET", where), 200)


def states(service: Service, mount: MountOfTest) -> dict[str, str]:
    page = result(service.call("GET", "/v1/nodes", params={"backendMountId": mount.id, "limit": 200}), 200)
    return {node["path"]: node["state"] for node in page["nodes"] if node["path"]}


def inbox(service: Service, mount: MountOfTest, **query: Any) -> dict[str, dict[str, Any]]:
    page = result(service.call("GET", "/v1/drift", params={"backendMountId": mount.id, **query}), 200)
    return {one["path"]: one for one in page["findings"]}


def policy(service: Service, mount: MountOfTest, **body: Any) -> dict[str, Any]:
    brake = {"share": 1, "count": 1000}
    where = f"/v1/backend-mounts/{mount.id}/policy"
    return result(service.call("PUT", where, json={"phase": "enforce", "brake": brake, **body}), 200)


def test_a_reconciliation_by_hand_brings_the_record_to_the_disk(service: Service, tree: MountOfTest) -> None:
    first = service.at(tree, "a").json()["data"]
    assert reconciled(service, tree, "", detectChildren=True)["status"] == "succeeded"
    (tree.root / "a").write_bytes(b"other")
    (tree.root / "b").rename(tree.root / "d" / "moved")
    (tree.root / "d" / "c").unlink()
    (tree.root / "new").mkdir()
    (tree.root / "new" / "file").write_bytes(b"new")
    job = reconciled(service, tree, "", detectChildren=True, reason="audit")
    assert (job["status"], job["reason"], job["result"]["counts"]["moved"]) == ("succeeded", "audit", 1)
    assert states(service, tree) == {
        "a": "active", "d": "active", "d/c": "missing", "d/e": "active", "d/e/f": "active", "d/moved": "active",
        "new": "active", "new/file": "active",
    }  # fmt: skip
    node = service.at(tree, "a").json()["data"]
    assert (node["id"], node["sizeBytes"], node["version"]) == (first["id"], 5, first["version"] + 1)
    assert node["lastReconciledAt"] and node["consistencyState"] == "active"
    shown = result(service.call("GET", "/v1/reconciliation/jobs", params={"backendMountId": tree.id}), 200)
    assert [one["status"] for one in shown["jobs"]] == ["succeeded", "succeeded"]
    consistency = result(service.call("GET", f"/v1/backend-mounts/{tree.id}/consistency"), 200)
    assert consistency["freshSince"] and consistency["findings"] == {}


def test_a_lone_file_that_is_gone_is_missing_and_comes_back(service: Service, tree: MountOfTest) -> None:
    (tree.root / "a").rename(tree.root.parent / "away-a")
    job = reconciled(service, tree, "a", reason="drift")
    assert (job["status"], job["result"]["outcome"], states(service, tree)["a"]) == ("succeeded", "missing", "missing")
    shutil.move(tree.root.parent / "away-a", tree.root / "a")
    assert reconciled(service, tree, "a")["result"]["outcome"] == "reconciled"
    assert states(service, tree)["a"] == "active"
    wanted = ["filestore.drift.detected", "filestore.node.missing", "filestore.node.reconciled"]

    def told() -> list[str]:
        asked = {"after": 0, "limit": 1000, "backendMountId": tree.id}
        events = result(service.call("GET", "/v1/events", params=asked), 200)["events"]
        types: list[str] = [event["type"] for event in events if event["data"].get("path") == "a"]
        return types

    assert until(lambda: told().count("filestore.reconciliation.job.completed") == 2), told()
    assert [type for type in told() if type in wanted] == wanted


def test_what_waits_for_a_person_is_decided_on_what_was_shown(service: Service, tree: MountOfTest) -> None:
    assert policy(service, tree, onNew="ask", onChanged="ask", onMissing="ask")["onNew"] == "ask"
    reconciled(service, tree, "", detectChildren=True)
    (tree.root / "a").write_bytes(b"theirs")
    (tree.root / "b").unlink()
    (tree.root / "n").mkdir()
    (tree.root / "n" / "x").write_bytes(b"x")
    reconciled(service, tree, "", detectChildren=True)
    found = inbox(service, tree)
    assert {path: one["kind"] for path, one in found.items()} == {"a": "changed", "b": "missing", "n": "new"}

    def decide(decision: str, *paths: str, **more: Any) -> Any:
        ids = [{"id": found[path]["id"], "version": found[path]["version"]} for path in paths]
        return service.call("POST", "/v1/drift/decide", json={"ids": ids, "decision": decision, **more})

    plan = result(decide("accept", "a", "b", planOnly=True), 200)
    assert (plan["decided"], len(plan["findings"])) == (False, 2)
    (tree.root / "a").write_bytes(b"again")
    refused(decide("accept", "a"), 409, "STALE_FINDING")
    assert result(decide("accept", "b", "n"), 200)["decided"]
    assert until(lambda: states(service, tree).get("n/x") == "active"), states(service, tree)
    assert "b" not in states(service, tree)
    result(decide("ignore", "a"), 200)
    reconciled(service, tree, "", detectChildren=True)
    assert (inbox(service, tree), set(inbox(service, tree, state="ignored"))) == ({}, {"a"})
    assert (tree.root / "a").read_bytes() == b"again"


def test_hints_lead_to_looks_until_none_waits(service: Service, tree: MountOfTest) -> None:
    policy(service, tree)
    reconciled(service, tree, "", detectChildren=True)
    (tree.root / "a").write_bytes(b"hinted")
    (tree.root / "b").unlink()
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        for path in (b"a", b"b"):
            connection.execute(HINT, (tree.id, path))
    assert until(lambda: states(service, tree).get("b") == "missing"), states(service, tree)
    assert service.at(tree, "a").json()["data"]["sizeBytes"] == 6


def test_a_brake_holds_a_look_that_would_change_much_until_a_person_says_yes(
    service: Service, tree: MountOfTest
) -> None:
    policy(service, tree, brake={"share": 0.2, "count": 100})
    reconciled(service, tree, "", detectChildren=True)
    shutil.rmtree(tree.root / "d")
    job = reconciled(service, tree, "", detectChildren=True)
    assert (job["status"], job["error"]["code"]) == ("failed", "BRAKE")
    assert set(states(service, tree).values()) == {"active"}
    [held] = result(service.call("GET", "/v1/drift/looks", params={"backendMountId": tree.id}), 200)["looks"]
    assert (held["plan"]["changes"], held["plan"]["counts"]) == (4, {"missed": 4})
    result(service.call("POST", f"/v1/drift/looks/{held['id']}/release"), 202)
    assert until(lambda: states(service, tree)["d/e/f"] == "missing"), states(service, tree)
    assert until(
        lambda: result(service.call("GET", "/v1/drift/looks", params={"backendMountId": tree.id}), 200)["looks"] == []
    )
    assert states(service, tree)["a"] == "active"


def test_what_was_decided_is_put_right_from_our_copies(service: Service, tree: MountOfTest) -> None:
    """By policy and by a person, brake included; the way back of an undo leads to what lay there."""
    (tree.root / "d" / "e" / "f").write_bytes(os.urandom(16))  # no other mount of the run has a copy of it
    reconciled(service, tree, "", detectChildren=True)
    result(service.upload(tree, "copy-of-a", b"a"), 201)
    result(service.upload(tree, "copy-of-c", b"d/c"), 201)
    policy(service, tree, onNew="quarantine", onChanged="restore", onMissing="ask", brake={"share": 1, "count": 1})
    reconciled(service, tree, "", detectChildren=True)
    (tree.root / "a").write_bytes(b"theirs")
    (tree.root / "stray").write_bytes(b"stray")
    reconciled(service, tree, "", detectChildren=True)
    looks = "/v1/drift/looks"
    assert until(lambda: result(service.call("GET", looks, params={"backendMountId": tree.id}), 200)["looks"])
    [held] = result(service.call("GET", looks, params={"backendMountId": tree.id}), 200)["looks"]
    assert (held["reason"], held["plan"]["counts"]) == ("heal", {"restore": 1, "quarantine": 1})
    assert ((tree.root / "a").read_bytes(), (tree.root / "stray").exists()) == (b"theirs", True)
    result(service.call("POST", f"{looks}/{held['id']}/release"), 202)
    refused(service.call("POST", f"{looks}/{held['id']}/release"), 404, "NOT_FOUND")
    assert until(lambda: (tree.root / "a").read_bytes() == b"a" and not (tree.root / "stray").exists())
    policy(service, tree, onMissing="ask")
    shutil.rmtree(tree.root / "d")
    reconciled(service, tree, "", detectChildren=True)
    found = inbox(service, tree)["d"]
    body = {"ids": [{"id": found["id"], "version": found["version"]}], "decision": "restore"}
    assert result(service.call("POST", "/v1/drift/decide", json=body), 200)["findings"][0]["state"] == "waiting"
    assert until(lambda: "d/e/f" in inbox(service, tree, state="open")), inbox(service, tree)
    assert (tree.root / "d" / "c").exists()
    assert states(service, tree) == {
        "a": "active", "b": "active", "copy-of-a": "active", "copy-of-c": "active", "d": "active", "d/c": "active",
        "d/e": "active", "d/e/f": "missing",
    }  # fmt: skip
    assert inbox(service, tree)["d/e/f"]["problem"]["code"] == "CONTENT_EXPIRED"
    node = service.at(tree, "a").json()["data"]
    versions = result(service.call("GET", f"/v1/nodes/{node['id']}/snapshots"), 200)["snapshots"]
    assert [(one["version"], one["sizeBytes"]) for one in versions[:2]] == [
        (node["version"], 1),
        (node["version"] - 1, 6),
    ]
    content = service.call("GET", versions[1]["contentUrl"])
    assert content.content == b"theirs"
    place = tree.root / "a"
    was = place.stat()
    place.write_bytes(b"x")
    os.utime(place, ns=(was.st_atime_ns, was.st_mtime_ns))
    policy(service, tree, onMissing="ask", scrub={"everySeconds": 2})
    assert until(lambda: place.read_bytes() == b"a")
    assert until(lambda: scrub_of(service, tree)["coverage"] == 1.0 and scrub_of(service, tree)["oldestVerified"])
    policy(service, tree)
    check_mounts([tree])


def scrub_of(service: Service, mount: MountOfTest) -> dict[str, Any]:
    scrub: dict[str, Any] = result(service.call("GET", f"/v1/backend-mounts/{mount.id}/consistency"), 200)["scrub"]
    return scrub
