"""Reading nodes: by id, by path, children, trees; pages, order, filters."""

import base64
import json
from typing import Any

import httpx2
import psycopg
import pytest

from schema.ids import NodeId
from tests.api.conftest import Tree

GONE: dict[str, Any] = {"state": "deleted", "deleted_at": "2026-01-01T00:00:00Z"}


async def names(client: httpx2.AsyncClient, node: NodeId, **params: Any) -> list[str]:
    answer = await client.get(f"/v1/nodes/{node}/children", params=params)
    assert answer.status_code == 200, answer.text
    return [child["name"] for child in answer.json()["data"]["children"]]


async def paths(client: httpx2.AsyncClient, tree: Tree, **params: Any) -> list[str]:
    answer = await client.get("/v1/nodes", params={"backendMountId": tree.mount, **params})
    assert answer.status_code == 200, answer.text
    return [node["path"] for node in answer.json()["data"]["nodes"]]


NODE = {
    "id", "backendMountId", "parentId", "path", "name", "depth", "kind", "sizeBytes", "checksum",
    "contentHash",
    "metadata", "state", "version", "isSymlink", "lastSeenAt", "lastModifiedAt", "consistencyState",
    "consistencyCheckedAt",
    "lastReconciledAt", "lastDriftDetectedAt", "createdAt", "updatedAt", "deletedAt", "rollup", "download",
}  # fmt: skip


async def test_a_node_by_id_and_by_path_is_the_same(client: httpx2.AsyncClient, tree: Tree) -> None:
    await tree.directory("d")
    node = await tree.file("d/é.txt", metadata='{"n": 1.0, "big": 123456789012345678901234567890}', size_bytes=7)
    by_id = await client.get(f"/v1/nodes/{node}")
    by_path = await client.get("/v1/nodes/by-path", params={"backendMountId": tree.mount, "path": "/d//é.txt/"})
    assert by_id.status_code == by_path.status_code == 200
    assert by_id.content == by_path.content
    found = by_id.json()["data"]
    assert set(found) == NODE
    assert (found["id"], found["path"], found["depth"], found["sizeBytes"]) == (node, "d/é.txt", 2, 7)
    assert '"big": 123456789012345678901234567890' in by_id.text and '"n": 1.0' in by_id.text, (
        "types stay what they are"
    )
    assert found["rollup"] is None and found["download"]["streamUrl"] == f"/v1/files/{node}/content"


async def test_the_root_is_the_empty_path(client: httpx2.AsyncClient, tree: Tree) -> None:
    for path in ("", "/", "//"):
        answer = await client.get("/v1/nodes/by-path", params={"backendMountId": tree.mount, "path": path})
        assert answer.json()["data"]["id"] == tree.root
    answer = await client.get("/v1/nodes/by-path", params={"backendMountId": tree.mount})
    assert answer.json()["data"]["parentId"] is None


async def test_by_path_prefers_the_living_then_the_one_deleted_last(client: httpx2.AsyncClient, tree: Tree) -> None:
    async def found(path: str) -> Any:
        answer = await client.get("/v1/nodes/by-path", params={"backendMountId": tree.mount, "path": path})
        return answer.json()["data"]["id"] if answer.status_code == 200 else answer.json()["error"]["code"]

    assert await found("a") == "NODE_NOT_FOUND"
    await tree.file("a", state="deleted", deleted_at="2026-01-01T00:00:00Z")
    later = await tree.file("a", state="deleted", deleted_at="2026-01-02T00:00:00Z")
    await tree.file("a", state="deleted", deleted_at="2025-01-01T00:00:00Z")
    assert await found("a") == later
    living = await tree.file("a")
    assert await found("a") == living
    await tree.directory("d", **GONE)
    inside = await tree.file("d/x", **GONE)
    assert await found("d/x") == inside
    await tree.directory("d")
    assert await found("d/x") == inside, "though another directory has taken the place of its own"


