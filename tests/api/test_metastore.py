"""Records over HTTP: what is said, changed, refused, found and kept."""

import csv
import io
import json
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from api.metastore.routes import words
from schema.ids import NodeId
from schema.metastore.records import METADATA_MAX
from tests.api.conftest import FrontOfTest, Tree


class Records:
    def __init__(self, client: httpx2.AsyncClient, tree: Tree) -> None:
        self.client, self.tree = client, tree

    async def send(self, method: str, node: NodeId, status: int = 200, **options: Any) -> dict[str, Any]:
        answer = await self.client.request(method, f"/v1/metastore/records/{node}", **options)
        assert answer.status_code == status, answer.text
        body = answer.json()
        found: dict[str, Any] = body.get("data") or body["error"]
        return found

    async def search(self, **wanted: Any) -> list[str]:
        body = {"backendMountId": self.tree.mount, **wanted}
        answer = await self.client.post("/v1/metastore/search", json=body)
        assert answer.status_code == 200, answer.text
        return [one["filestore"]["path"] for one in answer.json()["data"]["records"]]


@pytest_asyncio.fixture
async def records(client: httpx2.AsyncClient, tree: Tree) -> Records:
    return Records(client, tree)


async def test_put_says_all_and_patch_some(records: Records) -> None:
    node = await records.tree.file("a.txt")
    said = {"tags": ["b", "a", "b"], "owner": "ann", "metadata": {"k": 1, "l": {"m": [1]}}}
    made = await records.send("PUT", node, json=said)
    assert (made["tags"], made["owner"], made["metadata"], made["namespace"]) == (
        ["b", "a"],
        "ann",
        said["metadata"],
        "filestore",
    )
    assert made["filestore"]["path"] == "a.txt" and made["filestore"]["kind"] == "file"
    changes = {"addTags": ["c"], "removeTags": ["a"], "set": {"k": "2"}, "unset": ["l"]}
    changed = await records.send("PATCH", node, json=changes)
    assert (changed["tags"], changed["owner"], changed["metadata"]) == (["b", "c"], "ann", {"k": "2"})
    assert (await records.send("PATCH", node, json={"owner": None}))["owner"] is None
    assert (await records.send("PUT", node, json={}))["tags"] == []


