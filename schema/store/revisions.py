"""The log of a project. A commit is one transaction: the head is held, the objects are looked at, the tree, its pages, the log and
the events are written."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from schema.access.acts import ActKind
from schema.errors import Frozen
from schema.sql import load
from schema.store import freezes, objects, project_acts, projects
from schema.store.projects import Project
from schema.sync.changes import PathChange, dump_changes, load_changes
from schema.sync.commits import AppliedChange, Conflicting, JudgedCommit, judge, other_than_asked, touched
from schema.sync.happenings import conflict_event, current_changed, path_events
from schema.sync.manifests import ManifestUpdate, PageMissing, update
from schema.sync.tiers import HAS_COLD, LIVE, Tier
from schema.sync.trees import EntryKind, TreeEntry, parent_of

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow

SQL = load("revisions")


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """What a node sends at once."""

    name: str
    node: str
    principal: str
    digest: bytes
    base: int | None
    changes: Sequence[PathChange]


class CommitRefused(Exception):
    """`code`: stale_base, objects_needed, not_cold, wrong_state, frozen. Nothing was changed."""

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code, self.details = code, details


async def offer(connection: Connection, project: int, batch: ChangeBatch) -> dict[str, Any] | None:
    """Its outcome, where it has one. Raises CommitRefused: the name is another batch's."""
    values = {
        "project": project, "batch": batch.name, "node": batch.node, "principal": batch.principal, "digest": batch.digest,
        "base": batch.base, "body": json.dumps(dump_changes(batch.changes)),
    }  # fmt: skip
    if await (await connection.execute(SQL["batch"], values)).fetchone() is not None:
        return None
    row = await (await connection.execute(SQL["known_batch"], values)).fetchone()
    if row is not None and row["digest"] != batch.digest:
        raise CommitRefused("other_batch")
    return None if row is None else row["outcome"]


async def arrived(connection: Connection, project: int, batch: ChangeBatch) -> bool:
    """Whether it was offered, and not refused. Once this has said no, it is refused when it comes: a request may be under way for
    longer than its client waits."""
    values = {"project": project, "batch": batch.name, "node": batch.node, "principal": batch.principal}
    return await (await connection.execute(SQL["shut_out"], values)).fetchone() is None


async def commit(connection: Connection, project: int, name: str) -> dict[str, Any]:
    """The outcome of a batch. Once, however often it is called. Raises CommitRefused; then it was not committed."""
    async with connection.transaction():
        head = await _head(connection, project)
        row = await (await connection.execute(SQL["take_batch"], {"project": project, "batch": name})).fetchone()
        if row is None:
            raise CommitRefused("no_batch")
        if row["outcome"] is not None:
            return dict(row["outcome"])
        changes = load_changes(row["body"])
        await _check_freeze(connection, head)
        _check_head(head, row["base"])
        durability = await _hold_objects(connection, head, changes)
        judged = judge(await _tree(connection, project, changes), changes, head.rule, row["node"])
        async with connection.pipeline():  # what is written needs no answers: it goes as one
            outcome = await _write(connection, head, name, row, judged, durability)
            outcome |= _told(changes, judged)
            await connection.execute(
                SQL["end_batch"], {"project": project, "batch": name, "outcome": json.dumps(outcome)}
            )
        return outcome


async def withdraw(connection: Connection, project: int, name: str) -> None:
    """A batch that was refused."""
    await connection.execute(SQL["drop_batch"], {"project": project, "batch": name})


async def _head(connection: Connection, project: int) -> Project:
    row = await (await connection.execute(SQL["head"], {"project": project})).fetchone()
    if row is None:
        raise CommitRefused("no_project")
    return projects.project_of(row)


def _check_head(head: Project, base: int | None) -> None:
    if not head.takes_commits:
        raise CommitRefused("wrong_state", state=head.state)
    if base is not None and base != head.revision:
        raise CommitRefused("stale_base", revision=head.revision, manifestSha=head.manifest)


async def _check_freeze(connection: Connection, head: Project) -> None:
    try:
        await freezes.check(connection, head.tenant, head.mount)
    except Frozen as frozen:
        raise CommitRefused("frozen", message=frozen.message, **(frozen.details or {})) from frozen