async def test_bytes_that_are_not_utf8(client: httpx2.AsyncClient, tree: Tree) -> None:
    import base64

    raw = b"d\xff/f\xfe"
    await tree.directory(b"d\xff")
    node = await tree.file(raw)
    encoded = base64.b64encode(raw).decode()
    answer = await client.get("/v1/nodes/by-path", params={"backendMountId": tree.mount, "pathB64": encoded})
    assert answer.json()["data"]["id"] == node and answer.json()["data"]["pathB64"] == encoded
    lossy = await client.get(f"/v1/nodes/by-path?backendMountId={tree.mount}&path=d%FF")
    assert (lossy.status_code, lossy.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert await paths(client, tree, pathB64=encoded) == ["d\ufffd/f\ufffd"]


@pytest.mark.parametrize("id", ["0", "9" * 18, "9" * 19, "9" * 100])
async def test_an_id_nobody_has(client: httpx2.AsyncClient, id: str) -> None:
    for path in (f"/v1/nodes/{id}", f"/v1/nodes/{id}/children", f"/v1/files/{id}/content"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NODE_NOT_FOUND")


@pytest.mark.parametrize("id", ["x", "-1", "1.0", "1e3", "%00", "٣", "%F0%9F%98%80", "%FF", "1%20", "null", "%2e%2e"])
async def test_what_is_no_id(client: httpx2.AsyncClient, id: str) -> None:
    for path in (f"/v1/nodes/{id}", f"/v1/nodes/{id}/children", f"/v1/files/{id}/content", f"/v1/backend-mounts/{id}"):
        answer = await client.get(path)
        assert answer.status_code in (400, 404), path


async def test_children_are_ordered_by_kind_then_by_the_bytes_of_the_name(
    client: httpx2.AsyncClient, tree: Tree
) -> None:
    for name in ("b", "B", "a", "é", "z", "_"):
        await tree.file(name)
    for name in ("dz", "da", "D"):
        await tree.directory(name)
    await tree.file("link", kind="symlink")
    await tree.file("gone", **GONE)
    ordered = ["D", "da", "dz", "B", "_", "a", "b", "z", "é", "link"]
    assert await names(client, tree.root) == ordered
    assert await names(client, tree.root, states="active") == ordered
    assert await names(client, tree.root, kinds="file,symlink") == ordered[3:]
    assert await names(client, tree.root, kinds=["directory", "symlink"]) == ["D", "da", "dz", "link"]


async def test_pages_of_children_hold_each_once(client: httpx2.AsyncClient, tree: Tree) -> None:
    for n in range(25):
        await tree.file(f"f{n:02}")
    seen, offset = [], 0
    while True:
        answer = await client.get(f"/v1/nodes/{tree.root}/children", params={"limit": 10, "offset": offset})
        data = answer.json()["data"]
        seen += [child["name"] for child in data["children"]]
        assert data["parent"]["id"] == tree.root
        assert data["pagination"]["total"] == 25 and data["pagination"]["limit"] == 10
        if data["pagination"]["nextOffset"] is None:
            break
        offset = data["pagination"]["nextOffset"]
    assert seen == [f"f{n:02}" for n in range(25)]
    beyond = (await client.get(f"/v1/nodes/{tree.root}/children", params={"offset": 99})).json()["data"]
    assert beyond["children"] == [] and beyond["pagination"] == {
        "total": 25,
        "limit": 100,
        "offset": 99,
        "nextOffset": None,
        "nextCursor": None,
    }


async def test_a_file_has_no_children(client: httpx2.AsyncClient, tree: Tree) -> None:
    node = await tree.file("f")
    for params in ({}, {"search": "x"}):
        answer = await client.get(f"/v1/nodes/{node}/children", params=params)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "NOT_A_DIRECTORY")


async def test_deleted_ones_are_listed_when_asked_for(client: httpx2.AsyncClient, tree: Tree) -> None:
    await tree.file("lives")
    await tree.file("gone", **GONE)
    await tree.directory("d", **GONE)
    await tree.file("d/inside", **GONE)
    assert await names(client, tree.root) == ["lives"]
    assert await names(client, tree.root, states="deleted") == ["d", "gone"]
    assert await names(client, tree.root, states="deleted,active") == ["d", "gone", "lives"]
    assert await paths(client, tree) == ["lives"]
    assert await paths(client, tree, states="deleted") == ["d", "gone", "d/inside"]
    assert await paths(client, tree, path="d", states="deleted") == ["d", "d/inside"]


async def small_tree(tree: Tree) -> None:
    for path in ("a", "a/b", "a/b/c", "a_b", "axb", "ab"):
        await tree.directory(path)
    for path in ("a/1", "a/b/2", "a/b/c/3", "a_b/4", "axb/5", "ab/6", "a0", "a."):
        await tree.file(path)


async def test_a_tree_is_ordered_by_depth_then_by_the_bytes_of_the_path(client: httpx2.AsyncClient, tree: Tree) -> None:
    await small_tree(tree)
    everything = [
        "a",
        "a.",
        "a0",
        "a_b",
        "ab",
        "axb",
        "a/1",
        "a/b",
        "a_b/4",
        "ab/6",
        "axb/5",
        "a/b/2",
        "a/b/c",
        "a/b/c/3",
    ]
    assert await paths(client, tree) == everything
    assert await paths(client, tree, path="") == everything
    assert await paths(client, tree, path="a") == ["a", "a/1", "a/b", "a/b/2", "a/b/c", "a/b/c/3"]
    assert await paths(client, tree, path="a_b") == ["a_b", "a_b/4"], "an underscore stands for itself"
    assert await paths(client, tree, path="a/b", depth=0) == ["a/b"]
    assert await paths(client, tree, path="a/b", depth=1) == ["a/b", "a/b/2", "a/b/c"]
    assert await paths(client, tree, depth=1) == everything[:6]
    assert await paths(client, tree, depth=0) == []
    assert await paths(client, tree, path="a/1") == ["a/1"]
    assert await paths(client, tree, path="nope") == []
    assert await paths(client, tree, limit=3, offset=2) == everything[2:5]


@pytest.mark.parametrize(
    ("search", "found"),
    [("_", ["a_b", "a_b/4"]), ("%", []), ("\\", []), ("B/C", ["a/b/c", "a/b/c/3"]), ("'", []), ("AXB/", ["axb/5"]),
     ("a.", ["a."]), ("", None)],
)  # fmt: skip
async def test_search_is_plain_text(
    client: httpx2.AsyncClient, tree: Tree, search: str, found: list[str] | None
) -> None:
    await small_tree(tree)
    expected = await paths(client, tree) if found is None else found
    assert await paths(client, tree, search=search) == expected
    if search:
        assert await paths(client, tree, filters=json.dumps({"query": search})) == expected


@pytest.mark.parametrize(
    ("name", "searches"),
    [("Ärger", ["ärger", "ÄRGER", "rGeR"]), ("Straße", ["STRASSE", "straße", "STRAẞE"]), ("ЖУК", ["жук", "Жу"]),
     ("ΣΊΣΥΦΟΣ", ["σίσυφος", "Σίσυφοσ"]), ("Éclair", ["éCLAIR"]), ("ﬁn", ["FIN"]), ("Ⅷ", ["ⅷ"])],
)  # fmt: skip
async def test_search_knows_the_cases_of_all_letters(
    client: httpx2.AsyncClient, tree: Tree, name: str, searches: list[str]
) -> None:
    await tree.directory(name)
    await tree.file(f"{name}/x")
    await tree.file("other")
    for search in searches:
        query = json.dumps({"query": search})
        assert (
            await paths(client, tree, search=search) == await paths(client, tree, filters=query) == [name, f"{name}/x"]
        )
        assert await names(client, tree.root, search=search) == await names(client, tree.root, filters=query) == [name]


async def test_search_among_children_is_for_names(client: httpx2.AsyncClient, tree: Tree) -> None:
    await small_tree(tree)
    assert await names(client, tree.root, search="B") == ["a_b", "ab", "axb"]
    assert await names(client, tree.root, search="a/b") == []


@pytest.fixture
async def kinds_of_files(tree: Tree) -> Tree:
    await tree.file(
        "small", size_bytes=1, metadata='{"n": 1, "s": "1", "b": true, "x": null}', observed_at="2026-01-01Z"
    )
    await tree.file("large", size_bytes=100, metadata='{"n": 2.5, "s": "x"}', observed_at="2026-06-01Z")
    await tree.file("astray", state="inconsistent", last_drift_at="2026-06-01Z")
    await tree.file("lost", state="missing")
    full = await tree.directory("full")
    await tree.directory("empty")
    async with tree.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO filestore.rollups (directory_id, size_bytes, file_count, directory_count, child_count) "
            "VALUES (%s, 10, 2, 0, 2)", [full],
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO filestore.rollup_deltas (directory_id, size_bytes, file_count, directory_count, child_count) "
            "VALUES (%s, 5, 1, 0, 1)", [full],
        )  # fmt: skip
    return tree


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"size": {"min": 2}}, ["large"]), ({"size": {"min": 1, "max": 1}}, ["small"]),
    ({"metadata": [{"key": "n", "value": 1}]}, ["small"]), ({"metadata": [{"key": "s", "value": "1"}]}, ["small"]),
    ({"metadata": [{"key": "n", "value": "1"}]}, []), ({"metadata": [{"key": "n", "value": 2.5}]}, ["large"]),
    ({"metadata": [{"key": "b", "value": True}, {"key": "x", "value": None}]}, ["small"]),
    ({"metadata": [{"key": "n", "value": 1}, {"key": "s", "value": "x"}]}, []),
    ({"lastSeenAt": {"after": "2026-03-01T00:00:00Z"}}, ["large"]),
    ({"lastSeenAt": {"before": "2026-03-01T00:00:00+02:00"}}, ["small"]),
    ({"rollup": {"minFileCount": 3}}, ["full"]), ({"rollup": {"minFileCount": 4}}, []),
    ({"rollup": {"minSizeBytes": 15, "maxSizeBytes": 15, "states": ["up_to_date"]}}, ["full"]),
    ({"rollup": {"maxChildCount": 0}}, ["empty"]), ({"rollup": {}}, ["empty", "full"]),
    ({"rollup": {"states": ["stale"]}}, []), ({"rollup": {"minChildCount": 3, "maxChildCount": 3}}, ["full"]),
    ({"rollup": {"maxFileCount": 2}}, ["empty"]), ({"rollup": {"minDirectoryCount": 1}}, []),
    ({"rollup": {"maxDirectoryCount": 0}}, ["empty", "full"]), ({"rollup": {"minSizeBytes": 1}}, ["full"]),
    ({"rollup": {"lastCalculatedBefore": "2100-01-01T00:00:00Z"}}, ["empty", "full"]),
    ({"rollup": {"lastCalculatedBefore": "2000-01-01T00:00:00Z"}}, []),
    ({"metadata": [{"key": "n", "value": 1}] * 16}, ["small"]), ({"query": "%"}, []), ({"query": "_"}, []),
    ({"lastSeenAt": {"after": "2026-01-01T00:00:00Z", "before": "2026-01-01T00:00:00Z"}}, ["small"]),
    ({"size": {"min": 1}, "query": "l", "metadata": [{"key": "s", "value": "x"}]}, ["large"]),
    ({"rollup": {"lastCalculatedAfter": "2100-01-01T00:00:00Z"}}, []), ({"query": "LAR"}, ["large"]),
    ({}, ["empty", "full", "astray", "large", "lost", "small"]),
]  # fmt: skip


