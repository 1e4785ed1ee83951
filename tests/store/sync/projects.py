"""Projects in the record without files: objects are said to be there, commits are real."""

import hashlib
import uuid
from collections.abc import Sequence

from schema.ids import MountId
from schema.store import objects, projects, revisions
from schema.store.projects import NewProject, Project
from schema.store.revisions import ChangeBatch
from schema.sync.changes import ChangeKind, PathChange
from schema.sync.merge import ConflictRule
from schema.sync.tiers import TierMove
from tests.store.helpers import Connection


def sha_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def make_project(
    connection: Connection,
    mount: MountId,
    rule: ConflictRule = ConflictRule.LAST,
    promotion: str = "fast",
    tenant: str = "main",
) -> Project:
    name = f"p-{uuid.uuid4().hex[:8]}"
    new = NewProject(tenant=tenant, name=name, mount=mount, principal="admin", rule=rule, promotion=promotion)
    made = await projects.create(connection, new)
    assert made is not None
    return made


async def have(connection: Connection, project: Project, *texts: str, move: TierMove = TierMove.PUT_HOT) -> None:
    for text in texts:
        cold = None if move is TierMove.PUT_HOT else f"cold/{text}"
        await objects.put(connection, project.id, sha_of(text), len(text), move, cold)


def put(path: str, text: str, base: str | None = None) -> PathChange:
    before = "" if base is None else sha_of(base)
    return PathChange(ChangeKind.PUT, path.encode(), None, sha_of(text), len(text), 0o644, before)


def delete(path: str, base: str | None = None) -> PathChange:
    return PathChange(ChangeKind.DELETE, path.encode(), base="" if base is None else sha_of(base))


async def send(
    connection: Connection, project: Project, *changes: PathChange, node: str = "n1", base: int | None = None,
    name: str | None = None,
) -> dict[str, object]:  # fmt: skip
    name = name or uuid.uuid4().hex
    batch = ChangeBatch(name, node, "admin", _digest(changes), base, changes)
    outcome = await revisions.offer(connection, project.id, batch)
    return outcome if outcome is not None else await revisions.commit(connection, project.id, name)


def _digest(changes: Sequence[PathChange]) -> bytes:
    return hashlib.sha256(repr(changes).encode()).digest()


async def events(connection: Connection, project: Project) -> list[str]:
    query = b"SELECT data->>'event' AS event FROM filestore.outbox WHERE data->>'projectId' = %s ORDER BY id"
    rows = await (await connection.execute(query, (project.uuid,))).fetchall()
    return [row["event"] for row in rows]