async def test_metadata_is_bounded_however_it_grows(records: Records) -> None:
    """Also where nearly every byte of it is a word that is searched for, beside as many tags as there may be."""
    node = await records.tree.file("a.txt")
    words_of = " ".join(f"{n:x}" for n in range(0x1000, 0x1000 + (METADATA_MAX - 100) // 5))
    most = {"tags": [f"{n} " + "\U0001f4a9 \u4e00" * 60 for n in range(200)], "metadata": {"a": words_of}}
    assert (await records.send("PUT", node, json=most))["metadata"] == most["metadata"]
    assert await records.search(query="1fff") == ["a.txt"]
    refused = await records.send("PATCH", node, 400, json={"set": {"b": "x" * 200}})
    assert refused["code"] == "INVALID_REQUEST" and str(METADATA_MAX) in refused["message"]
    await records.send("PUT", node, 400, json={"metadata": {"a": "\u4e00" * (METADATA_MAX // 3)}})
    await records.send("PATCH", node, json={"unset": ["a"], "set": {"b": "x" * 200}})


async def test_another_version_than_the_one_that_is_meant_is_refused(records: Records) -> None:
    node = await records.tree.file("a.txt")
    made = await records.send("PUT", node, json={"tags": ["a"]})
    refused = await records.send("PATCH", node, 412, json={"addTags": ["b"], "ifMatch": made["version"] + 1})
    assert refused["details"] == {"version": made["version"]}
    await records.send("PATCH", node, 412, json={}, headers={"if-match": '"x"'})
    await records.send("PATCH", node, json={"addTags": ["b"]}, headers={"if-match": f'"{made["version"]}"'})
    await records.send("PATCH", node, 412, json={"version": made["version"]})


async def test_a_record_that_a_client_closed_keeps_its_history_and_opens_again(records: Records) -> None:
    node = await records.tree.file("a.txt")
    await records.send("PUT", node, json={"tags": ["a"]})
    gone = await records.send("DELETE", node)
    assert gone["deletedAt"] and gone["tags"] == []
    assert (await records.send("DELETE", node))["version"] == gone["version"]
    assert await records.search(tags=["a"]) == []
    assert (await records.send("PATCH", node, json={"addTags": ["b"]}))["deletedAt"] is None
    history = (await records.client.get(f"/v1/metastore/records/{node}/history")).json()["data"]["versions"]
    assert [(one["change"], one["tags"]) for one in history] == [
        ("updated", ["b"]), ("removed", []), ("updated", ["a"]), ("created", []),
    ]  # fmt: skip


async def test_the_journal_tells_who_said_what_when_and_why(records: Records) -> None:
    node = await records.tree.file("a.txt")
    said: dict[str, Any] = {"json": {"tags": ["a"]}, "headers": {"X-Correlation-Id": "review"}}
    await records.send("PUT", node, **said)
    await records.send("DELETE", node)
    await records.send("PUT", node, 400, json={}, headers={"X-Correlation-Id": ""})
    asked = {"backendMountId": str(records.tree.mount), "nodeId": str(node)}
    answer = await records.client.get("/v1/journal", params=asked)
    removed, told = answer.json()["data"]["entries"][:2]
    assert (told["command"], told["path"], told["correlationId"]) == ("describeRecord", "a.txt", "review")
    assert (told["before"]["tags"], told["after"]["tags"], told["outcome"]) == ([], ["a"], "succeeded")
    assert (removed["command"], removed["before"]["tags"]) == ("forgetRecord", ["a"])
    only = await records.client.get("/v1/journal", params={**asked, "command": "forgetRecord"})
    assert [one["id"] for one in only.json()["data"]["entries"]] == [removed["id"]]


async def test_a_history_goes_on_page_by_page(records: Records) -> None:
    node = await records.tree.file("a.txt")
    for tag in "abcd":
        await records.send("PUT", node, json={"tags": [tag]})
    seen: list[list[str]] = []
    cursor = ""
    while cursor is not None:
        where = f"/v1/metastore/records/{node}/history?limit=2" + (f"&cursor={cursor}" if cursor else "")
        page = (await records.client.get(where)).json()["data"]
        seen += [one["tags"] for one in page["versions"]]
        cursor = page["pagination"]["nextCursor"]
    assert seen == [["d"], ["c"], ["b"], ["a"], []]


async def test_records_are_found_by_all_that_is_said(records: Records) -> None:
    tree = records.tree
    await tree.directory("plans")
    await tree.directory("plans/2026")
    one = await tree.file("plans/2026/apollo-launch.pdf")
    two = await tree.file("plans.txt")
    await records.send(
        "PUT", one, json={"tags": ["final", "Moon"], "owner": "ann", "metadata": {"client": "NASA", "year": 1969}}
    )
    await records.send("PUT", two, json={"tags": ["final"], "owner": "bob", "namespace": "texts"})
    found = "plans/2026/apollo-launch.pdf"
    assert await records.search(tags=["final"]) == [found, "plans.txt"]
    assert await records.search(tags=["final", "Moon"]) == [found]
    assert await records.search(owner="ann") == [found]
    assert await records.search(namespace="texts") == ["plans.txt"]
    assert await records.search(metadata={"client": "NASA"}) == [found]
    assert await records.search(pathPrefix="plans") == [found], "plans.txt shares letters, and is not below it"
    assert await records.search(pathPrefix="plans/2026/apollo-launch.pdf") == [found]
    for query in ("apollo", "apollo-launch.pdf", "nasa", "1969", "moon ann", '"2026 apollo"', "launch -texts"):
        assert await records.search(query=query) == [found], query
    assert await records.search(query="apollo -moon") == []
    first = await records.client.post(
        "/v1/metastore/search", json={"tags": ["final"], "limit": 1, "backendMountId": tree.mount}
    )
    cursor = first.json()["data"]["pagination"]["nextCursor"]
    assert await records.search(tags=["final"], cursor=cursor) == ["plans.txt"]


@pytest.mark.parametrize(
    "body",
    [
        {"tags": [""]}, {"tags": ["x" * 257]}, {"tags": [str(n) for n in range(201)]}, {"owner": ""}, {"namespace": "a b"},
        {"tags": ["\0"]}, {"metadata": {"n": 2**60}}, {"tags": "a"}, {"metadata": []},
    ],
)  # fmt: skip
async def test_what_no_record_can_hold_is_refused(records: Records, body: dict[str, Any]) -> None:
    node = await records.tree.file("a.txt")
    assert (await records.send("PUT", node, 400, json=body))["code"] == "INVALID_REQUEST"


async def test_a_namespace_says_what_metadata_looks_like_and_which_paths_are_its_own(
    records: Records, admin: httpx2.AsyncClient
) -> None:
    mount = records.tree.mount
    await records.tree.directory("r")
    await records.tree.directory("c")
    refusing, correcting = await records.tree.file("r/f"), await records.tree.file("c/f")
    schema = {"type": "object", "required": ["pages"], "properties": {"pages": {"type": "integer"}}}
    name = f"papers-{mount}"
    made = await admin.put(
        f"/v1/metastore/namespaces/{name}",
        json={"schema": schema, "rules": [{"backendMountId": mount, "pathPrefix": "r"}]},
    )
    assert made.status_code == 200 and made.json()["data"]["schemaVersion"] == 1, made.text
    rules = [{"backendMountId": mount, "pathPrefix": "c", "mode": "correct"}]
    assert (
        await admin.post("/v1/metastore/namespaces", json={"name": f"other-{mount}", "rules": rules})
    ).status_code == 201
    clash = await admin.post("/v1/metastore/namespaces", json={"name": f"third-{mount}", "rules": rules})
    assert clash.status_code == 400

    refused = await records.send("PUT", refusing, 400, json={"namespace": "texts", "metadata": {"pages": 1}})
    assert refused["details"]["fields"][0]["message"] == f"must be '{name}' here"
    wrong = await records.send("PUT", refusing, 400, json={"metadata": {"pages": "many"}})
    assert wrong["details"]["fields"][0]["field"] == "metadata/pages"
    fits = await records.send("PUT", refusing, json={"metadata": {"pages": 3}})
    assert (fits["namespace"], fits["schema"]) == (name, f"{name}@1")
    corrected = await records.send("PUT", correcting, json={"namespace": "texts"})
    assert corrected["namespace"] == f"other-{mount}"


@pytest.mark.parametrize(
    "schema", [{"type": 7}, {"$ref": "http://elsewhere/x"}, {"properties": {"a": {"$ref": "x.json"}}}]
)
async def test_a_schema_that_is_none_or_refers_elsewhere_is_refused(admin: httpx2.AsyncClient, schema: Any) -> None:
    answer = await admin.post("/v1/metastore/namespaces", json={"name": "bad", "schema": schema})
    assert answer.status_code == 400 and answer.json()["error"]["details"]["fields"][0]["field"] == "schema"


async def test_records_of_another_tenant_are_not_there(records: Records, front: FrontOfTest) -> None:
    node = await records.tree.file("a.txt")
    await records.send("PUT", node, json={"tags": ["a"]})
    async with front.client(await front.token("admin", tenant="other")) as stranger:
        assert (await stranger.get(f"/v1/metastore/records/{node}")).status_code == 404
        assert (await stranger.patch(f"/v1/metastore/records/{node}", json={})).status_code == 404
        found = await stranger.post("/v1/metastore/search", json={"tags": ["a"]})
        assert found.json()["data"]["records"] == []


async def test_reading_needs_read_writing_write_and_namespaces_admin(records: Records, front: FrontOfTest) -> None:
    node = await records.tree.file("a.txt")
    async with front.client(front.tokens["read"]) as reader:
        assert (await reader.post("/v1/metastore/search", json={})).status_code == 200
        assert (await reader.put(f"/v1/metastore/records/{node}", json={})).status_code == 403
    assert (await records.client.put("/v1/metastore/namespaces/n", json={})).status_code == 403


async def test_a_metastore_that_is_off_says_so(records: Records, front: FrontOfTest) -> None:
    node = await records.tree.file("a.txt")
    object.__setattr__(front.services.settings, "metastore", False)
    refused = await records.send("GET", node, 400)
    assert refused["code"] == "NOT_SUPPORTED" and "FILESTORE_METASTORE" in refused["message"]
    assert (await records.client.get("/v1/metastore")).json()["data"]["state"] == "off"


@pytest.mark.parametrize(
    ("query", "meant"), [("a-b.c", "a b c"), ("x -y", "x -y"), ("-a/b", "-a b"), ('"a b" or c', '"a b" or c')]
)
def test_what_joins_parts_of_a_name_separates_words(query: str, meant: str) -> None:
    assert words(query) == meant


async def test_a_search_a_history_and_the_namespaces_can_be_had_whole(
    records: Records, admin: httpx2.AsyncClient
) -> None:
    for name in "abcde":
        await records.send("PUT", await records.tree.file(name), json={"tags": ["whole", name]})
    body = {"backendMountId": records.tree.mount, "tags": ["whole"], "limit": 2}
    lines = await records.client.post("/v1/metastore/search", params={"format": "jsonl"}, json=body)
    assert [json.loads(line)["filestore"]["path"] for line in lines.text.splitlines()] == list("abcde")
    table = await records.client.post("/v1/metastore/search", headers={"accept": "text/csv"}, json=body)
    rows = list(csv.DictReader(io.StringIO(table.text, newline="")))
    assert [json.loads(row["tags"]) for row in rows] == [["whole", name] for name in "abcde"]
    page = (await records.client.post("/v1/metastore/search", json=body)).json()["data"]
    assert len(page["records"]) == 2
    node = page["records"][0]["nodeId"]
    for number in range(3):
        await records.send("PATCH", node, json={"set": {"n": number}})
    address = f"/v1/metastore/records/{node}/history"
    versions = await records.client.get(address, params={"format": "jsonl", "limit": 1})
    told = [json.loads(line)["version"] for line in versions.text.splitlines()]
    assert told == list(range(len(told), 0, -1)) and len(told) >= 4
    await admin.put("/v1/metastore/namespaces/whole", json={"description": "d"})
    namespaces = await records.client.get("/v1/metastore/namespaces", params={"format": "csv"})
    assert "whole" in [row["name"] for row in csv.DictReader(io.StringIO(namespaces.text, newline=""))]
    await admin.put("/v1/metastore/namespaces/whole", json={"description": "e"})
    assert (await admin.delete("/v1/metastore/namespaces/whole")).status_code == 204
    acts = await admin.get("/v1/journal", params={"command": "putNamespace,removeNamespace", "limit": 3})
    changes = [(one["before"], one["after"]) for one in acts.json()["data"]["entries"]]
    named = [tuple(one and one["description"] for one in change) for change in changes]
    assert named == [("e", None), ("d", "e"), (None, "d")], (
        "what people have laid down is in the journal, and in its archive"
    )
    for refused in ({"limit": "x"}, {"limit": "0"}, {"cursor": "?"}, {"format": "xml"}):
        answer = await records.client.post("/v1/metastore/search", params=refused, json=body)
        assert answer.status_code == 400, refused