@pytest.mark.parametrize(("filters", "found"), FILTERS, ids=[json.dumps(filters) for filters, _ in FILTERS])
async def test_filters(
    client: httpx2.AsyncClient, kinds_of_files: Tree, filters: dict[str, Any], found: list[str]
) -> None:
    assert await names(client, kinds_of_files.root, filters=json.dumps(filters)) == found
    assert sorted(await paths(client, kinds_of_files, filters=json.dumps(filters))) == sorted(found)


async def test_drift_only(client: httpx2.AsyncClient, kinds_of_files: Tree) -> None:
    assert await names(client, kinds_of_files.root, driftOnly="true") == ["astray", "lost"]
    assert await names(client, kinds_of_files.root, driftOnly="true", states="missing") == ["lost"]


async def test_the_conditions_come_back(client: httpx2.AsyncClient, tree: Tree) -> None:
    params: dict[str, Any] = {"backendMountId": tree.mount, "path": "a", "states": "active,missing", "kinds": "file",
    "search": "x",
                              "filters": '{"size":{"min":1}}'}  # fmt: skip
    understood = (await client.get("/v1/nodes", params=params)).json()["data"]["filters"]
    assert (
        understood["states"] == ["active", "missing"] and understood["kinds"] == ["file"] and understood["path"] == "a"
    )
    assert understood["filters"]["size"] == {"min": 1, "max": None} and understood["driftOnly"] is False


