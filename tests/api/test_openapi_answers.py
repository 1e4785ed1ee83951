"""Every answer is what the document says: requests for each operation and status, compared with its schema."""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from activities.consumers.lake import Lake, LakePlace
from api.http.openapi import CODES
from api.timestore.questions import QUESTIONS
from api.timestore.readers import Readers
from schema.ids import NodeId
from schema.settings import Settings
from tests.api.conftest import FrontOfTest, Tree, failed, pends, succeeded
from tests.api.test_openapi import document, operations, resolved

__all__ = ["document"]

GONE = 987654321
"""An id that nothing has"""


def closed(schema: Any) -> Any:
    """The same schema, but what it does not name may not be there: so that nothing is answered that it does not tell."""
    if isinstance(schema, list):
        return [closed(held) for held in schema]
    if not isinstance(schema, dict):
        return schema
    own = {name: closed(held) for name, held in schema.items()}
    if own.get("type") == "object" and "properties" in own and "additionalProperties" not in own:
        own["additionalProperties"] = False
    return own


class Checked:
    """Sends requests, and compares each answer with what the document says about its route and its status."""

    def __init__(self, document: dict[str, Any], client: httpx2.AsyncClient) -> None:
        self.document, self.client = closed(document), client
        self.seen: set[tuple[str, int]] = set()

    async def __call__(self, operation: str, status: int, path: str | None = None, **options: Any) -> Any:
        method, template = operation.split()
        answer = await self.client.request(method, path or template, **options)
        assert answer.status_code == status, (operation, answer.text)
        declared = resolved(self.document, self.document["paths"][template][method.lower()]["responses"][str(status)])
        self.seen.add((operation, status))
        content = declared.get("content")
        if content is None or method == "HEAD":
            assert not answer.content, operation
            return answer
        media = answer.headers["content-type"].partition(";")[0]
        assert media in content or "*/*" in content, (operation, media)
        if media not in ("application/json", "application/problem+json"):
            return answer
        found = answer.json()
        schema = content[media]["schema"] | {"components": self.document["components"]}
        complaints = [
            f"{list(one.absolute_path)}: {one.message}" for one in Draft202012Validator(schema).iter_errors(found)
        ]
        assert not complaints, (operation, status, complaints)
        if status >= 400 and CODES in declared:
            assert found.get("error", found)["code"] in declared[CODES], operation
        return answer


@dataclass
class Conversation:
    """What the requests are about."""

    send: Checked
    front: FrontOfTest
    document: dict[str, Any]
    tree: Tree
    place: Path
    file: NodeId
    folder: NodeId

    @property
    def here(self) -> dict[str, Any]:
        return {"backendMountId": self.tree.mount}

    @property
    def whole(self) -> dict[str, Any]:
        """A result with all that one has."""
        return {"kind": "file", "state": "active", "sizeBytes": 3, "version": 1, "nodeId": self.file,
                "backendMountId": self.tree.mount, "durationMs": 1.5, "checksum": None, "contentHash": None}  # fmt: skip


async def read_mounts(on: Conversation) -> None:
    send = on.send
    await send("GET /v1/backend-mounts", 200)
    await send("GET /v1/backend-mounts", 400, params={"limit": 0})
    await send("GET /v1/backend-mounts/{id}", 200, f"/v1/backend-mounts/{on.tree.mount}")
    await send("GET /v1/backend-mounts/{id}", 404, f"/v1/backend-mounts/{GONE}")
    await send("GET /v1/backend-mounts/{id}", 400, "/v1/backend-mounts/x")


