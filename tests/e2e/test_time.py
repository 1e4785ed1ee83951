"""What was: the work that commands belonged to, and how the tree was at each time, on the real stack."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.e2e.test_commands import refused, result
from tests.fix_service import MountOfTest, Service, until


def named(service: Service, work: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = result(service.call("GET", "/v1/journal", params={"correlationId": work}), 200)[
        "entries"
    ]
    return found


def test_all_that_was_done_under_one_name_is_found_by_it(service: Service, mount: MountOfTest) -> None:
    work, headers = f"import of {mount.id}", {"X-Correlation-Id": f"import of {mount.id}"}
    after = service.call("GET", "/v1/events", params={"after": 0, "limit": 1}).json()["data"]["last"]
    body = {"backendMountId": mount.id, "path": "d"}
    result(service.call("POST", "/v1/directories", json=body, headers=headers), 201)
    where = {"backendMountId": mount.id, "path": "d/f"}
    result(service.call("PUT", "/v1/files/by-path", params=where, content=b"abc", headers=headers), 201)
    commands = [
        {"command": "copyNode", "backendMountId": mount.id, "path": "d/f", "targetPath": "d/g"},
        {"command": "createDirectory", "backendMountId": mount.id, "path": "none/e"},
    ]
    result(service.call("POST", "/v1/commands", json={"commands": commands}, headers=headers), 200)
    result(service.mkdir(mount, "of nobody"), 201)

    entries = named(service, work)
    assert sorted(entry["command"] for entry in entries) == [
        "copyNode", "createDirectory", "createDirectory", "uploadFile",
    ]  # fmt: skip
    assert {entry["correlationId"] for entry in entries} == {work}

    def events() -> list[dict[str, Any]]:
        page = service.call("GET", "/v1/events", params={"after": after, "limit": 1000}).json()["data"]["events"]
        return [event["data"] for event in page if event["data"]["backendMountId"] == mount.id]

    assert until(lambda: len({event["commandId"] for event in events()}) == 5)
    by_command = {event["commandId"]: event.get("correlationId") for event in events()}
    assert {command for command, name in by_command.items() if name == work} == {
        entry["commandId"] for entry in entries
    }


def children(service: Service, node: int, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = result(service.call("GET", f"/v1/nodes/{node}/children", params=params), 200)
        found += page["children"]
        if page["pagination"]["nextCursor"] is None:
            return found
        params["cursor"] = page["pagination"]["nextCursor"]


def pages(service: Service, route: str, name: str, **params: Any) -> list[dict[str, Any]]:
    """All elements of a list, in pages of one: each of the same moment, whatever happens meanwhile."""
    found: list[dict[str, Any]] = []
    while True:
        page = result(service.call("GET", route, params={"limit": 1, **params}), 200)
        found += page[name]
        if page["pagination"]["nextCursor"] is None:
            return found
        params["cursor"] = page["pagination"]["nextCursor"]


def listing(service: Service, mount: MountOfTest) -> list[dict[str, Any]]:
    """All there is now, as the live list has it."""
    nodes = result(service.call("GET", "/v1/nodes", params={"backendMountId": mount.id, "limit": 200}), 200)["nodes"]
    names = ("id", "parentId", "path", "depth", "kind", "sizeBytes", "contentHash", "metadata", "version", "state")
    return sorted(({name: node[name] for name in names} for node in nodes), key=lambda node: str(node["path"]))


def moment() -> str:
    return datetime.now(UTC).isoformat()


def test_what_was_is_read_as_it_was_listed_then(service: Service, mount: MountOfTest) -> None:
    steps: list[Callable[[], Any]] = [
        lambda: service.mkdir(mount, "a"),
        lambda: service.mkdir(mount, "a/b"),
        lambda: service.upload(mount, "a/b/f", b"one", metadata={"n": 1}),
        lambda: service.upload(mount, "a/g", b"g"),
        lambda: service.upload(mount, "a/b/f", b"second", overwrite="true"),
        lambda: service.move(mount, "a/b", "c"),
        lambda: service.move(mount, "c/f", "a/f"),
        lambda: service.call("DELETE", "/v1/nodes", json={"backendMountId": mount.id, "path": "a", "recursive": True}),
        lambda: service.mkdir(mount, "a"),
        lambda: service.call("POST", "/v1/nodes/restore", json={"backendMountId": mount.id, "path": "a/f", "targetPath": "h"}),
    ]  # fmt: skip
    seen: list[tuple[str, list[dict[str, Any]]]] = []
    for step in steps:
        assert step().status_code in (200, 201)
        seen.append((moment(), listing(service, mount)))
    here = {"backendMountId": mount.id}
    for at, listed in seen:
        tree = pages(service, "/v1/tree", "nodes", asOf=at, **here)
        assert [
            {name: node[name] for name in listed[0]} for node in sorted(tree, key=lambda node: node["path"])
        ] == listed
        for known in listed:
            node = result(
                service.call("GET", "/v1/nodes/by-path", params=here | {"path": known["path"], "asOf": at}), 200
            )
            assert {name: node[name] for name in known} == known
            if known["kind"] == "directory":
                held = children(service, known["id"], asOf=at, limit=1)
                assert sorted(child["id"] for child in held) == sorted(
                    other["id"] for other in listed if other["parentId"] == known["id"]
                )

    at, listed = seen[2]
    [old] = pages(service, "/v1/tree", "nodes", asOf=at, path="a/b", **here)
    assert old["metadata"] == {"n": 1} and old["validFrom"] < at < old["validTo"]
    assert service.call("GET", old["download"]["streamUrl"]).content == b"one", "its bytes are those of then"

    changes = pages(service, "/v1/diff", "differences", **{"from": seen[3][0], "to": seen[5][0]}, **here)
    assert [(one["change"], one["before"]["path"], one["after"]["path"]) for one in changes] == [
        ("changed", "a/b/f", "c/f"), ("moved", "a/b", "c"),
    ]  # fmt: skip
    gone = pages(service, "/v1/diff", "differences", path="a", **{"from": seen[6][0], "to": seen[7][0]}, **here)
    assert [(one["change"], one["before"]["path"], one["after"]) for one in gone] == [("removed", "a", None)]
    back = pages(service, "/v1/diff", "differences", **{"from": seen[7][0]}, **here)
    assert [(one["change"], one["before"], one["after"]["path"]) for one in back] == [
        ("added", None, "a"), ("added", None, "h"),
    ]  # fmt: skip


def test_the_past_is_not_asked_what_it_can_not_say(service: Service, mount: MountOfTest) -> None:
    node = result(service.mkdir(mount, "d"), 201)["node"]
    file = result(service.upload(mount, "f", b"x"), 201)["node"]
    now, early, here = moment(), "2020-01-01T00:00:00Z", {"backendMountId": mount.id}
    refused(
        service.call("GET", f"/v1/nodes/{node['id']}/children", params={"asOf": now, "search": "a"}),
        400,
        "INVALID_REQUEST",
    )
    refused(service.call("GET", f"/v1/nodes/{node['id']}/children", params={"asOf": early}), 404, "NODE_NOT_FOUND")
    refused(service.call("GET", f"/v1/nodes/{file['id']}/children", params={"asOf": now}), 409, "NOT_A_DIRECTORY")
    refused(service.call("GET", "/v1/nodes/by-path", params=here | {"path": "d", "asOf": early}), 404, "NODE_NOT_FOUND")
    refused(service.call("GET", "/v1/tree", params=here | {"path": "d", "asOf": early}), 404, "NODE_NOT_FOUND")
    refused(service.call("GET", "/v1/tree", params=here | {"asOf": "yesterday"}), 400, "INVALID_REQUEST")
    refused(service.call("GET", "/v1/diff", params=here | {"from": now, "to": early}), 400, "INVALID_REQUEST")
    page = result(service.call("GET", "/v1/tree", params=here | {"limit": 1}), 200)
    cursor = page["pagination"]["nextCursor"]
    refused(service.call("GET", "/v1/tree", params=here | {"path": "d", "cursor": cursor}), 400, "INVALID_REQUEST")
    refused(service.call("GET", "/v1/tree", params=here | {"cursor": "AAAA"}), 400, "INVALID_REQUEST")
    result(service.mkdir(mount, "e"), 201)
    more = result(service.call("GET", "/v1/tree", params=here | {"cursor": cursor}), 200)
    assert more["asOf"] == page["asOf"] and [one["path"] for one in more["nodes"]] == ["f"], "e came later"


def test_the_trash_says_how_each_of_its_entries_comes_back(service: Service, mount: MountOfTest) -> None:
    here = {"backendMountId": mount.id}
    for path in ("d", "d/e"):
        result(service.mkdir(mount, path), 201)
    result(service.upload(mount, "d/e/f", b"in a tree"), 201)
    result(service.upload(mount, "g", b"first"), 201)
    result(service.upload(mount, "g", b"second", overwrite="true"), 200)
    for body in ({"path": "d", "recursive": True}, {"path": "g"}):
        result(service.call("DELETE", "/v1/nodes", json=here | body), 200)
    entries = pages(service, "/v1/trash", "entries", **here)
    assert [(one["path"], one["version"], one["sizeBytes"], one["command"], len(one["restore"])) for one in entries] == [
        ("g", 2, 6, "deleteNode", 1), ("d", 1, 9, "deleteNode", 1), ("g", 1, 5, "uploadFile", 2),
    ]  # fmt: skip
    journal = {
        entry["commandId"]: entry for entry in service.call("GET", "/v1/journal", params=here).json()["data"]["entries"]
    }
    for one in entries:
        assert (journal[one["commandId"]]["id"], journal[one["commandId"]]["principal"]) == (
            one["journalEntryId"], one["principal"],
        )  # fmt: skip
    assert [one["path"] for one in pages(service, "/v1/trash", "entries", path="g", **here)] == ["g", "g"]

    for step in (*entries[2]["restore"], *entries[1]["restore"]):
        result(service.call(step["method"], step["path"], json=step["body"]), 200)
    assert mount.on_disk() == {"d": None, "d/e": None, "d/e/f": b"in a tree", "g": b"first"}
    left = pages(service, "/v1/trash", "entries", **here)
    assert {(one["path"], one["version"]) for one in left} >= {("g", 1)}
    refused(service.call("GET", "/v1/trash", params=here | {"cursor": "AAAA"}), 400, "INVALID_REQUEST")