BAD_QUERIES = [
    {"limit": "0"}, {"limit": "201"}, {"limit": "x"}, {"limit": "1.5"}, {"limit": ""}, {"limit": "9" * 5000},
    {"offset": "-1"},
    {"offset": "9" * 30}, {"states": "active,nope"}, {"kinds": "folder"}, {"driftOnly": "perhaps"},
    {"search": "x" * 1001},
    {"states": ""}, {"kinds": ","}, {"states": ["", ""]},
    {"search": "a\0b"}, {"filters": "x"}, {"filters": "[]"}, {"filters": "1"}, {"filters": '{"nope": 1}'},
    {"filters": '{"size": {"least": 1}}'}, {"filters": '{"size": {"min": "1"}}'}, {"filters": '{"size": {"min": -1}}'},
    {"filters": '{"metadata": [{"key": "a", "value": 18446744073709551616}]}'},
    {"filters": '{"size": {"min": 1e30}}'}, {"filters": '{"size": {"min": 9223372036854775808}}'},
    {"filters": '{"lastSeenAt": {"after": "yesterday"}}'}, {"filters": '{"lastSeenAt": {"after": 5}}'},
    {"filters": '{"metadata": [{"key": "a", "value": {}}]}'}, {"filters": '{"metadata": [{"key": "a", "value": [1]}]}'},
    {"filters": '{"metadata": [{"key": "a\\u0000", "value": 1}]}'},
    {"filters": '{"metadata": [{"key": "a", "value": "\\u0000"}]}'},
    {"filters": json.dumps({"metadata": [{"key": str(n), "value": n} for n in range(17)]})},
    {"filters": '{"metadata": [{"key": "a", "value": NaN}]}'}, {"filters": '{"rollup": {"states": ["fresh"]}}'},
    {"filters": '{"query": "\\ud800"}'}, {"filters": "[" * 10_000}, {"filters": ["{}", "{}"]}, {"limit": ["1", "2"]},
]  # fmt: skip