async def read_nodes(on: Conversation) -> None:
    send, file, folder, here = on.send, on.file, on.folder, on.here
    await send("GET /v1/nodes", 200, params=here)
    await send("GET /v1/nodes", 200, params=here | {"limit": 1, "states": "active,missing", "filters": '{"query":"a"}'})
    await send("GET /v1/nodes", 404, params={"backendMountId": GONE})
    await send("GET /v1/nodes", 400)
    await send("GET /v1/nodes/by-path", 200, params=here | {"path": "a.txt", "collisions": "true"})
    await send("GET /v1/nodes/by-path", 404, params=here | {"path": "nope"})
    await send("GET /v1/nodes/{id}", 200, f"/v1/nodes/{file}")
    await send("GET /v1/nodes/{id}", 404, f"/v1/nodes/{GONE}")
    await send("GET /v1/nodes/{id}", 404, f"/v1/nodes/{GONE}", headers={"accept": "application/problem+json"})
    await send("GET /v1/nodes/{id}/children", 200, f"/v1/nodes/{on.tree.root}/children")
    await send("GET /v1/nodes/{id}/children", 409, f"/v1/nodes/{file}/children")
    await send("GET /v1/nodes/{id}/snapshots", 200, f"/v1/nodes/{folder}/snapshots")


async def read_what_was(on: Conversation) -> None:
    """The nodes of these tests have no versions: of what there was the root alone is left. test_past.py has more."""
    send, here, now = on.send, on.here, {"asOf": "2026-01-01T00:00:00Z"}
    await send("GET /v1/nodes/by-path", 200, params=here | now)
    await send("GET /v1/nodes/by-path", 404, params=here | now | {"path": "nope"})
    await send("GET /v1/nodes/{id}/children", 200, f"/v1/nodes/{on.tree.root}/children", params=now)
    await send("GET /v1/nodes/{id}/children", 400, f"/v1/nodes/{on.tree.root}/children", params=now | {"search": "a"})
    await send("GET /v1/tree", 200, params=here)
    await send("GET /v1/tree", 200, params=here | now | {"depth": 1, "limit": 1})
    await send("GET /v1/tree", 400, params=here | {"cursor": "x"})
    await send("GET /v1/tree", 404, params=here | {"path": "nope"})
    await send("GET /v1/diff", 200, params=here | {"from": "2026-01-01T00:00:00Z"})
    await send("GET /v1/diff", 400, params=here)
    await send("GET /v1/trash", 200, params=here)
    await send("GET /v1/trash", 400, params=here | {"limit": 0})
    await send("GET /v1/trash", 404, params={"backendMountId": GONE})
    await send("GET /v1/diff", 404, params=here | {"from": "2026-01-01T00:00:00Z", "path": "nope"})


async def read_files(on: Conversation) -> None:
    send, file, folder = on.send, on.file, on.folder
    await send("GET /v1/files/{id}/content", 200, f"/v1/files/{file}/content")
    await send("GET /v1/files/{id}/content", 206, f"/v1/files/{file}/content", headers={"range": "bytes=0-0"})
    await send("GET /v1/files/{id}/content", 416, f"/v1/files/{file}/content", headers={"range": "bytes=9-"})
    await send("GET /v1/files/{id}/content", 304, f"/v1/files/{file}/content", headers={"if-none-match": "*"})
    await send("GET /v1/files/{id}/content", 412, f"/v1/files/{file}/content", headers={"if-match": '"x"'})
    await send("GET /v1/files/{id}/content", 409, f"/v1/files/{folder}/content")
    await send("GET /v1/files/{id}/content", 404, f"/v1/files/{GONE}/content")
    await send("GET /v1/files/{id}/presign", 400, f"/v1/files/{file}/presign")


async def read_what_happened(on: Conversation) -> None:
    send, front = on.send, on.front
    await send("GET /v1/journal", 200)
    await send("GET /v1/journal", 200, params={"after": 0, "limit": 1})
    await send("GET /v1/journal", 400, params={"order": "up"})
    await send("GET /v1/events", 200)
    await send("GET /v1/events", 400, params={"after": 2**62})
    await send("GET /v1/commands/{id}", 404, f"/v1/commands/{uuid.uuid4()}")
    for path in ("/health", "/ready", "/metrics"):
        await send(f"GET {path}", 200)
    front.health.checks = {"postgres": "no"}
    await send("GET /ready", 503)


