"""Every operation of the document, asked by each kind of token: those without the right hear 401, 403 or 404, and nothing of the
subject."""

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from schema.access.actions import SCOPES, Action
from schema.access.approvals import ApprovalAct, ApprovalPolicy, ApprovalState
from schema.access.quotas import Limit, QuotaScope
from schema.access.rules import Grant
from schema.commands.command import CommandKind
from schema.drift.looks import LookPlace
from schema.ids import MountId
from schema.operations.operation import Operation, OperationKind
from schema.paths import NodePath
from schema.store import (
    approvals,
    freezes,
    holds,
    looks,
    nodes,
    objects,
    operations,
    projects,
    quotas,
    recomputes,
    reconciliations,
    tokens,
)
from schema.store.approvals import Matter, NewApproval
from schema.store.quotas import NewQuota
from schema.store.tokens import NewToken
from tests.api.access.rows import ROWS, MatrixRow, Subject
from tests.api.conftest import FrontOfTest, Tree, make_tree
from tests.api.events.helpers import tell
from tests.store.helpers import Protocol, asked, mkdir

METHODS = {"get", "post", "put", "patch", "delete", "head", "options"}
CONTENT = hashlib.sha256(b"content").hexdigest()
"""An object of the project"""
FILE_OF_PROJECT = """INSERT INTO filestore.project_paths (project_id, path, parent, kind, sha, size_bytes, mode, revision)
                      VALUES (%s, 'f', sha256(''), 'file', %s, 7, 420, 1)"""
UNKNOWN = "fst_00000000_" + "A" * 43
FULL = tuple(name for name in SCOPES if name.startswith("filestore:"))


@dataclass(frozen=True, slots=True)
class MatrixOperation:
    name: str
    method: str
    template: str
    row: MatrixRow


def operations_of(front: FrontOfTest) -> list[MatrixOperation]:
    paths = front.app.openapi()["paths"]
    return [
        MatrixOperation(one["operationId"], method.upper(), template, ROWS[one["operationId"]])
        for template, methods in paths.items()
        for method, one in methods.items()
        if method in METHODS and not template.startswith("/docs") and template != "/openapi.json"
    ]


def test_every_operation_has_a_row_and_every_row_an_operation(front: FrontOfTest) -> None:
    documented = {
        one["operationId"]
        for methods in front.app.openapi()["paths"].values()
        for one in methods.values()
        if "operationId" in one
    }
    assert ROWS.keys() - documented == set() and documented - ROWS.keys() == set(), "see tests/api/access/rows.py"