@pytest.mark.parametrize("params", BAD_QUERIES, ids=[str(n) for n in range(len(BAD_QUERIES))])
async def test_a_bad_query_is_400(client: httpx2.AsyncClient, tree: Tree, params: dict[str, Any]) -> None:
    for path, more in ((f"/v1/nodes/{tree.root}/children", {}), ("/v1/nodes", {"backendMountId": tree.mount})):
        answer = await client.get(path, params={**more, **params})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST"), answer.text


@pytest.mark.parametrize(
    "params", [{"depth": "-1"}, {"depth": "11"}, {"path": "../x"}, {"path": "a\0"}, {"pathB64": "!"}]
)
async def test_a_bad_tree_is_400(client: httpx2.AsyncClient, tree: Tree, params: dict[str, str]) -> None:
    answer = await client.get("/v1/nodes", params={"backendMountId": tree.mount, **params})
    assert answer.status_code == 400
    for missing in ({}, {"backendMountId": "x"}, {"backendMountId": "0"}):
        assert (await client.get("/v1/nodes", params=missing)).status_code == 400
    assert (await client.get("/v1/nodes", params={"backendMountId": 2**62})).status_code == 404


async def test_extreme_but_legal_dates(client: httpx2.AsyncClient, tree: Tree) -> None:
    for date in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-02-28T23:59:59.999999Z"):
        for end in ("after", "before"):
            await names(client, tree.root, filters=json.dumps({"lastSeenAt": {end: date}}))