async def _hold_objects(connection: Connection, head: Project, changes: Sequence[PathChange]) -> str:
    """Every content has a copy, and keeps it until the commit refers to it. Returns how durable they are."""
    wanted = {change.sha for change in changes if change.sha}
    rows = await objects.lock(connection, head.id, wanted)
    standing = {sha: was if tier is Tier.CONDEMNED and was is not None else tier for sha, (tier, was) in rows.items()}
    needed = sorted(sha for sha in wanted if standing.get(sha) not in LIVE)
    if needed:
        raise CommitRefused("objects_needed", needed=needed)
    warm = sorted(sha for sha in wanted if standing[sha] not in HAS_COLD)
    if head.strict and warm:
        raise CommitRefused("not_cold", shas=warm)
    if condemned := [sha for sha, (tier, _) in rows.items() if tier is Tier.CONDEMNED]:
        await objects.rescue(connection, head.id, condemned)
    return "hot" if warm else "cold"


async def _tree(connection: Connection, project: int, changes: Sequence[PathChange]) -> dict[bytes, TreeEntry]:
    deleted = [change.path for change in changes if change.kind == "delete"]
    values = {"project": project, "paths": list(touched(changes)), "parents": deleted}
    rows = await (await connection.execute(SQL["tree"], values)).fetchall()
    return {row["path"]: entry_of(row) for row in rows}


def entry_of(row: DictRow) -> TreeEntry:
    return TreeEntry(EntryKind(row["kind"]), row["mode"], row["sha"] or "", row["size_bytes"])


async def _write(
    connection: Connection, head: Project, batch: str, row: DictRow, judged: JudgedCommit, durability: str
) -> dict[str, Any]:
    """What changed, if anything did."""
    revision = head.revision + 1
    if judged.conflicts:
        await _log_conflicts(
            connection, head, revision if judged.applied else head.revision, row["node"], judged.conflicts
        )
        told = [conflict_event(head, one, revision) for one in judged.conflicts]
        await tell(connection, head, told)
    if not judged.applied:
        return {"revision": head.revision, "manifestSha": head.manifest, "durability": durability}
    made = await _manifest(connection, head, judged.applied)
    await _write_paths(connection, head.id, revision, judged)
    await connection.execute(
        SQL["commit"],
        {
            "project": head.id, "revision": revision, "batch": batch, "node": row["node"], "principal": row["principal"],
            "manifest": bytes.fromhex(made.root), "files": made.files, "size": made.size, "changes": len(judged.applied),
            "durability": durability,
        },
    )  # fmt: skip
    await _log_changes(connection, head.id, revision, judged.applied)
    await project_acts.record(
        connection, head, ActKind.COMMIT_PROJECT, row["principal"], revision=revision, manifestSha=made.root, node=row["node"],
        batch=batch, changes=len(judged.applied),
    )  # fmt: skip
    events = path_events(head, revision, row["node"], row["principal"], judged.applied)
    await tell(connection, head, [*events, current_changed(head, revision, made.root, row["node"], row["principal"])])
    return {"revision": revision, "manifestSha": made.root, "durability": durability}


def _told(changes: Sequence[PathChange], judged: JudgedCommit) -> dict[str, Any]:
    """What did not go as the node said: it looks at these paths anew."""
    reasons = {change.path: reason for change, reason in judged.left_out}
    other = other_than_asked(changes, judged)
    return {"other": [[b64encode(path).decode(), reasons.get(path, "changed")] for path in sorted(other)],
            "applied": len(judged.applied), "conflicts": len(judged.conflicts)}  # fmt: skip


async def _manifest(connection: Connection, head: Project, applied: Sequence[AppliedChange]) -> ManifestUpdate:
    changes: dict[bytes, TreeEntry | None] = {}
    for one in applied:
        if one.source is not None:
            changes[one.source] = None
        changes[one.path] = one.entry
    made = await _updated(connection, head, changes, await load_pages(connection, head.id, [head.manifest]))
    values = {
        "project": head.id, "revision": head.revision + 1, "shas": [bytes.fromhex(sha) for sha in made.written],
        "bodies": list(made.written.values()),
    }  # fmt: skip
    await connection.execute(SQL["put_pages"], values)
    return made