async def change_mounts(on: Conversation) -> None:
    send = on.send
    (on.place / "other").mkdir()
    new = {"mountKey": uuid.uuid4().hex, "backendKind": "local", "rootPath": str(on.place / "other")}
    made = (await send("POST /v1/backend-mounts", 201, json=new)).json()["data"]["id"]
    await send("POST /v1/backend-mounts", 400, json=new)
    await send("PATCH /v1/backend-mounts/{id}", 200, f"/v1/backend-mounts/{made}", json={"state": "inactive"})
    await send("PATCH /v1/backend-mounts/{id}", 404, f"/v1/backend-mounts/{GONE}", json={})


def bodies_of(on: Conversation) -> dict[str, dict[str, Any]]:
    return {
        "POST /v1/directories": {"path": "new"},
        "DELETE /v1/nodes": {"path": "a.txt"},
        "POST /v1/nodes/move": {"path": "a.txt", "targetPath": "b"},
        "POST /v1/nodes/copy": {"path": "a.txt", "targetPath": "b"},
        "POST /v1/nodes/restore": {"nodeId": on.file, "version": 1},
        "PATCH /v1/nodes/{id}/metadata": {"set": {"a": 1}},
        "POST /v1/commands/create-directory": {"path": "new"},
        "POST /v1/commands/delete": {"path": "a.txt"},
        "POST /v1/commands/move": {"path": "a.txt", "targetPath": "b"},
        "POST /v1/commands/copy": {"path": "a.txt", "targetPath": "b"},
        "POST /v1/commands/restore": {"nodeId": on.file, "version": 1},
        "POST /v1/commands/update-metadata": {"nodeId": on.file, "set": {"a": 1}},
    }


async def run_commands(on: Conversation) -> None:
    send, front, document, file, here, whole = on.send, on.front, on.document, on.file, on.here, on.whole
    for operation, body in bodies_of(on).items():
        path = operation.split()[1].replace("{id}", str(file))
        declared = document["paths"][operation.split()[1]][operation.split()[0].lower()]["responses"]
        first = 201 if "201" in declared else 200
        front.commands.answers = lambda submission: succeeded(submission, **whole)
        await send(operation, first, path, json=here | body)
        front.commands.answers = pends
        await send(operation, 202, path, json=here | body)
        front.commands.answers = lambda submission: failed(submission, "PATH_BUSY")
        await send(operation, 409, path, json=here | body)
        await send(operation, 400, path, json={})


async def run_lists(on: Conversation) -> None:
    send, front, here, whole = on.send, on.front, on.here, on.whole
    front.commands.answers = lambda submission: succeeded(submission, **whole)
    listed = [
        {"command": "deleteNode", "path": "a.txt", **here},
        {"command": "createDirectory", "path": "x", **here},
    ]
    await send("POST /v1/commands", 200, json={"commands": listed})
    front.commands.answers = lambda submission: failed(submission, "PATH_BUSY")
    await send("POST /v1/commands", 200, json={"commands": listed, "mode": "ordered"})
    front.commands.answers = pends
    await send("POST /v1/commands", 200, json={"commands": listed})
    await send("POST /v1/commands", 400, json={"commands": [{}]})


async def send_files(on: Conversation) -> None:
    send, front, here, whole = on.send, on.front, on.here, on.whole
    front.commands.answers = lambda submission: succeeded(submission, **whole)
    form: dict[str, Any] = {"data": {"backendMountId": str(on.tree.mount), "path": "n"}, "files": {"file": b"x"}}
    await send("POST /v1/files", 201, **form)
    await send("POST /v1/files", 422, **form, headers={"x-filestore-checksum": "md5:" + "0" * 32})
    await send("PUT /v1/files/by-path", 201, params=here | {"path": "n"}, content=b"x")
    await send("PUT /v1/files/by-path", 400, params=here | {"path": ".."}, content=b"x")