# Cursors


async def read_through(
    client: httpx2.AsyncClient, route: str, what: str, meanwhile: Any = None, **params: Any
) -> list[str]:
    """All pages, by cursor."""
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = await client.get(route, params={**params, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        seen += [node["path"] for node in data[what]]
        cursor = data["pagination"]["nextCursor"]
        assert len(data[what]) == params["limit"] or cursor is None, "only the last page is short"
        if meanwhile is not None:
            await meanwhile(len(seen))
    return seen


@pytest.mark.parametrize("limit", [1, 2, 5, 200])
async def test_a_cursor_meets_each_node_once_in_order(client: httpx2.AsyncClient, tree: Tree, limit: int) -> None:
    await small_tree(tree)
    await tree.file("link", kind="symlink")
    for _ in range(3):
        await tree.file("twice", **GONE)
    nodes, children = "/v1/nodes", f"/v1/nodes/{tree.root}/children"
    for conditions in ({}, {"states": "active,deleted"}, {"search": "a"}, {"kinds": "file"}):
        asked: dict[str, Any] = {"backendMountId": tree.mount, **conditions}
        everything = await paths(client, tree, limit=200, **conditions)
        assert await read_through(client, nodes, "nodes", limit=limit, **asked) == everything
        everything = await names(client, tree.root, limit=200, **conditions)
        assert await read_through(client, children, "children", limit=limit, **conditions) == everything
    assert await read_through(client, nodes, "nodes", limit=limit, backendMountId=tree.mount, path="a", depth=1) == [
        "a", "a/1", "a/b",
    ]  # fmt: skip


@pytest.mark.parametrize("what", ["nodes", "children"])
async def test_paging_stays_right_while_others_write(client: httpx2.AsyncClient, tree: Tree, what: str) -> None:
    """With offsets each deletion before the page would hide a node, and each insertion would show one twice."""
    staying = [f"f{n:03}" for n in range(0, 60, 2)]
    for name in staying:
        await tree.file(name)
    leaving = [f"f{n:03}x" for n in range(0, 60, 2)]
    for name in leaving:
        await tree.file(name)

    async def meanwhile(count: int) -> None:
        await tree.file(f"a{count:03}")
        await tree.file(f"f{(count * 7) % 60:03}y{count}")
        await tree.file(f"z{count:03}")
        async with tree.pool.connection() as connection:
            await connection.execute(
                "UPDATE filestore.nodes SET state = 'deleted', deleted_at = now(), version = version + 1 WHERE id = ("
                "SELECT id FROM filestore.nodes WHERE parent_id = %s AND name LIKE 'f%%x' AND state = 'active' "
                "ORDER BY name LIMIT 1)", [tree.root],
            )  # fmt: skip

    path = "/v1/nodes" if what == "nodes" else f"/v1/nodes/{tree.root}/children"
    conditions = {"backendMountId": tree.mount} if what == "nodes" else {}
    seen = await read_through(client, path, what, meanwhile, limit=4, **conditions)
    assert len(set(seen)) == len(seen), "none twice"
    assert [name for name in seen if name in staying] == staying, "none left out"


async def cursor_of(client: httpx2.AsyncClient, route: str, **params: Any) -> str:
    answer = await client.get(route, params={"limit": 1, **params})
    return str(answer.json()["data"]["pagination"]["nextCursor"])


async def test_a_cursor_holds_for_its_own_list_alone(client: httpx2.AsyncClient, tree: Tree) -> None:
    await small_tree(tree)
    children, nodes = f"/v1/nodes/{tree.root}/children", "/v1/nodes"
    of_children = await cursor_of(client, children)
    of_nodes = await cursor_of(client, nodes, backendMountId=tree.mount, path="/a/")
    asked: dict[str, Any] = {"backendMountId": tree.mount, "path": "a"}

    async def status(route: str, **params: Any) -> int:
        return (await client.get(route, params=params)).status_code

    assert await status(children, cursor=of_children, limit=7) == 200, "pages may have another size"
    assert await status(nodes, cursor=of_nodes, **asked) == 200, "however the path is written"
    assert await status(children, cursor=of_children, search="x") == 400
    assert await status(children, cursor=of_children, states="deleted") == 400
    assert await status(children, cursor=of_children, filters='{"query":"a"}') == 400
    assert await status(nodes, cursor=of_children, **asked) == 400
    assert await status(nodes, cursor=of_nodes, backendMountId=tree.mount, path="ab") == 400
    assert await status(nodes, cursor=of_nodes, depth=1, **asked) == 400
    assert await status(children, cursor=of_children, offset=1) == 400
    assert await status(children, cursor=of_children, offset=0) == 200


def spoilt(cursor: str) -> list[str]:
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    head, key = raw[:21], raw[21:]
    made = [
        b"", b"\0", raw[:8], raw[:20], bytes([2]) + raw[1:], head[:9] + b"\xff" * 4 + head[13:] + key,
        head[:9] + b"\0\0\0\x04" + head[13:] + key, head[:13] + b"\xff" * 8 + key, b"\xff" * 6000,
    ]  # fmt: skip
    return [
        "x", "!", "=", "==", "é", "٣", "null", "0", "-1", "9" * 30, "x" * 10_000, cursor + "=", cursor + "A", "A" + cursor,
        *(base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in made),
    ]  # fmt: skip


async def test_whatever_is_no_cursor_is_400(client: httpx2.AsyncClient, tree: Tree) -> None:
    await small_tree(tree)
    children = f"/v1/nodes/{tree.root}/children"
    cursor = await cursor_of(client, children)
    for text in spoilt(cursor):
        for path, more in ((children, {}), ("/v1/nodes", {"backendMountId": tree.mount})):
            answer = await client.get(path, params={"cursor": text, **more})
            assert answer.status_code in (200, 400), (text, answer.text)
            assert answer.status_code == 400 or text == cursor + "A", text
            if answer.status_code == 400:
                assert answer.json()["error"]["code"] == "INVALID_REQUEST"


async def test_a_forged_place_in_the_right_list_is_only_a_place(client: httpx2.AsyncClient, tree: Tree) -> None:
    """A client that makes cursors up gets a page of what it could ask for anyway."""
    await small_tree(tree)
    children = f"/v1/nodes/{tree.root}/children"
    cursor = await cursor_of(client, children)
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for rank, key in ((0, b""), (3, b"\xff" * 1000), (1, b"\0"), (2, b"'; --")):
        made = raw[:9] + rank.to_bytes(4, "big") + raw[13:21] + key
        answer = await client.get(children, params={"cursor": base64.urlsafe_b64encode(made).rstrip(b"=").decode()})
        assert answer.status_code == 200, answer.text


async def test_a_list_is_one_statement_however_many_directories_are_in_it(
    client: httpx2.AsyncClient, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rollups come with it: one question per directory once made lists slow."""
    for n in range(20):
        await tree.directory(f"d{n}")
    await paths(client, tree)  # from now on the token and the mount are known
    asked: list[Any] = []
    plain = psycopg.AsyncConnection.execute

    async def counted(connection: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        if "filestore.node" in str(query):  # the token may be asked about anew meanwhile
            asked.append(query)
        return await plain(connection, query, *arguments, **options)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", counted)
    assert len(await names(client, tree.root)) == 20 and len(asked) == 1
    assert len(await paths(client, tree)) == 20 and len(asked) == 2


# Names that other systems take for one another

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


async def collides(client: httpx2.AsyncClient, node: NodeId) -> Any:
    answer = await client.get(f"/v1/nodes/{node}", params={"collisions": "true"})
    assert answer.status_code == 200, answer.text
    found = answer.json()["data"]
    assert set(found) == NODE | {"collidesWith"}
    params = {"backendMountId": found["backendMountId"], "path": found["path"], "collisions": "true"}
    if found["state"] != "deleted":
        by_path = await client.get("/v1/nodes/by-path", params=params)
        assert by_path.json()["data"]["collidesWith"] == found["collidesWith"]
    return found["collidesWith"]


async def test_names_that_case_or_normalisation_alone_tell_apart(client: httpx2.AsyncClient, tree: Tree) -> None:
    nodes = {name: await tree.file(name) for name in ("README", "Readme", "readme.txt", COMPOSED, DECOMPOSED)}
    nodes["straße"], nodes["STRASSE"] = await tree.file("straße"), await tree.directory("STRASSE")
    assert await collides(client, nodes["README"]) == ["Readme"]
    assert await collides(client, nodes["Readme"]) == ["README"]
    assert await collides(client, nodes["readme.txt"]) == []
    assert await collides(client, nodes[COMPOSED]) == [DECOMPOSED]
    assert await collides(client, nodes["straße"]) == ["STRASSE"], "a directory is a name like any other"
    await tree.file("readme", **GONE)
    assert await collides(client, nodes["README"]) == ["Readme"], "only the living count"
    assert await collides(client, tree.root) == []
    plain = await client.get(f"/v1/nodes/{nodes['README']}")
    assert set(plain.json()["data"]) == NODE, "a client that does not ask does not pay"


async def test_a_deleted_node_collides_with_nothing(client: httpx2.AsyncClient, tree: Tree) -> None:
    gone = await tree.file("a", **GONE)
    await tree.file("A")
    assert await collides(client, gone) == []


async def test_a_tree_shows_what_collides_in_it(client: httpx2.AsyncClient, tree: Tree) -> None:
    for folder in ("d", "e", "d/x"):
        await tree.directory(folder)
    for path in ("a", "B", "d/a", "d/A", "d/b", "e/A", "d/x/é", "d/x/É", "d/x/c"):
        await tree.file(path)
    await tree.file("b", **GONE)
    assert await paths(client, tree, collisions="true") == ["d/A", "d/a", "d/x/É", "d/x/é"]
    assert await paths(client, tree, collisions="true", path="d/x") == ["d/x/É", "d/x/é"]
    assert await paths(client, tree, collisions="true", path="e") == []
    assert await paths(client, tree, collisions="true", search="d/a") == ["d/A", "d/a"], "with other conditions"
    page = await client.get("/v1/nodes", params={"backendMountId": tree.mount, "collisions": "true", "limit": 3})
    listed = page.json()["data"]
    assert listed["pagination"]["total"] == 4 and listed["filters"]["collisions"] is True
    rest = await client.get(
        "/v1/nodes",
        params={"backendMountId": tree.mount, "collisions": "true", "cursor": listed["pagination"]["nextCursor"]},
    )
    assert [node["path"] for node in rest.json()["data"]["nodes"]] == ["d/x/é"]
    other = await client.get(
        "/v1/nodes", params={"backendMountId": tree.mount, "cursor": listed["pagination"]["nextCursor"]}
    )
    assert other.status_code == 400, "a cursor holds for its list alone"