async def subject_of(front: FrontOfTest, tree: Tree) -> Subject:
    protocol = Protocol(tree.pool)
    made = mkdir(MountId(tree.mount), "team")
    await protocol.run(MountId(tree.mount), made)
    (tree.folder / "team").mkdir()
    async with front.pool.connection() as connection:
        found = await nodes.by_path(connection, MountId(tree.mount), NodePath(b"team"), "main")
    assert found is not None
    directory = found.id
    file = await tree.file("team/f", b"content")
    gone = await tree.file("team/gone", state="deleted", deleted_at="2026-01-01Z")
    await tell(tree, "team/f")
    command = asked(CommandKind.DESCRIBE, MountId(tree.mount), "team/f", principal="ann", node_id=file)
    await protocol.run(MountId(tree.mount), command)
    async with front.pool.connection() as connection, connection.transaction():
        recompute = await recomputes.ask(connection, directory, "ann")
        operation = Operation(
            id=str(uuid.uuid4()), tenant="main", principal="ann", token_id=1, kind=OperationKind.DELETE,
            mount_id=MountId(tree.mount), path=NodePath(b"team"),
        )  # fmt: skip
        await operations.create(connection, operation, operation.id, "00")
        ended = (
            "UPDATE filestore.operations SET state = 'cancelled', ended_at = now() WHERE id = %s"  # a stream of it ends
        )
        await connection.execute(ended, [operation.id])
        token, _ = await tokens.create(connection, "subject", ["read"])
        held = NodePath(b"team/held")
        hold = await holds.create(connection, "main", MountId(tree.mount), held, "legal", "case 1", None, "ann")
    assert recompute is not None
    subject = Subject(
        tree.mount,
        directory,
        file,
        gone,
        operation.id,
        recompute,
        "",
        token,
        "main",
        f"n{uuid.uuid4().hex[:8]}",
        command.id,
        hold,
    )
    async with front.client(await front.token(*FULL, principal="ann")) as client:
        put = await client.put(f"/v1/metastore/records/{file}", json={"tags": ["found"]})
        assert put.status_code == 200, put.text
        assert (await client.put(f"/v1/metastore/namespaces/{subject.namespace}", json={})).is_success
        subscribed = [await client.post("/v1/subscriptions", json={"url": "https://example.org/"}) for _ in range(2)]
        kept, ended = (answer.json()["data"]["id"] for answer in subscribed)
        shared = [
            await client.post("/v1/links", json={"backendMountId": tree.mount, "path": path, "kind": kind})
            for path, kind in (("team/f", "read"), ("team", "list"), ("team", "upload"))
        ]
        read, listing, inbox = (answer.json()["data"] for answer in shared)
    subject = replace(
        subject, subscription=kept, ended=ended, link=read["id"], listing=listing["url"].rpartition("/")[2],
        inbox=inbox["url"].rpartition("/")[2],
    )  # fmt: skip
    return await with_drift(front, await with_project(front, subject))


async def with_project(front: FrontOfTest, subject: Subject) -> Subject:
    """It is cold on the mount, has a file, a content and a node."""
    async with front.pool.connection() as connection, connection.transaction():
        names, job = [f"p{uuid.uuid4().hex[:8]}" for _ in range(2)], str(uuid.uuid4())
        for name in names:
            new = projects.NewProject(tenant="main", name=name, mount=MountId(subject.mount), principal="ann")
            made = await projects.create(connection, new)
            assert made is not None
            await projects.attach(connection, made.id, "n1", "host", "/folder")
            await objects.put_hot(connection, made.id, {CONTENT: 7})
            await connection.execute(FILE_OF_PROJECT, [made.id, bytes.fromhex(CONTENT)])
            if name == names[0]:
                await projects.begin_job(connection, job, made.id, "archive", {}, "ann")
    return replace(subject, project=names[0], project_to_delete=names[1], project_node="n1", project_job=job)


FINDING = """INSERT INTO filestore.findings (tenant, mount_id, path, kind, state, believed, observed, action, look_id, shown)
             VALUES ('main', %s, 'team/f', 'changed', 'open', '{}', '{}', 'ask', %s, 'team/f') RETURNING id"""


