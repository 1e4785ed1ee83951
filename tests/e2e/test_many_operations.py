"""Many operations are steered with one request: what was done to each is answered, and the reason stands in each."""

from typing import Any

from tests.e2e.test_commands import refused, result
from tests.e2e.test_operations import asked, ended, has_done, reached, shown
from tests.fix_service import MountOfTest, Service


def many(service: Service, control: str, selection: dict[str, Any], **body: Any) -> dict[str, tuple[str, str | None]]:
    answer = service.call(
        "POST", f"/v1/operations/{control}", json={"selection": selection, "reason": "The array is slow.", **body}
    )
    told = result(answer, 200)
    outcomes = [one["outcome"] for one in told["results"]]
    assert told["counts"] == {"accepted": outcomes.count("accepted"), "refused": outcomes.count("refused")}
    return {one["id"]: (one["outcome"], one["code"]) for one in told["results"]}


def test_those_of_a_selection_pause_go_on_and_are_cancelled_and_the_reason_stands_in_each(
    service: Service, mount: MountOfTest
) -> None:
    for folder in ("a", "b", "z"):
        result(service.mkdir(mount, folder), 201)
    for number in range(30):
        result(service.upload(mount, f"{'ab'[number % 2]}/{number}", b"x"), 201)
    before = mount.on_disk()
    over = ended(service, asked(service, mount, "copy", path="a/0", targetPath="z/over"))
    slow = {"options": {"filesPerSecond": 1}}
    one, two = (asked(service, mount, "copy", path=path, targetPath=f"z/{path}", **slow) for path in ("a", "b"))
    for operation in (one, two):
        has_done(service, operation, 0)
    assert many(service, "pause", {"backendMountId": mount.id}) == {
        one["id"]: ("accepted", None),
        two["id"]: ("accepted", None),
    }
    for operation in (one, two):
        paused = reached(service, operation, "paused")
        assert paused["steered"] == {
            "control": "pause", "reason": "The array is slow.", "principal": "admin", "at": paused["steered"]["at"],
        }  # fmt: skip
    assert many(service, "resume", {"path": "b", "backendMountId": mount.id}) == {two["id"]: ("accepted", None)}
    named = {"ids": [one["id"], over["id"]]}
    assert many(service, "cancel", named, rollback=True) == {
        one["id"]: ("accepted", None), over["id"]: ("refused", "WRONG_STATE"),
    }  # fmt: skip
    assert many(service, "cancel", {"kind": ["copy"], "backendMountId": mount.id}, rollback=True).keys() <= {
        one["id"],
        two["id"],
    }
    for operation in (one, two):
        ended(service, operation, "rolled_back")
    assert mount.on_disk() == before | {"z/over": b"x"} and shown(service, over)["state"] == "succeeded"
    assert many(service, "retry", {"backendMountId": mount.id}) == {}
    wrong: list[dict[str, Any]] = [
        {"selection": {}, "reason": "x"}, {"selection": {"principle": "a"}, "reason": "x"}, {"selection": {"kind": ["copy"]}},
        {"selection": {"kind": ["copy"]}, "reason": " "},
    ]  # fmt: skip
    for body in wrong:
        refused(service.call("POST", "/v1/operations/pause", json=body), 400, "INVALID_REQUEST")
