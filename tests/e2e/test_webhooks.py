"""Webhooks: every event that is wanted arrives in order, signed, at least once; what fails waits, dies visibly, comes again."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from standardwebhooks.webhooks import Webhook

from tests.fix_service import MountOfTest, Service, until
from tests.fix_webhooks import HookTarget

WANTED = ["filestore.node.created", "filestore.node.deleted"]


def data(answer: Any, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


@pytest.fixture
def subscription(service: Service, mount: MountOfTest, target: HookTarget) -> Iterator[dict[str, Any]]:
    body = {"url": target.url, "filter": {"types": WANTED, "backendMountId": mount.id, "pathPrefix": "in"}}
    made = data(service.call("POST", "/v1/subscriptions", json=body), 201)
    yield made
    service.call("DELETE", f"/v1/subscriptions/{made['id']}")


def at(service: Service, subscription: dict[str, Any]) -> dict[str, Any]:
    return data(service.call("GET", f"/v1/subscriptions/{subscription['id']}"))


def deliveries(service: Service, subscription: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
    found = data(service.call("GET", f"/v1/subscriptions/{subscription['id']}/deliveries", params=params))["deliveries"]
    return list(found)


def asked(service: Service, subscription: dict[str, Any], verb: str, **body: Any) -> dict[str, Any]:
    return data(service.call("POST", f"/v1/subscriptions/{subscription['id']}/{verb}", json=body))


def set_failures(service: Service, subscription: dict[str, Any], failures: int) -> None:
    """As after days of failures; no test can wait for them."""
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            "UPDATE filestore.subscriptions SET failures = %s WHERE id = %s", (failures, subscription["id"])
        )


def test_what_is_wanted_arrives_in_order_signed_and_is_listed(
    service: Service, mount: MountOfTest, target: HookTarget, subscription: dict[str, Any]
) -> None:
    service.mkdir(mount, "in")
    for number in range(5):
        service.upload(mount, f"in/{number}", b"1")
    service.upload(mount, "elsewhere", b"1")
    service.delete(mount, "in/3")
    assert until(lambda: len(target.taken) == 7)
    assert target.paths() == ["in", *(f"in/{number}" for number in range(5)), "in/3"]
    for message in target.taken:
        assert Webhook(subscription["secret"]).verify(message.body, message.headers)["type"] in WANTED
    cursors = [int(message.told["cursor"]) for message in target.taken]
    assert cursors == sorted(set(cursors)) and len({message.id for message in target.taken}) == 7
    assert until(lambda: at(service, subscription)["behind"] == 0)
    listed = deliveries(service, subscription, limit=3)
    assert [(one["state"], one["status"]) for one in listed] == [("delivered", 204)] * 3
    assert "secret" not in at(service, subscription)


def test_one_that_fails_holds_up_the_next_until_it_is_taken_or_dead(
    service: Service, mount: MountOfTest, target: HookTarget, subscription: dict[str, Any]
) -> None:
    target.answers[:] = [500]
    service.mkdir(mount, "in")
    service.mkdir(mount, "in/a")
    assert until(lambda: at(service, subscription)["failures"] == 1)
    waiting = at(service, subscription)
    assert (
        waiting["state"] == "active" and "500" in waiting["reason"] and waiting["nextAttemptAt"] and target.taken == []
    )
    data(service.call("PATCH", f"/v1/subscriptions/{subscription['id']}", json={"state": "active"}))
    assert until(lambda: target.paths() == ["in", "in/a"]), "tried at once, in order"
    assert target.asked[0].id == target.asked[1].id, "a receiver knows that it is the same"
    target.answers[:] = [400]
    set_failures(service, subscription, 9)
    service.mkdir(mount, "in/b")
    service.mkdir(mount, "in/c")
    assert until(lambda: target.paths() == ["in", "in/a", "in/c"])
    [dead] = deliveries(service, subscription, state="dead")
    assert (dead["attempts"], dead["status"]) == (10, 400)
    assert asked(service, subscription, "redrive", cursors=[dead["cursor"]]) == {"redriven": 1}
    assert until(lambda: target.paths()[-1] == "in/b")
    assert until(lambda: deliveries(service, subscription, state="dead") == [])


def test_a_pause_rests_a_replay_sends_again_under_the_same_ids_and_gone_breaks(
    service: Service, mount: MountOfTest, target: HookTarget, subscription: dict[str, Any]
) -> None:
    address = f"/v1/subscriptions/{subscription['id']}"
    data(service.call("PATCH", address, json={"state": "paused"}))
    service.mkdir(mount, "in")
    assert until(lambda: at(service, subscription)["behind"] > 0) and target.asked == []
    data(service.call("PATCH", address, json={"state": "active"}))
    assert until(lambda: target.paths() == ["in"])
    asked(service, subscription, "replay", after=subscription["cursor"])
    assert until(lambda: target.paths() == ["in", "in"])
    assert target.taken[0].id == target.taken[1].id
    refused = service.call("POST", f"{address}/replay", json={"after": "999999999999"})
    assert refused.status_code == 400
    target.location, target.answers[:] = target.url, [302]
    tried = asked(service, subscription, "test")
    assert tried["status"] == 302 and len(target.taken) == 2, "redirects are not followed"
    assert asked(service, subscription, "test")["status"] == 204
    assert target.taken[-1].told["type"] == "filestore.subscription.test"
    target.answers[:] = [410]
    service.mkdir(mount, "in/gone")
    assert until(lambda: at(service, subscription)["state"] == "broken")
    assert "410" in at(service, subscription)["reason"]
    rotated = asked(service, subscription, "rotate", overlapSeconds=60)
    data(service.call("PATCH", address, json={"state": "active"}))
    assert until(lambda: target.paths()[-1:] == ["in/gone"])
    for secret in (subscription["secret"], rotated["secret"]):
        assert Webhook(secret).verify(target.taken[-1].body, target.taken[-1].headers)


def test_a_subscription_ends_with_its_token_and_hostile_addresses_are_refused(
    service: Service, mount: MountOfTest, target: HookTarget
) -> None:
    for url in ("https://10.0.0.1/", "http://example.org/", "https://169.254.169.254/latest", "file:///etc/passwd"):
        answer = service.call("POST", "/v1/subscriptions", json={"url": url})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST"), url
    token = service.make_token("hooks", "filestore:operate")
    with service.client() as client:
        made = client.post("/v1/subscriptions", json={"url": target.url}, headers={"Authorization": f"Bearer {token}"})
    subscription = data(made, 201)
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("UPDATE filestore.tokens SET revoked_at = now() WHERE principal = 'hooks'")
    assert until(lambda: at(service, subscription)["state"] == "broken")
    assert "token" in at(service, subscription)["reason"]
    assert service.call("DELETE", f"/v1/subscriptions/{subscription['id']}").status_code == 204
    assert service.call("GET", f"/v1/subscriptions/{subscription['id']}").status_code == 404


@pytest.mark.slow
def test_a_worker_that_dies_after_it_sent_sends_again_under_the_same_id(
    service: Service, mount: MountOfTest, target: HookTarget, subscription: dict[str, Any]
) -> None:
    service.kill("worker")
    service.start("worker", fault="deliver.sent=kill")
    service.mkdir(mount, "in")
    worker = service.processes["worker"]
    assert until(lambda: worker.poll() is not None) and len(target.taken) == 1, "the fault struck"
    service.kill("worker")
    service.start("worker")
    service.mkdir(mount, "in/a")
    assert until(lambda: "in/a" in target.paths())
    assert target.paths() == ["in", "in", "in/a"] and target.taken[0].id == target.taken[1].id
    assert until(lambda: at(service, subscription)["behind"] == 0)
