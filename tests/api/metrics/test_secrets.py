"""What the page must never show, and which clients may read it."""

import asyncio
import hashlib

import pytest
from pydantic import ValidationError

from api.services import Load, MountSeen
from schema.settings import Settings
from tests.api.conftest import FrontOfTest, Tree, failed
from tests.api.metrics.helpers import SECRET, KnownVitals, mkdir, other, scrape

HOSTILE = "hostile-needle"


async def test_nothing_a_client_sends_becomes_a_label(front: FrontOfTest, tree: Tree) -> None:
    token = await front.token("write", principal=f"user-{HOSTILE}")
    tricks = {
        "x-request-id": HOSTILE, "idempotency-key": f"key-{HOSTILE}", "user-agent": HOSTILE,
        "x-filestore-principal": HOSTILE, "traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "host": f"{HOSTILE}.example",
    }  # fmt: skip
    async with front.client(token, **tricks) as client:
        for path in (f"/{HOSTILE}", f"/v1/nodes/{HOSTILE}", f"/v1/commands/{HOSTILE}", f"/metrics/{HOSTILE}",
                     f"/v1/nodes/by-path?path={HOSTILE}", f'/"}} {HOSTILE} 1%0afilestore_fake 1', f"/v1/%2e%2e/{HOSTILE}",
                     f"/v1/files/{HOSTILE}/content"):  # fmt: skip
            for method in ("GET", "POST", f"X-{HOSTILE.upper()}", "get"):
                assert (await client.request(method, path)).status_code < 500, (method, path)
        await mkdir(client, tree, f"path-{HOSTILE}", metadata={"name": HOSTILE})
        front.commands.answers = lambda submission: failed(submission, HOSTILE.upper())
        await mkdir(client, tree, f"other-{HOSTILE}")
        page = await scrape(client)
    assert HOSTILE not in page.text.lower() and "filestore_fake" not in page.text
    assert token not in page.text and hashlib.sha256(token.encode()).hexdigest() not in page.text
    templates = {getattr(route, "path", None) for route in front.app.routes} | {"unmatched"}
    for labels in page.labels("filestore_http_requests_total"):
        assert labels["route"] in templates
        assert labels["method"] in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}
        assert labels["status"] in {"2xx", "3xx", "4xx", "5xx", "none"}
    assert page("filestore_http_requests_total", method="GET", route="unmatched", status="4xx") is not None
    assert page("filestore_http_requests_total", method="other", route="unmatched", status="4xx") is not None


async def test_a_thousand_addresses_are_no_more_series_than_one(front: FrontOfTest) -> None:
    async with front.client() as anonymous:
        await anonymous.get("/nothing/0")
        before = (await scrape(anonymous)).text.count("\n")
        await asyncio.gather(*(anonymous.request(f"M{number}", f"/nothing/{number}") for number in range(1000)))
        await anonymous.request("ODD", "/nothing")
        series = (await scrape(anonymous)).text.count("\n")
        for number in range(100):
            await anonymous.request(f"N{number}", f"/nothing/again/{number}")
        assert (await scrape(anonymous)).text.count("\n") == series
    assert series - before < 60, "those of one other method, and of the page itself"


async def test_a_mount_key_can_not_break_the_page(front: FrontOfTest) -> None:
    key = 'a"b\\n{c="d"}\\'
    seen = [MountSeen("main", key, "online"), MountSeen("other", key, "offline")]
    async with other(front, vitals=KnownVitals([Load("main", key, 5, 6), Load("other", key, 0, 0)], seen)) as anonymous:
        page = await scrape(anonymous)
    assert page("filestore_commands_waiting", tenant="main", mount=key) == 5
    assert page("filestore_mount_health", tenant="other", mount=key, health="offline") == 1


async def test_with_a_token_set_nothing_else_opens_the_page(front: FrontOfTest) -> None:
    async with other(front, metrics_token=SECRET) as anonymous:
        for given in (None, f"Bearer {SECRET[:-1]}", f"Bearer {SECRET}x", f"Basic {SECRET}", SECRET, "Bearer", "Bearer é",
                      f"Bearer {front.tokens['admin']}"):  # fmt: skip
            answer = await anonymous.get("/metrics", headers=[(b"authorization", given.encode())] if given else [])
            assert answer.status_code == 401, given
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["error"]["code"] == "UNAUTHENTICATED" and SECRET not in answer.text
        answer = await anonymous.get("/metrics", headers={"authorization": f"bearer {SECRET}"})
        assert answer.status_code == 200 and SECRET not in answer.text
        opened = await anonymous.get("/v1/backend-mounts", headers={"authorization": f"Bearer {SECRET}"})
        assert opened.status_code == 401, "it opens nothing else"


async def test_the_page_can_be_closed(front: FrontOfTest) -> None:
    async with other(front, metrics=False) as anonymous:
        assert (await anonymous.get("/metrics")).status_code == 404
        assert (await anonymous.get("/health")).status_code == 200


def test_an_empty_token_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILESTORE_METRICS_TOKEN", "")
    with pytest.raises(ValidationError, match="metrics_token"):
        Settings()  # type: ignore[call-arg]
    monkeypatch.setenv("FILESTORE_METRICS_TOKEN", SECRET)
    assert Settings().metrics_token == SECRET  # type: ignore[call-arg]
