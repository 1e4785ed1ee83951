"""Access: tokens, scopes, tenants. Only a token names the principal."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from fastapi.routing import APIRoute

from api.access import tokens as auth
from api.commands.catalogue import KINDS
from schema.access.actions import ACTIONS
from schema.store import tokens
from schema.store.pool import Pool, make_pool
from tests.api.conftest import FrontOfTest, Tree, make_tree

PAGES = {"/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/favicon-32x32.png"}
OPEN = {"/health", "/healthz", "/ready", "/readyz", "/metrics", "/openapi.json", "/asyncapi.json", *PAGES}
BY_ADDRESS = {"/s/{link}", "/s/{link}/{name}"}
"""They take no token: the address of a share link is all that is needed, and this one is none"""
UNKNOWN = "fst_00000000_" + "A" * 43


def every_route(front: FrontOfTest) -> list[tuple[str, str]]:
    return [
        (method, route.path)
        for route in front.app.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    ]


async def ask(client: httpx2.AsyncClient, method: str, path: str) -> httpx2.Response:
    # Rights come first, then this is refused by the one route whose answer would never end.
    return await client.request(method, path.replace("{id}", str(2**40)), headers={"last-event-id": "none"})


async def test_no_route_but_health_and_docs_answers_without_a_token(front: FrontOfTest) -> None:
    routes = every_route(front)
    assert len(routes) > 15
    async with front.client() as anonymous:
        for method, path in routes:
            answer = await ask(anonymous, method, path)
            if path in OPEN:
                assert answer.status_code == 200, path
            elif path in BY_ADDRESS:
                assert answer.status_code == 404, path
            else:
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/openapi.json", "/docs"):
            assert (await anonymous.get(path)).status_code == 200
    others = {getattr(route, "path", "") for route in front.app.routes if not isinstance(route, APIRoute)}
    assert others <= OPEN, "a route that is not one of ours, and that nothing guards"


NEEDS = {
    ("POST", "/v1/files"): "write",
    ("PUT", "/v1/files/by-path"): "write",
    **{(method, "/v1/uploads/{id}"): "write" for method in ("GET", "HEAD", "PATCH", "POST", "DELETE")},
    ("POST", "/v1/uploads"): "write",
    ("POST", "/v1/uploads/presign"): "write",
    ("POST", "/v1/uploads/{id}/complete"): "write",
    ("POST", "/v1/directories"): "write",
    ("DELETE", "/v1/nodes"): "write",
    ("POST", "/v1/nodes/move"): "write",
    ("POST", "/v1/nodes/copy"): "write",
    ("POST", "/v1/nodes/restore"): "write",
    ("PATCH", "/v1/nodes/{id}/metadata"): "write",
    ("POST", "/v1/commands"): "write",
    ("POST", "/v1/commands/{name}"): "write",
    ("POST", "/v1/commands/{id}/undo"): "write",
    **{("POST", f"/v1/commands/{kind.name}"): "write" for kind in KINDS},
    ("POST", "/v1/backend-mounts"): "admin",
    ("PATCH", "/v1/backend-mounts/{id}"): "admin",
    ("DELETE", "/v1/backend-mounts/{id}"): "admin",
    **{
        ("POST", path): "admin"
        for path in ("/v1/tokens", "/v1/tokens/{id}/rotate", "/v1/tokens/{id}/revoke", "/v1/tenants")
    },
    **{("GET", path): "admin" for path in ("/v1/tokens", "/v1/tokens/{id}", "/v1/tenants", "/v1/tenants/{id}")},
    ("GET", "/v1/tenants/{id}/export"): "admin",
    ("POST", "/v1/quotas"): "admin",
    **{(method, "/v1/quotas/{id}"): "admin" for method in ("PATCH", "DELETE")},
    **{("PATCH", path): "admin" for path in ("/v1/tokens/{id}", "/v1/tenants/{id}")},
    ("DELETE", "/v1/tenants/{id}"): "admin",
    ("PUT", "/v1/backend-mounts/{id}/credentials"): "admin",
    ("POST", "/v1/holds"): "admin",
    ("POST", "/v1/projects/{name}/links"): "admin",
    **{(method, "/v1/links"): "admin" for method in ("GET", "POST")},
    **{(method, "/v1/links/{id}"): "admin" for method in ("GET", "DELETE")},
    ("GET", "/v1/audit/verify"): "admin",
    **{(method, "/v1/holds/{id}"): "admin" for method in ("PATCH", "DELETE")},
    **{(method, "/v1/metastore/records/{id}"): "write" for method in ("PUT", "PATCH", "DELETE")},
    ("POST", "/v1/metastore/namespaces"): "admin",
    **{(method, "/v1/metastore/namespaces/{name}"): "admin" for method in ("PUT", "DELETE")},
    ("POST", "/v1/notifications/s3"): "write",
    ("POST", "/v1/timestore/sql"): "admin",
    **{(method, "/v1/subscriptions"): "write" for method in ("GET", "POST")},
    **{(method, "/v1/subscriptions/{id}"): "write" for method in ("GET", "PATCH", "DELETE")},
    ("GET", "/v1/subscriptions/{id}/deliveries"): "write",
    **{("POST", f"/v1/subscriptions/{{id}}/{verb}"): "write" for verb in ("redrive", "replay", "rotate", "test")},
    ("POST", "/v1/rollups/recomputes"): "write",
    **{("POST", path): "write" for path in ("/v1/reconciliation", "/v1/drift/decide")},
    **{("POST", f"/v1/drift/looks/{{id}}/{answer}"): "write" for answer in ("release", "refuse")},
    ("PUT", "/v1/backend-mounts/{id}/policy"): "admin",
    ("POST", "/v1/backend-mounts/{id}/schedules"): "admin",
    ("POST", "/v1/freeze"): "admin",
    ("DELETE", "/v1/freeze/{id}"): "admin",
    ("POST", "/v1/operations"): "write",
    ("PATCH", "/v1/operations/{id}"): "write",
    **{("POST", f"/v1/operations/{control}"): "write" for control in ("pause", "resume", "cancel", "retry")},
    ("POST", "/v1/projects"): "admin",
    **{(method, "/v1/projects/{name}"): "admin" for method in ("PATCH", "DELETE")},
    **{
        ("POST", f"/v1/projects/{{name}}/{what}"): "write"
        for what in (
            "nodes",
            "intent",
            "objects",
            "commits",
            "conflicts/decide",
            "promote",
            "evict",
            "repair",
            "resync",
            "gc",
            "deactivate",
            "reactivate",
            "pin",
            "unpin",
        )
    },
    ("POST", "/v1/projects/{name}/jobs/{job}/cancel"): "write",
    **{(method, "/v1/projects/{name}/nodes/{node}"): "write" for method in ("PATCH", "DELETE")},
    ("PUT", "/v1/projects/{name}/objects/{sha}"): "write",
    **{("POST", f"/v1/projects/{{name}}/objects/{{sha}}/{verb}"): "write" for verb in ("presign", "complete")},
    **{
        ("POST", f"/v1/operations/{{id}}/{control}"): "write"
        for control in ("apply", "pause", "resume", "cancel", "retry", "undo")
    },
}
ORDER = ("read", "write", "admin")


@pytest.mark.parametrize("scope", ORDER)
async def test_each_route_asks_for_its_scope(front: FrontOfTest, scope: str) -> None:
    async with front.client(front.tokens[scope]) as client:
        for method, path in every_route(front):
            if path in OPEN | BY_ADDRESS:
                continue
            needs = NEEDS.get((method, path), "read")
            answer = await ask(client, method, path)
            if ORDER.index(scope) < ORDER.index(needs):
                assert answer.status_code == 403, (method, path)
                assert method == "HEAD" or answer.json()["error"]["code"] == "MISSING_SCOPE"
            else:
                assert answer.status_code not in (401, 403), (method, path)


async def test_a_token_without_any_scope_may_nothing(front: FrontOfTest) -> None:
    async with front.client(await front.token()) as client:
        assert (await client.get("/v1/backend-mounts")).status_code == 403


@pytest.mark.parametrize(
    "header",
    [
        "", "Bearer", "Bearer ", "Basic abc", "Bearer fst_short", f"Bearer {UNKNOWN}", f"{UNKNOWN}",
        f"Bearer {UNKNOWN} x",
        f"Bearer  {UNKNOWN}\t", "Bearer fst_00000000_" + "é" * 43, "Bearer " + "A" * 10_000,
        f"Bearer {UNKNOWN.upper()}",
    ],
)  # fmt: skip
async def test_what_is_no_valid_token_is_401(front: FrontOfTest, header: str) -> None:
    async with front.client() as client:
        answer = await client.get("/v1/backend-mounts", headers=[(b"authorization", header.encode("latin-1"))])
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "UNAUTHENTICATED"


async def test_the_scheme_is_written_in_any_case(front: FrontOfTest) -> None:
    async with front.client() as client:
        answer = await client.get("/v1/backend-mounts", headers={"authorization": f"bEARER {front.tokens['read']}"})
        assert answer.status_code == 200


async def test_the_header_of_earlier_clients_gives_no_name_and_no_scope(front: FrontOfTest, tree: Tree) -> None:
    token = await front.token("write", principal="ann")
    async with front.client(token, **{"x-filestore-principal": "root", "x-filestore-scopes": "admin"}) as client:
        answer = await client.post("/v1/directories", json={"backendMountId": tree.mount, "path": "a"})
        assert answer.status_code == 201
        assert front.commands.last.request.principal == "ann"
        assert (await client.post("/v1/backend-mounts", json={})).status_code == 403


async def test_a_revoked_token_dies_within_a_second(front: FrontOfTest) -> None:
    assert auth.HOLDS_SECONDS < 1
    async with front.pool.connection() as connection:
        id, token = await tokens.create(connection, "short-lived", ["read"])
    async with front.client(token) as client:
        assert (await client.get("/v1/backend-mounts")).status_code == 200
        async with front.pool.connection() as connection:
            assert await tokens.revoke(connection, id)
            assert not await tokens.revoke(connection, id)
        began = asyncio.get_running_loop().time()
        while (answer := await client.get("/v1/backend-mounts")).status_code == 200:
            assert asyncio.get_running_loop().time() - began < 1
        assert answer.status_code == 401
        assert (await client.get("/v1/backend-mounts")).status_code == 401


async def test_an_expired_token_is_401(front: FrontOfTest) -> None:
    async with front.pool.connection() as connection:
        _, token = await tokens.create(
            connection, "past", ["admin"], expires_at=datetime.now(UTC) - timedelta(seconds=1)
        )
    async with front.client(token) as client:
        assert (await client.get("/v1/backend-mounts")).status_code == 401


async def test_a_token_is_stored_as_a_hash_alone_and_its_use_is_noted(
    front: FrontOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = front.tokens["read"]
    monkeypatch.setattr(auth, "NOTE_SECONDS", -1.0)
    async with front.client(token) as client:
        await client.get("/v1/backend-mounts")
        front.app.state.front.tokens._answers.clear()
        await client.get("/v1/backend-mounts")
    async with front.pool.connection() as connection:
        cursor = await connection.execute("SELECT * FROM filestore.tokens WHERE hash = %s", [tokens.digest(token)])
        row = await cursor.fetchone()
    assert row is not None and row["last_used_at"] is not None
    assert token not in str(row) and token.startswith(row["hint"])


async def test_the_bootstrap_token_is_made_valid_again_and_must_look_like_one(front: FrontOfTest) -> None:
    token = tokens.mint()
    async with front.pool.connection() as connection:
        await tokens.ensure_bootstrap(connection, token)
        await connection.execute(
            "UPDATE filestore.tokens SET revoked_at = now() WHERE hash = %s", [tokens.digest(token)]
        )
        await tokens.ensure_bootstrap(connection, token)
        found = await tokens.find(connection, tokens.digest(token))
        assert found is not None and found.access.general == ACTIONS
        with pytest.raises(ValueError, match="FILESTORE_BOOTSTRAP_TOKEN"):
            await tokens.ensure_bootstrap(connection, "secret")


@pytest.fixture
async def nowhere() -> Pool:
    pool = make_pool("postgresql://nobody@127.0.0.1:9/none", name="nowhere", min_size=0, timeout=0.05)
    await pool.open()
    return pool


async def test_without_postgres_a_known_token_hears_503_and_an_unknown_one_too(
    front: FrontOfTest, nowhere: Pool
) -> None:
    async with front.client(front.tokens["read"]) as known, front.client(UNKNOWN) as unknown:
        assert (await known.get("/v1/backend-mounts")).status_code == 200
        held = front.app.state.front.tokens
        held._pool = nowhere
        object.__setattr__(front.app.state.front.services, "pool", nowhere)
        for age in (0.0, auth.HOLDS_SECONDS):
            for one in held._answers.values():
                one.asked -= age
            for client in (known, unknown):
                answer = await client.get("/v1/backend-mounts")
                assert answer.status_code == 503
                assert answer.json()["error"]["code"] == "UNAVAILABLE"
                assert answer.headers["retry-after"] == "2"
    await nowhere.close()


async def test_a_tenant_sees_nothing_of_another(
    front: FrontOfTest, pool: Pool, tree: Tree, tmp_path_factory: pytest.TempPathFactory
) -> None:
    node = await tree.file("theirs.txt", b"theirs")
    another = f"tenant-{uuid.uuid4().hex[:8]}"
    own = await make_tree(pool, tmp_path_factory.mktemp("own"), tenant=another)
    token = await front.token("admin", tenant=another)
    async with front.client(token) as client:
        for path in (f"/v1/nodes/{node}", f"/v1/nodes/{tree.root}/children", f"/v1/files/{node}/content",
                     f"/v1/backend-mounts/{tree.mount}", f"/v1/nodes?backendMountId={tree.mount}",
                     f"/v1/nodes/by-path?backendMountId={tree.mount}&path=theirs.txt",
                     f"/v1/journal?backendMountId={tree.mount}"):  # fmt: skip
            assert (await client.get(path)).status_code == 404, path
        listed = (await client.get("/v1/backend-mounts")).json()["data"]["mounts"]
        assert [mount["id"] for mount in listed] == [own.mount]
        command = {"backendMountId": tree.mount, "path": "mine"}
        assert (await client.post("/v1/directories", json=command)).status_code == 404
        assert (await client.request("DELETE", "/v1/nodes", json=command)).status_code == 404
        assert (await client.patch(f"/v1/backend-mounts/{tree.mount}", json={})).status_code == 404
        ends = {"path": "theirs.txt", "targetPath": "mine"}
        for mounts in (
            {"backendMountId": tree.mount},
            {"backendMountId": own.mount, "targetBackendMountId": tree.mount},
        ):
            for name in ("move", "copy"):
                assert (await client.post(f"/v1/nodes/{name}", json=ends | mounts)).status_code == 404
        for mount in (tree.mount, own.mount):
            change = {"backendMountId": mount, "set": {"a": 1}}
            assert (await client.patch(f"/v1/nodes/{node}/metadata", json=change)).status_code == 404
            named = {"backendMountId": mount, "nodeId": node}
            assert (await client.post("/v1/nodes/restore", json=named)).status_code == 404
        commands = [{"command": "deleteNode", "path": "theirs.txt", "backendMountId": tree.mount}]
        listed = (await client.post("/v1/commands", json={"commands": commands})).json()["data"]["results"]
        assert [one["status"] for one in listed] == [404]
    assert front.commands.submissions == []