async def send_in_parts(on: Conversation) -> None:
    send = on.send
    await send("OPTIONS /v1/uploads", 204)
    tus = {"tus-resumable": "1.0.0"}
    partial = tus | {"upload-length": "3", "upload-concat": "partial"}
    place = (await send("POST /v1/uploads", 201, headers=partial)).headers["location"]
    await send("POST /v1/uploads", 412)
    chunk = tus | {"content-type": "application/offset+octet-stream", "upload-offset": "0"}
    await send("HEAD /v1/uploads/{id}", 200, place, headers=tus)
    await send("GET /v1/uploads/{id}", 200, place)
    await send("PATCH /v1/uploads/{id}", 204, place, headers=chunk, content=b"a")
    await send("PATCH /v1/uploads/{id}", 409, place, headers=chunk, content=b"a")
    await send("PATCH /v1/uploads/{id}", 415, place, headers=tus | {"upload-offset": "1"}, content=b"a")
    wrong = chunk | {"upload-offset": "1", "upload-checksum": "md5 AAAAAAAAAAAAAAAAAAAAAA=="}
    await send("PATCH /v1/uploads/{id}", 460, place, headers=wrong, content=b"b")
    await send("POST /v1/uploads/{id}", 200, place, headers=tus | {"x-http-method-override": "HEAD"})
    await send("DELETE /v1/uploads/{id}", 204, place, headers=tus)
    await send("GET /v1/uploads/{id}", 410, place)


async def send_to_a_bucket(on: Conversation) -> None:
    send, here = on.send, on.here
    await send("POST /v1/uploads/{id}/complete", 404, f"/v1/uploads/{uuid.uuid4()}/complete")
    link = here | {"path": "n", "sizeBytes": 1, "contentHash": "sha256:" + "0" * 64}
    await send("POST /v1/uploads/presign", 400, json=link)


async def recompute_rollups(on: Conversation) -> None:
    send, at = on.send, "/v1/rollups/recomputes"
    made = await send("POST /v1/rollups/recomputes", 202, json=on.here | {"path": "d"})
    await send("GET /v1/rollups/recomputes/{id}", 200, made.headers["location"])
    await send("GET /v1/rollups/recomputes/{id}", 404, f"{at}/{GONE}")
    await send("POST /v1/rollups/recomputes", 409, json=on.here | {"path": "a.txt"})
    await send("POST /v1/rollups/recomputes", 404, json=on.here | {"path": "nope"})


async def say_something(on: Conversation) -> None:
    send, record = on.send, f"/v1/metastore/records/{on.file}"
    await send("GET /v1/metastore", 200)
    await send("GET /v1/metastore/records/{id}", 404, record)
    await send(
        "PUT /v1/metastore/records/{id}", 200, record, json={"tags": ["a"], "owner": "ann", "metadata": {"k": 1}}
    )
    await send("PUT /v1/metastore/records/{id}", 400, record, json={"namespace": "no name"})
    await send("PATCH /v1/metastore/records/{id}", 200, record, json={"addTags": ["b"], "set": {"l": 2}})
    await send("PATCH /v1/metastore/records/{id}", 412, record, json={"version": 99})
    await send("PATCH /v1/metastore/records/{id}", 404, f"/v1/metastore/records/{GONE}", json={})
    await send("GET /v1/metastore/records/{id}", 200, record)
    await send("GET /v1/metastore/records/{id}/history", 200, f"{record}/history")
    await send("GET /v1/metastore/records/{id}/history", 400, f"{record}/history", params={"cursor": "?"})
    await send("POST /v1/metastore/search", 200, json={"query": "a.txt", "tags": ["a"], "limit": 1, **on.here})
    await send("POST /v1/metastore/search", 400, json={"cursor": "x"})
    await send("DELETE /v1/metastore/records/{id}", 200, record)
    await send("DELETE /v1/metastore/records/{id}", 412, record, headers={"if-match": '"1"'})


