"""Cursors of what was that nobody was given, and times at the end of time."""

import struct

import httpx2
import pytest

from api.nodes import cursors
from schema.store.nodes import PageEnd
from tests.api.conftest import Tree

EARLY, LATE = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"


def forged(tree: Tree, route: str) -> list[str]:
    conditions: list[object] = {
        "/v1/tree": ["past", tree.mount, "", None, None],
        "/v1/diff": ["diff", tree.mount, "", "2026-01-01T00:00:00+00:00", None],
        "/v1/trash": ["trash", tree.mount, ""],
    }[route]
    far, before = 2**62, -(2**63)
    keys = [b"", b"x", struct.pack(">q", far), struct.pack(">q", far) + b"a"]
    keys += [struct.pack(">qq", time, 1) for time in (far, before)]
    keys += [struct.pack(">qqq", time, time, 1) for time in (far, before)]
    return [cursors.write(PageEnd(0, key, 1), conditions) for key in keys]


@pytest.mark.parametrize("route", ["/v1/tree", "/v1/diff", "/v1/trash"])
async def test_a_forged_cursor_is_refused_and_nothing_breaks(
    client: httpx2.AsyncClient, tree: Tree, route: str
) -> None:
    params = {"backendMountId": str(tree.mount)} | ({"from": "2026-01-01T00:00:00Z"} if route == "/v1/diff" else {})
    for cursor in forged(tree, route):
        answer = await client.get(route, params=params | {"cursor": cursor})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST"), answer.text


@pytest.mark.parametrize("offset", ["", "+14:00", "-14:00"])
async def test_the_first_and_the_last_moment_are_times_too(client: httpx2.AsyncClient, tree: Tree, offset: str) -> None:
    for moment in (EARLY, LATE):
        at = moment.replace("Z", offset or "Z")
        here = {"backendMountId": str(tree.mount)}
        for route, more in (
            ("/v1/tree", {"asOf": at}), ("/v1/nodes/by-path", {"asOf": at}), ("/v1/diff", {"from": at, "to": LATE}),
            (f"/v1/nodes/{tree.root}/children", {"asOf": at}),
        ):  # fmt: skip
            answer = await client.get(route, params=here | more)
            assert answer.status_code in (200, 400), (route, at, answer.text)