async def _updated(
    connection: Connection, head: Project, changes: Mapping[bytes, TreeEntry | None], pages: dict[str, bytes]
) -> ManifestUpdate:
    """Pages are read as they turn out to be needed."""
    while True:
        try:
            return update(partial(_page, pages), head.manifest, changes)
        except PageMissing as missing:
            pages.update(await load_pages(connection, head.id, [missing.sha, *_below(pages, changes)]))


def _page(pages: Mapping[str, bytes], sha: str) -> bytes:
    if sha not in pages:
        raise PageMissing(sha)
    return pages[sha]


def _below(pages: Mapping[str, bytes], changes: Mapping[bytes, object]) -> list[str]:
    """The pages of directories that lie on the way to what changes, in those that are known: asked for together."""
    names = {name for path in changes for name in path.split(b"/")[:-1]}
    found = []
    for page in pages.values():
        for row in json.loads(page).get("entries", ()):
            if row[1] == "d" and row[2] not in pages and row[0].encode("utf-8", "surrogateescape") in names:
                found.append(row[2])
    return found


async def load_pages(connection: Connection, project: int, shas: Iterable[str]) -> dict[str, bytes]:
    values = {"project": project, "shas": [bytes.fromhex(sha) for sha in shas]}
    return {row["sha"]: row["body"] for row in await (await connection.execute(SQL["pages"], values)).fetchall()}


async def _write_paths(connection: Connection, project: int, revision: int, judged: JudgedCommit) -> None:
    paths = {path for one in judged.applied for path in (one.path, one.source) if path is not None}
    gone = [path for path in paths if path not in judged.tree]
    if gone:
        await connection.execute(SQL["remove_paths"], {"project": project, "paths": gone})
    there = sorted(path for path in paths if path in judged.tree)
    entries = [judged.tree[path] for path in there]
    values = {
        "project": project, "revision": revision, "paths": there, "parents": [parent_of(path) for path in there],
        "kinds": [entry.kind.value for entry in entries], "shas": [_sha(entry) for entry in entries],
        "sizes": [entry.size for entry in entries], "modes": [entry.mode for entry in entries],
    }  # fmt: skip
    await connection.execute(SQL["put_paths"], values)


async def _log_changes(connection: Connection, project: int, revision: int, applied: Sequence[AppliedChange]) -> None:
    entries = [one.entry or one.before for one in applied]
    values = {
        "project": project, "revision": revision, "kinds": [one.kind.value for one in applied],
        "paths": [one.path for one in applied], "sources": [one.source for one in applied],
        "entry_kinds": [entry.kind.value if entry else "file" for entry in entries],
        "shas": [_sha(one.entry) for one in applied], "sizes": [one.entry.size if one.entry else 0 for one in applied],
        "modes": [one.entry.mode if one.entry else 0 for one in applied], "befores": [_sha(one.before) for one in applied],
    }  # fmt: skip
    await connection.execute(SQL["log_changes"], values)


def _sha(entry: TreeEntry | None) -> bytes | None:
    return bytes.fromhex(entry.sha) if entry is not None and entry.sha else None


async def _log_conflicts(
    connection: Connection, head: Project, revision: int, node: str, conflicts: Sequence[Conflicting]
) -> None:
    values = {
        "project": head.id, "revision": revision, "node": node, "rule": head.rule.value,
        "paths": [one.path for one in conflicts], "winners": [_sha(one.winner) for one in conflicts],
        "losers": [_sha(one.loser) for one in conflicts], "sizes": [one.loser.size for one in conflicts],
        "modes": [one.loser.mode for one in conflicts], "heres": [one.loser_here for one in conflicts],
        "kept": [one.kept_as for one in conflicts],
    }  # fmt: skip
    await connection.execute(SQL["log_conflicts"], values)


async def tell(connection: Connection, project: Project, events: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Into the feed, in this order."""
    values = {"tenant": project.tenant, "mount": project.mount, "events": json.dumps(events)}
    await connection.execute(SQL["tell"], values)