async def name_namespaces(on: Conversation) -> None:
    send, name = on.send, f"n{uuid.uuid4().hex[:8]}"
    here = f"/v1/metastore/namespaces/{name}"
    rules = [{"pathPrefix": name, "mode": "correct", **on.here}]
    await send("POST /v1/metastore/namespaces", 201, json={"name": name, "schema": {"type": "object"}, "rules": rules})
    await send("POST /v1/metastore/namespaces", 400, json={"name": name, "schema": {"type": 7}})
    await send("PUT /v1/metastore/namespaces/{name}", 200, here, json={"rules": rules})
    await send("PUT /v1/metastore/namespaces/{name}", 412, here, json={"version": 9})
    await send("GET /v1/metastore/namespaces", 200)
    await send("GET /v1/metastore/namespaces/{name}", 200, here)
    await send("DELETE /v1/metastore/namespaces/{name}", 204, here)
    await send("GET /v1/metastore/namespaces/{name}", 404, here)


async def look_for_drift(on: Conversation) -> None:
    send, mount = on.send, on.tree.mount
    policy, consistency = f"/v1/backend-mounts/{mount}/policy", f"/v1/backend-mounts/{mount}/consistency"
    job = (await send("POST /v1/reconciliation", 202, json=on.here | {"path": "a.txt"})).json()["data"]["id"]
    await send("POST /v1/reconciliation", 400, json=on.here | {"path": ".."})
    await send("POST /v1/reconciliation", 404, json={"backendMountId": GONE})
    await send("GET /v1/reconciliation/jobs", 200, params=on.here | {"status": "queued,running", "path": "a.txt"})
    await send("GET /v1/reconciliation/jobs/{id}", 200, f"/v1/reconciliation/jobs/{job}")
    await send("GET /v1/reconciliation/jobs/{id}", 404, f"/v1/reconciliation/jobs/{GONE}")
    await send("GET /v1/backend-mounts/{id}/policy", 200, policy)
    ignore = ["*.tmp", {"pattern": "cache/", "until": "2126-01-01T00:00:00Z"}]
    await send("PUT /v1/backend-mounts/{id}/policy", 200, policy, json={"phase": "enforce", "ignore": ignore})
    await send("PUT /v1/backend-mounts/{id}/policy", 400, policy, json={"phase": "sleep"})
    schedules = f"/v1/backend-mounts/{mount}/schedules"
    await send("GET /v1/backend-mounts/{id}/schedules", 503, schedules)
    await send("GET /v1/backend-mounts/{id}/schedules", 404, f"/v1/backend-mounts/{GONE}/schedules")
    await send(
        "POST /v1/backend-mounts/{id}/schedules", 400, schedules, json={"id": f"sweep/{mount}", "action": "pause"}
    )
    await send("POST /v1/backend-mounts/{id}/schedules", 404, schedules, json={"id": "publish", "action": "pause"})
    await send("GET /v1/backend-mounts/{id}/consistency", 200, consistency, params={"path": "d"})
    await send("GET /v1/drift", 200, params=on.here | {"kind": "new", "state": "open,ignored"})
    await send("GET /v1/drift", 400, params={"cursor": "x"})
    await send("GET /v1/drift/{id}", 404, f"/v1/drift/{GONE}")
    await send("GET /v1/drift/looks", 200, params=on.here)
    for answer in ("release", "refuse"):
        await send(f"POST /v1/drift/looks/{{id}}/{answer}", 404, f"/v1/drift/looks/{GONE}/{answer}")
    chosen = {"selection": on.here, "decision": "ignore", "planOnly": True}
    await send("POST /v1/drift/decide", 200, json=chosen)
    await send("POST /v1/drift/decide", 400, json={"decision": "accept"})
    await send("POST /v1/drift/decide", 404, json={"ids": [{"id": GONE, "version": 1}], "decision": "accept"})


