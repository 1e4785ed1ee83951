"""Drift in a bucket: what another program puts and removes there."""

from tests.e2e.test_commands import result
from tests.e2e.test_drift import policy, reconciled, states
from tests.fix_s3_service import MountInBucket
from tests.fix_service import Service


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
