"""A seeded sample of the crash sweep; `make test-slow` runs all of it (tests/slow/test_crash_sweep.py). And acts that people have
agreed to: whatever dies, each is done once."""

import os

import httpx2
import pytest

from tests import kills
from tests.fix_service import MountOfTest, Service, until

SEED = int(os.environ.get("CRASH_SEED", "20261121"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("crash", kills.sample(SEED), ids=str)
def test_a_crash_leaves_one_outcome(scene: kills.Scene, crash: kills.Crash) -> None:
    kills.run(scene, crash)


@pytest.mark.parametrize(
    ("point", "limit"), [("approval.agreed", 5), pytest.param("approval.done", 9, marks=pytest.mark.slow)]
)
def test_what_was_agreed_to_is_done_once_when_worker_and_api_die_behind_the_last_yes(
    service: Service, mount: MountOfTest, point: str, limit: int
) -> None:
    """`limit`: of the quota, when both have died."""
    quota = service.call("POST", "/v1/quotas", json={"backendMountId": mount.id, "maxNodes": 5}).json()["data"]["id"]
    service.kill("api", "worker")
    service.start("api", fault=f"{point}=kill")
    why, ben = {"x-filestore-reason": "there is more"}, service.make_token("ben", "admin")
    with service.second_person("raiseQuota"):
        asked = service.call("PATCH", f"/v1/quotas/{quota}", headers=why, json={"maxNodes": 9})
    approval = asked.json()["data"]["approval"]["id"]
    with (
        httpx2.Client(headers={"authorization": f"Bearer {ben}"}, timeout=60) as client,
        pytest.raises(httpx2.TransportError),
    ):
        client.post(f"{service.url}/v1/approvals/{approval}/approve", json={})
    service.kill("api")
    service.start("api")
    assert service.call("GET", f"/v1/quotas/{quota}").json()["data"]["maxNodes"] == limit
    service.start("worker")

    def state() -> str:
        return str(service.call("GET", f"/v1/approvals/{approval}").json()["data"]["state"])

    assert until(lambda: state() == "done")
    assert service.call("GET", f"/v1/quotas/{quota}").json()["data"]["maxNodes"] == 9
    done = service.call("GET", "/v1/journal", params={"backendMountId": mount.id, "command": "updateQuota"})
    assert len(done.json()["data"]["entries"]) == 1
    assert service.call("DELETE", f"/v1/quotas/{quota}").status_code == 200
