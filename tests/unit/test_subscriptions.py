"""The pure part of webhooks: signatures, what follows from an attempt, which addresses are asked."""

from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from schema.errors import InvalidRequest
from schema.subscriptions import webhook
from schema.subscriptions.attempts import BROKEN_SECONDS, WAITS, DeliveryAttempt, DeliveryStep, decide
from schema.subscriptions.targets import check_url, refused_address


def test_the_published_library_verifies_our_signatures_also_while_two_secrets_count() -> None:
    old, new = webhook.new_secret(), webhook.new_secret()
    body = webhook.body_of("filestore.node.created", 7, '{"path": "ä"}', "2026-01-01T00:00:00+00:00")
    sent = webhook.headers([new, old], "msg_1", int(datetime.now(UTC).timestamp()), body)
    for secret in (old, new):
        found = Webhook(secret).verify(body, sent)
        assert found["data"] == {"path": "ä"} and found["cursor"] == "7"
    with pytest.raises(WebhookVerificationError):
        Webhook(webhook.new_secret()).verify(body, sent)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(body.replace(b"7", b"8"), sent)


@pytest.mark.parametrize(
    ("attempt", "failures", "failing", "step", "seconds"),
    [
        (DeliveryAttempt(204), 3, 100.0, DeliveryStep.NEXT, 0),
        (DeliveryAttempt(500), 0, 0.0, DeliveryStep.AGAIN, WAITS[0]),
        (DeliveryAttempt(500), 2, 0.0, DeliveryStep.AGAIN, WAITS[2]),
        (DeliveryAttempt(429, retry_after=77), 0, 0.0, DeliveryStep.AGAIN, 77),
        (DeliveryAttempt(302), 0, 0.0, DeliveryStep.AGAIN, WAITS[0]),
        (DeliveryAttempt(None, "no answer"), 1, 0.0, DeliveryStep.AGAIN, WAITS[1]),
        (DeliveryAttempt(400), len(WAITS) - 1, 0.0, DeliveryStep.GIVE_UP, 0),
        (DeliveryAttempt(410), 0, 0.0, DeliveryStep.BREAK, 0),
        (DeliveryAttempt(503), 0, BROKEN_SECONDS, DeliveryStep.BREAK, 0),
    ],
)
def test_what_follows_from_an_attempt(
    attempt: DeliveryAttempt, failures: int, failing: float, step: DeliveryStep, seconds: float
) -> None:
    decision = decide(attempt, failures, failing)
    assert (decision.step, decision.seconds) == (step, seconds)
    assert (decision.reason is None) == (step is DeliveryStep.NEXT)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1", "0.0.0.0", "224.0.0.1",
     "100.64.0.1", "2002:0a00:0001::", "64:ff9b::10.0.0.1", "fec0::1", "64:ff9b:1::a00:1", "::ffff:0:10.0.0.1", "192.0.0.8",
     "3fff::1"],
)  # fmt: skip
def test_addresses_inside_are_refused_unless_they_are_allowed(address: str) -> None:
    assert refused_address(address, []) is not None
    assert refused_address(address, ["0.0.0.0/0", "::/0"]) is None


def test_addresses_of_the_open_internet_are_asked() -> None:
    assert refused_address("93.184.216.34", []) is None and refused_address("2606:2800:220:1::1", []) is None


@pytest.mark.parametrize(
    "url",
    ["ftp://example.org/x", "https://", "http://example.org/", "https://a:b@example.org/", "https://10.0.0.1/",
     "https://[::1]/", "/path", "https://example.org/#x"],
)  # fmt: skip
def test_an_url_that_leads_nowhere_good_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_url(url, [])


def test_what_the_operator_allows_may_be_plain_and_inside() -> None:
    check_url("http://hooks.internal/x", ["hooks.internal"])
    check_url("http://127.0.0.1:9/x", ["127.0.0.0/8"])
    check_url("https://example.org:8443/x?y=1", [])
