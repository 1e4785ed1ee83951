"""What was: the work that commands belonged to, on the real stack."""

from typing import Any

from tests.e2e.test_commands import result
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