async def with_drift(front: FrontOfTest, subject: Subject) -> Subject:
    """A finding and a job at `team/f`, two looks that wait for a yes, a freeze that has ended and one that was not lifted."""
    mount = MountId(subject.mount)
    async with front.pool.connection() as connection, connection.transaction():
        held = [
            await looks.begin(
                connection, mount, [LookPlace(b"team", subtree=True)], reason="audit", principal="ann", whole=False
            )
            for _ in range(2)
        ]
        for one in held:
            await looks.hold(connection, one, {"changes": 1})
        found = await (await connection.execute(FINDING.encode(), [mount, held[0]])).fetchone()
        job = await reconciliations.ask(
            connection, reconciliations.NewJob("main", "ann", mount, NodePath(b"team/f"), "manual")
        )
        new = freezes.NewFreeze(
            tenant="main", principal="ann", mount=mount, reason="why", until=None, key=f"freeze of {mount}"
        )
        ended = await freezes.create(connection, new)
        over = replace(new, key=f"another of {mount}", until=datetime(2026, 1, 1, tzinfo=UTC))
        other = await freezes.create(connection, over)
        assert found is not None and ended is not None and other is not None
        await freezes.lift(connection, ended[0], "main", "ann")
        scope = QuotaScope(mount, NodePath(b"team"))
        most, soft = Limit(bytes=10**15), Limit()
        quota = NewQuota(tenant="main", scope=scope, most=most, soft=soft, trash=False, operators=False, by="ann")
        policy = ApprovalPolicy("main", frozenset(ApprovalAct), ("ann", "ben"), 1, 60, 60)
        matter = Matter(subject="hold/0", version="1", shown={}, mount=mount, path=NodePath(b"team"))
        approval = await approvals.ask(connection, NewApproval(
            tenant="main", act=ApprovalAct.RELEASE_HOLD, matter=matter, request={}, reason="why",
            requester=f"someone of {mount}", token=0, policy=policy,
        ))  # fmt: skip
        assert approval is not None
        await approvals.become(connection, approval, ApprovalState.REJECTED)
        quota_ids = [await quotas.create(connection, quota) for _ in range(2)]
    return replace(
        subject, approval=approval, quota=quota_ids[0], quota_to_remove=quota_ids[1],
        finding=found["id"], look=held[0], look_refused=held[1], job=job, freeze=ended[0],
        freeze_to_lift=other[0],
    )  # fmt: skip


def address(one: MatrixOperation, subject: Subject, upload: str) -> str:
    projects_name = subject.project_to_delete if one.name == "deleteProject" else subject.project
    name = projects_name if one.template.startswith("/v1/projects/") else subject.namespace
    path = one.template.replace("{name}", name).replace("{node}", subject.project_node).replace("{sha}", CONTENT)
    path = path.replace("{job}", subject.project_job)
    path = path.replace("{link}", subject.listing if one.name == "openLink" else subject.inbox)
    if "{id}" not in path:
        return path
    if one.row.id is not None:
        return path.replace("{id}", str(one.row.id(subject)))
    if path.startswith("/v1/uploads/"):
        return path.replace("{id}", upload)
    id = next(value for prefix, value in subject.ids.items() if path.startswith(prefix))
    return path.replace("{id}", str(id))


def needed(row: MatrixRow) -> tuple[str, ...]:
    """The fewest scopes that have the action; of a whole tenant also what goes with it."""
    if row.scopes:
        return row.scopes
    return ("filestore:credentials", "filestore:read") if row.action == "credentials" else (_least(row.action),)


def _least(action: Action) -> str:
    return min((name for name in FULL if action in SCOPES[name].gives), key=lambda name: len(SCOPES[name].gives))


def lacking(action: Action) -> tuple[str, ...]:
    return tuple(name for name in FULL if action not in SCOPES[name].gives)


def refused_grants(row: MatrixRow, subject: Subject, other: int) -> Iterator[tuple[str, Sequence[Grant]]]:
    """Tokens with all scopes, and grants that leave the subject out."""
    here, elsewhere = MountId(subject.mount), MountId(other)
    if row.place in ("path", "mount"):
        yield "wrong mount", [Grant("", mount=elsewhere)]
        yield "denied mount", [Grant(""), Grant("", "deny", here)]
    if row.place == "path":
        yield "wrong path", [Grant("elsewhere", mount=here)]
        yield "denied below allowed", [Grant("", mount=here), Grant("team", "deny", here)]
        yield "denied by a glob", [Grant("**/team", "deny")]
    if row.action == "mounts" and row.place == "mount":
        yield "wrong path", [Grant("team", mount=here)]


async def send(client: httpx2.AsyncClient, one: MatrixOperation, subject: Subject, upload: str) -> httpx2.Response:
    return await client.request(one.method, address(one, subject, upload), **one.row.sends(subject))