async def ask_what_happened(on: Conversation, place: Path, database: str) -> None:
    """Of a lake without events. The forms and numbers are elsewhere."""
    one = Lake(LakePlace(database, str(place / "lake"), 128 * 2**20))
    one.cursor()
    one.close()
    on.front.app.state.readers = Readers(
        Settings(database_url=database, timestore_path=str(place / "lake"))  # type: ignore[call-arg]
    )
    for name in [one.name for one in QUESTIONS]:
        await on.send(f"GET /v1/timestore/{name}", 200, params=on.here)
    await on.send("GET /v1/timestore", 200)
    await on.send("GET /v1/timestore/growth", 400, params={"step": "x"})
    await on.send("GET /v1/timestore/growth", 404, params={"backendMountId": GONE})
    await on.send("POST /v1/timestore/sql", 200, json={"sql": "SELECT 1"})
    await on.send("POST /v1/timestore/sql", 400, json={"sql": "DROP TABLE x"})
    on.front.app.state.readers.close()


async def ask_without_a_token(on: Conversation) -> None:
    send, document = on.send, on.document
    for operation, _ in operations(document):
        method, template = operation.split()
        if template.startswith("/v1/") and method != "HEAD":
            path = template.replace("{id}", str(uuid.uuid4()))
            await send(operation, 401, path, headers={"x-http-method-override": "PATCH"})


async def share(on: Conversation) -> None:
    send = on.send
    listing = await send("POST /v1/links", 201, json={"path": "d", "kind": "list", **on.here})
    read = await send("POST /v1/links", 201, json={"path": "a.txt", "expiresIn": 60, **on.here})
    inbox = await send("POST /v1/links", 201, json={"path": "d", "kind": "upload", **on.here})
    at, file, place = ("/s/" + one.json()["data"]["url"].rpartition("/")[2] for one in (listing, read, inbox))
    await send("GET /v1/links", 200)
    await send("GET /v1/links/{id}", 200, f"/v1/links/{read.json()['data']['id']}")
    await send("GET /s/{link}", 200, at)
    await send("GET /s/{link}", 200, file)
    await send("GET /s/{link}", 404, "/s/none")
    await send("GET /s/{link}", 403, place)
    await send("PUT /s/{link}/{name}", 201, f"{place}/new", content=b"1")
    await send("PUT /s/{link}/{name}", 404, "/s/none/new", content=b"1")
    await send("DELETE /v1/links/{id}", 200, f"/v1/links/{read.json()['data']['id']}")
    await send("GET /v1/audit/verify", 200)


CHAPTERS = (
    read_mounts, read_nodes, read_what_was, read_files, read_what_happened, change_mounts, run_commands, run_lists, send_files,
    send_in_parts, send_to_a_bucket, recompute_rollups, say_something, name_namespaces, look_for_drift, share,
)  # fmt: skip


async def test_answers_are_what_the_document_says(
    front: FrontOfTest, document: dict[str, Any], tree: Tree, tmp_path: Path, lake_database: str
) -> None:
    file, folder = await tree.file("a.txt", b"abc"), await tree.directory("d")
    await tree.file("A.txt", b"abc")
    async with front.client(front.tokens["admin"]) as client:
        send = Checked(document, client)
        on = Conversation(send, front, document, tree, tmp_path, file, folder)
        for chapter in CHAPTERS:
            await chapter(on)
        await ask_what_happened(on, tmp_path, lake_database)
    async with front.client() as anonymous:
        send.client = anonymous
        await ask_without_a_token(on)
    asked = {operation for operation, _ in send.seen}
    assert asked >= {operation for operation, _ in operations(document) if operation != "GET /v1/events/stream"}
