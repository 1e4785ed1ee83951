"""Bodies, queries and addresses that no client should send. Whatever comes, the answer is one of ours, and never
500."""

import json
from typing import Any

import httpx2
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api.commands.catalogue import BY_COMMAND, KINDS
from api.http.errors import STATUS
from schema.errors import BY_CODE
from tests.api.conftest import FrontOfTest, Tree

fuzzed = settings(
    max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

ODD = [
    "",
    "\0",
    "\ud800",
    "é",
    "..",
    "/",
    "a/b",
    ".filestore/x",
    "x" * 300,
    "%",
    "_",
    "\\",
    "'",
    "\n",
    "‮",
    "1",
    "-1",
    "9" * 30,
]
text = st.sampled_from(ODD) | st.text(max_size=30)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | text
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=8
)
NAMES = [
    "backendMountId", "path", "pathB64", "metadata", "recursive", "idempotencyKey", "mountKey", "backendKind",
    "rootPath",
    "bucket", "prefix", "config", "accessMode", "state", "labels", "displayName", "limit", "offset", "depth", "search",
    "states", "kinds", "driftOnly", "filters", "after", "order", "outcome", "command", "nodeId", "principal",
    "commandId",
    "accessModes", "expiresIn", "stateReason", "targetPath", "targetPathB64", "targetBackendMountId", "overwrite", "version",
    "set", "unset", "ifMatch", "ifNoneMatch", "mode", "commands", "wait",
    "cursor", "before", "pathPrefix", "from", "to", "asOf", "correlationId", "code", "operationId", "atomicId", "events",
]  # fmt: skip
objects = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)
likely = st.fixed_dictionaries(
    {"backendMountId": st.sampled_from([1, 2, 10**9]), "path": text},
    optional={"metadata": values, "pathB64": text, "recursive": values, "idempotencyKey": values},
)
conditions = st.sampled_from(["*", "7", '"7"', 'W/"7"', "ab" * 32, '"x"', "7, 8", "", "\0"]) | values
nearly = st.fixed_dictionaries(
    {"backendMountId": st.just(1)},
    optional={
        "path": text | st.sampled_from(["a", "gone"]), "targetPath": text | st.just("b"), "pathB64": text, "targetPathB64": text,
        "nodeId": st.integers(1, 200) | values, "version": st.integers(0, 3) | values, "overwrite": st.booleans(),
        "set": st.dictionaries(text, values, max_size=3) | values, "unset": st.lists(text, max_size=3) | values,
        "targetBackendMountId": st.just(1) | st.integers(), "ifMatch": conditions, "ifNoneMatch": conditions,
        "idempotencyKey": text,
    },
)  # fmt: skip
"""Bodies of commands on nodes that come a long way."""
kinds = st.sampled_from([*BY_COMMAND]) | text
command_lists = st.fixed_dictionaries(
    {
        "commands": st.lists(
            st.tuples(nearly | likely, kinds).map(lambda pair: pair[0] | {"command": pair[1]}) | values, max_size=4
        )
    },
    optional={"mode": st.sampled_from(["independent", "ordered", "atomic"]) | text, "idempotencyKey": text},
)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


bodies = st.binary(max_size=200) | values.map(as_json) | objects.map(as_json) | likely.map(as_json)
headers = st.dictionaries(
    st.sampled_from([
        "if-match", "if-none-match", "range", "if-range", "prefer", "idempotency-key", "x-request-id", "traceparent",
        "accept",
        "x-filestore-checksum", "content-type", "if-modified-since", "content-length-x",
    ]),
    st.binary(max_size=40).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")), max_size=4,
)  # fmt: skip
waits = st.sampled_from(["", "0", "7", "x", "-1", "9" * 40, "\0", "٣"])
queries = st.lists(
    st.tuples(st.sampled_from(NAMES), text | values.map(lambda value: json.dumps(value)) | st.integers().map(str)),
    max_size=5,
)


async def checked(front: FrontOfTest, method: str, path: str, **options: Any) -> None:
    async with front.client(front.tokens["admin"]) as client:
        answer = await client.request(method, path, **options)
    assert answer.status_code != 500, (method, path, options, answer.text)
    if answer.status_code >= 400 and answer.status_code not in (405, 416):
        refusal = answer.json()
        code = refusal["error"]["code"] if "error" in refusal else refusal["code"]
        assert code in BY_CODE and STATUS[code] == answer.status_code


NAMED = [("POST", f"/v1/commands/{kind.name}") for kind in KINDS]
ON_NODES = [
    ("POST", "/v1/nodes/move"),
    ("POST", "/v1/nodes/copy"),
    ("POST", "/v1/nodes/restore"),
    ("DELETE", "/v1/nodes"),
]
COMMANDS = [
    ("POST", "/v1/directories"), ("POST", "/v1/files"), ("POST", "/v1/backend-mounts"), ("POST", "/v1/commands"),
    ("POST", "/v1/commands/x"), *ON_NODES, *NAMED,
]  # fmt: skip


