"""Drift in a bucket: what another program puts and removes there."""

from tests.e2e.test_commands import result
from tests.e2e.test_drift import inbox, policy, reconciled, states
from tests.fix_s3_service import MountInBucket
from tests.fix_service import Service, until


def test_objects_that_came_changed_or_went_are_followed(service: Service, s3: MountInBucket) -> None:
    policy(service, s3)
    result(service.mkdir(s3, "d"), 201)
    for path in ("a", "b", "d/c"):
        result(service.upload(s3, path, path.encode()), 201)
    assert reconciled(service, s3, "", detectChildren=True)["status"] == "succeeded"
    assert set(states(service, s3).values()) == {"active"}
    s3.put("a", b"other content")
    s3.put("d/e/new", b"new")
    s3.remove("b")
    job = reconciled(service, s3, "", detectChildren=True)
    assert job["status"] == "succeeded", job
    assert states(service, s3) == {
        "a": "active", "b": "missing", "d": "active", "d/c": "active", "d/e": "active", "d/e/new": "active",
    }  # fmt: skip
    assert service.at(s3, "a").json()["data"]["sizeBytes"] == len(b"other content")
    s3.put("b", b"again")
    reconciled(service, s3, "b")
    assert states(service, s3)["b"] == "active"


def test_a_person_sends_a_directory_of_a_bucket_out_of_the_way(service: Service, s3: MountInBucket) -> None:
    policy(service, s3, onNew="ask")
    result(service.upload(s3, "a", b"a"), 201)
    s3.put("strays/x", b"x")
    s3.put("strays/below/y", b"y")
    reconciled(service, s3, "", detectChildren=True)
    found = inbox(service, s3)
    assert set(found) == {"strays"}
    chosen = [{"id": found["strays"]["id"], "version": found["strays"]["version"]}]
    answer = service.call("POST", "/v1/drift/decide", json={"ids": chosen, "decision": "quarantine"})
    decided = result(answer, 200)["findings"][0]
    assert (decided["state"], decided["action"]) == ("accepted", "quarantine")
    assert until(lambda: not {"strays/x", "strays/below/y"} & set(s3.on_disk()))
    assert until(lambda: states(service, s3) == {"a": "active", "strays": "active", "strays/below": "active"})
    assert until(lambda: inbox(service, s3) == {})