def check_refused(one: MatrixOperation, why: str, answer: httpx2.Response, subject: Subject) -> None:
    if one.row.lists is not None and answer.status_code == 200:
        assert not one.row.lists(subject, answer.text), (one.name, why, answer.text[:2000])
        return
    assert answer.status_code in (403, 404), (one.name, why, answer.status_code, answer.text[:500])
    assert "content" not in answer.text or one.method == "HEAD" or "content" in str(one.row.sends(subject)), (
        one.name,
        why,
    )


@pytest.fixture
async def world(front: FrontOfTest, tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Any:
    other = await make_tree(front.pool, tmp_path_factory.mktemp("other"))
    return await subject_of(front, tree), other.mount


async def test_the_matrix(front: FrontOfTest, world: tuple[Subject, int]) -> None:
    subject, other = world
    rows = sorted(operations_of(front), key=lambda one: one.row.action != "read")  # what reads, before anything changes
    secret: dict[tuple[Any, ...], str] = {}

    async def token(scopes: Sequence[str], grants: Sequence[Grant] = (), tenant: str = "main") -> str:
        key = (tuple(scopes), tuple(grants), tenant)
        if key not in secret:
            async with front.pool.connection() as connection, connection.transaction():
                new = NewToken(principal="ann", scopes=scopes, tenant=tenant, grants=grants)
                secret[key] = (await tokens.issue(connection, new))[1]
        return secret[key]

    async with front.pool.connection() as connection:
        id, revoked = await tokens.create(connection, "ann", ["admin"])
        await tokens.revoke(connection, id)
        id, expired = await tokens.create(connection, "ann", ["admin"])
        await connection.execute("UPDATE filestore.tokens SET expires_at = now() WHERE id = %s", [id])
    async with front.client() as client:

        async def as_bearer(
            bearer: str | None, one: MatrixOperation, upload: str = str(uuid.uuid4())
        ) -> httpx2.Response:
            client.headers.pop("authorization", None)
            if bearer is not None:
                client.headers["authorization"] = f"Bearer {bearer}"
            return await send(client, one, subject, upload)

        async def new_upload(bearer: str) -> str:
            announced = MatrixOperation("createUpload", "POST", "/v1/uploads", ROWS["createUpload"])
            answer = await as_bearer(bearer, announced)
            assert answer.status_code == 201, answer.text
            return answer.headers["location"].rpartition("/")[2]

        for one in rows:
            row = one.row
            if row.place == "open":
                assert (await as_bearer(None, one)).status_code in (200, 201, 503), one.name
                continue
            for bearer in (None, UNKNOWN, expired, revoked):
                answer = await as_bearer(bearer, one)
                assert answer.status_code == 401, (one.name, bearer, answer.text[:300])
            full = await token(FULL)
            upload = await new_upload(full) if "/v1/uploads/{id}" in one.template else ""
            lacks = lacking(row.action)
            answer = await as_bearer(await token(lacks), one, upload)
            check_refused(one, "wrong scope", answer, subject)
            assert one.method == "HEAD" or "MISSING_SCOPE" in answer.text, (one.name, answer.text[:300])
            for why, grants in refused_grants(row, subject, other):
                check_refused(one, why, await as_bearer(await token(FULL, grants), one, upload), subject)
            if row.place != "tenant" or one.name in (
                "getToken",
                "updateToken",
                "rotateToken",
                "revokeToken",
                "getTenant",
                "exportTenant",
            ):
                answer = await as_bearer(await token(FULL, tenant="another"), one, upload)
                check_refused(one, "another tenant", answer, subject)
            where = (
                []
                if row.place == "tenant"
                else [Grant("" if row.place == "mount" else "team", mount=MountId(subject.mount))]
            )
            answer = await as_bearer(await token(needed(row), where), one, upload)
            assert answer.status_code not in (401, 403, 404, 500), (
                one.name,
                "right",
                answer.status_code,
                answer.text[:500],
            )
            if row.lists is not None and one.name != "listTrash":
                assert row.lists(subject, answer.text), (one.name, "right", answer.text[:2000])