@fuzzed
@given(st.sampled_from(COMMANDS), bodies, headers)
@example(("POST", "/v1/directories"), b'{"backendMountId":1,"path":"\\ud83d\\ude00","metadata":{"\\u0001":1e308}}', {})
async def test_bodies(
    front: FrontOfTest, tree: Tree, route: tuple[str, str], body: bytes, headers: dict[str, bytes]
) -> None:
    body = body.replace(b'"backendMountId": 1', b'"backendMountId": %d' % tree.mount)
    lines = [(name.encode(), value) for name, value in headers.items()]
    await checked(front, *route, content=body, headers=lines)
    await checked(front, "PATCH", f"/v1/backend-mounts/{tree.mount}", content=body, headers=lines)


@fuzzed
@given(st.sampled_from([*ON_NODES, *NAMED, ("PATCH", "metadata")]), nearly, waits, headers)
async def test_commands_on_nodes(
    front: FrontOfTest, tree: Tree, route: tuple[str, str], fields: dict[str, Any], wait: str, headers: dict[str, bytes]
) -> None:
    method, path = route
    if path == "metadata":
        node = fields["nodeId"] if isinstance(fields.get("nodeId"), int) else tree.root
        path = f"/v1/nodes/{node}/metadata"
    body = as_json(fields).replace(b'ountId": 1', b'ountId": %d' % tree.mount)
    options = {"params": {"wait": wait}} if wait else {}
    sent = [(name.encode(), value) for name, value in headers.items()]
    await checked(front, method, path, content=body, headers=sent, **options)


@fuzzed
@given(command_lists, headers)
async def test_lists_of_commands(
    front: FrontOfTest, tree: Tree, fields: dict[str, Any], headers: dict[str, bytes]
) -> None:
    body = as_json(fields).replace(b'ountId": 1', b'ountId": %d' % tree.mount)
    sent = [(name.encode(), value) for name, value in headers.items() if not name.startswith("if-")]
    async with front.client(front.tokens["admin"]) as client:
        answer = await client.post("/v1/commands", content=body, headers=sent)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        results = answer.json()["data"]["results"]
        assert [one["index"] for one in results] == list(range(len(fields["commands"])))
        for one in results:
            assert one["status"] != 500, (fields, one)
            assert one["status"] < 400 or STATUS[one["error"]["code"]] == one["status"]


LISTS = [
    "/v1/nodes", "/v1/nodes/by-path", "/v1/tree", "/v1/diff", "/v1/trash", "/v1/backend-mounts", "/v1/journal", "/v1/events",
]  # fmt: skip
OF_A_MOUNT = ("/v1/nodes", "/v1/tree", "/v1/diff", "/v1/trash")


@fuzzed
@given(st.sampled_from([*LISTS, "children", "presign"]), queries, headers)
async def test_queries(
    front: FrontOfTest, tree: Tree, where: str, query: list[tuple[str, str]], headers: dict[str, bytes]
) -> None:
    path = {"children": f"/v1/nodes/{tree.root}/children", "presign": f"/v1/files/{tree.root}/presign"}.get(
        where, where
    )
    lines = [(name.encode(), value) for name, value in headers.items()]
    given_mount = [("backendMountId", str(tree.mount))] if where.startswith(OF_A_MOUNT) else []
    pairs: list[tuple[str, str | int | float | bool | None]] = [
        (name, value.encode("utf-8", "replace").decode()) for name, value in [*given_mount, *query]
    ]
    await checked(front, "GET", path, params=httpx2.QueryParams(pairs), headers=lines)


@fuzzed
@given(st.binary(max_size=60), headers)
async def test_addresses(front: FrontOfTest, raw: bytes, headers: dict[str, bytes]) -> None:
    lines = [(name.encode(), value) for name, value in headers.items()]
    odd = "".join(f"%{byte:02X}" for byte in raw)
    for path in (
        f"/v1/nodes/{odd}",
        f"/v1/files/{odd}/content",
        f"/v1/commands/{odd}",
        f"/v1/backend-mounts/{odd}",
        f"/{odd}",
    ):
        await checked(front, "GET", path, headers=lines)
    await checked(front, "POST", f"/v1/commands/{odd}", content=b"{}", headers=lines)
    await checked(front, "PATCH", f"/v1/nodes/{odd}/metadata", content=b'{"backendMountId":1}', headers=lines)


parts = st.lists(
    st.tuples(
        st.sampled_from(["backendMountId", "path", "metadata", "overwrite", "idempotencyKey", "file", "file2", ""]),
        st.none() | text, st.binary(max_size=50) | st.just(b'{"a": 1}') | st.just(b"a"),
    ), max_size=6,
)  # fmt: skip


@fuzzed
@given(parts, st.booleans(), st.integers(0, 30), headers)
async def test_forms(
    front: FrontOfTest,
    tree: Tree,
    parts: list[tuple[str, str | None, bytes]],
    good: bool,
    cut: int,
    headers: dict[str, bytes],
) -> None:
    lines = [(name.encode(), value) for name, value in headers.items() if name != "content-type"]
    lines.append((b"content-type", b"multipart/form-data; boundary=edge"))
    body = b""
    first = [("backendMountId", None, str(tree.mount).encode()), ("path", None, b"a")] if good else []
    for name, filename, content in [*first, *parts]:
        more = f'; filename="{filename}"'.encode("utf-8", "replace") if filename is not None else b""
        body += b'--edge\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name.encode(), more, content)
    body += b"--edge--\r\n"
    await checked(front, "POST", "/v1/files", content=body[: len(body) - cut], headers=lines)
