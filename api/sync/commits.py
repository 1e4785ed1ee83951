"""Commits of a project, what was changed since one, its tree and its history."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from activities.sync.commit import CommitRef
from activities.sync.hot import NoHotStore
from activities.sync.pages import TierOrder
from api.http import openapi
from api.http.body import read_text
from api.http.exports import Row, by_cursor, exported
from api.http.fields import read_query
from api.http.responses import JSON
from api.http.routes import Plain
from api.services import front_of
from api.sync.bodies import CommitBody, ProjectChangesQuery, ProjectHistoryQuery, ProjectTreeQuery, change_of_body
from api.sync.found import PATH_NAME, answer, contents_of, project_of
from api.sync.news import ProjectNews, heard
from api.sync.shapes import (
    Committed,
    ProjectChange,
    ProjectChangePage,
    RevisionPage,
    RevisionShape,
    TreeEntryShape,
    TreePage,
)
from schema import errors
from schema.paths import decode
from schema.store import project_log, projects, revisions
from schema.store.revisions import ChangeBatch, CommitRefused
from schema.sync.changes import PathChange, dump_changes
from schema.sync.happenings import shown_path
from schema.sync.manifests import PageEntry, PageMissing, empty_root, find_path
from schema.sync.manifests import listed as listed_page
from schema.sync.trees import EntryKind
from workflows.sync.start import commit as carry_out
from workflows.sync.start import work
from workflows.sync.tiers import ProjectJob

if TYPE_CHECKING:
    from schema.store.connection import Connection, DictRow
    from schema.store.projects import Project

router = APIRouter(route_class=Plain, tags=["projects"])

ALONG_MAX, ALONG_FILES = 16 * 1024, 16
"""Contents of up to so many bytes travel with the changes, where they are no more than so many"""
_EXAMPLE: dict[str, Any] = {
    "changes": [{"kind": "put", "path": "a.txt", "sha": "0" * 64, "sizeBytes": 5, "baseSha": None}], "node": "web-1",
}  # fmt: skip
_REFUSALS = (
    "NOT_FOUND",
    "FORBIDDEN",
    "STALE_REVISION",
    "OBJECTS_NEEDED",
    "WRONG_STATE",
    "FROZEN",
    "IDEMPOTENCY_CONFLICT",
    "INVALID_PATH",
)


@router.post(
    "/v1/projects/{name}/commits",
    status_code=201,
    operation_id="commitProject",
    summary="Commit changes",
    responses=openapi.answers({201: ("The revision", Committed)}, *_REFUSALS),
    openapi_extra={"parameters": [PATH_NAME], "requestBody": openapi.body_of(CommitBody, _EXAMPLE)},
)
async def commit(request: Request) -> Response:
    """A workflow makes it a revision, and the hot store hears of it. The same `batch` gets the same answer. With `base` it is
    refused unless that is the head; without it each change is judged by its `baseSha` and the project's rule."""
    principal, project = await project_of(request, "write")
    front, body = front_of(request), CommitBody.model_validate_json(await read_text(request))
    changes = [_change(one) for one in body.changes]
    batch = body.batch or uuid.uuid4().hex
    digest = hashlib.sha256(json.dumps([body.base, body.node, dump_changes(changes)]).encode()).digest()
    async with front.services.pool.connection() as connection:
        try:
            offered = ChangeBatch(batch, body.node, principal.name, digest, body.base, changes)
            if body.known and not await revisions.arrived(connection, project.id, offered):
                raise errors.NotFound("No such batch has come, or it was refused. Commit the changes under a new name.")
            outcome = await revisions.offer(connection, project.id, offered)
        except CommitRefused as refused:
            raise errors.IdempotencyConflict() from refused
    if outcome is None:
        ref = CommitRef(project.mount, project.id, batch, project.tenant, project.uuid)
        end = await front.services.carry(carry_out, ref=ref, node=body.node)
        if end.code:
            raise refusal(end.code, end.outcome)
        outcome = end.outcome
        news_of(request).rang(project.uuid)
        if outcome["durability"] == "hot":
            front.services.start(work, job=ProjectJob("archive", TierOrder(project.mount, project.id)))
    return answer(_committed(outcome), 201)


def _change(body: Any) -> PathChange:
    path = decode(body.path, body.path_b64).raw
    moves = body.kind == "move"
    source = decode(body.source_path, body.source_path_b64).raw if moves else None
    if body.kind in ("put", "move") and body.sha is None:
        raise errors.InvalidRequest("A change that puts or moves a file names its content.", field="sha")
    return change_of_body(body, path, source)


def refusal(code: str, details: dict[str, Any]) -> errors.FilestoreError:
    """Why a batch was not committed, to a client."""
    match code:
        case "frozen":
            return errors.Frozen(**details)
        case "stale_base":
            return errors.StaleRevision(**details)
        case "objects_needed":
            return errors.ObjectsNeeded(**details)
        case "wrong_state":
            return errors.WrongState("The project takes no commits in its state.", **details)
        case "not_cold":
            return errors.Unavailable(
                "The contents could not be made cold yet, and the project is strict. Send it again."
            )
    return errors.Unavailable("The commit is not there any more. Send the same batch again.")


def _committed(outcome: dict[str, Any]) -> dict[str, Any]:
    other = [{**shown_path("path", base64.b64decode(path)), "reason": reason} for path, reason in outcome["other"]]
    return outcome | {"other": other}


def _since(data: Row) -> dict[str, str] | None:
    """All up to now: where a page is full, there are more."""
    return {"since": data["nextSince"]} if data["changes"] and "." in data["nextSince"] else None


def _of_one_revision(data: Row) -> dict[str, str] | None:
    """All pages show the tree of the first one."""
    further = by_cursor(data)
    return None if further is None else {**further, "revision": str(data["revision"])}


@router.get(
    "/v1/projects/{name}/changes",
    operation_id="listProjectChanges",
    summary="What was changed since a revision",
    responses=openapi.listed("A page of changes", ProjectChangePage, "NOT_FOUND"),
    openapi_extra={"parameters": [PATH_NAME, *openapi.list_of(ProjectChangesQuery)]},
)
@exported("changes", ProjectChange, 5000, _since)
async def changes(request: Request) -> Response:
    """In order, from the record: nothing is left out, however long ago. With `wait` it is answered as soon as there is a change."""
    _, project = await project_of(request, "read")
    query = read_query(ProjectChangesQuery, request.query_params)
    revision, _, ordinal = query.since.partition(".")
    after = (int(revision), int(ordinal) if ordinal else 2**31 - 1)
    end = monotonic() + query.wait
    async with news_of(request).listening(project.tenant, project.uuid) if query.wait else nullcontext() as rung:
        while True:
            async with front_of(request).services.pool.connection() as connection:
                rows = await project_log.changes(connection, project.id, after[0], query.limit, after[1])
                head = await projects.of_id(connection, project.id)
            left = end - monotonic()
            ends = rows or left <= 0 or head is None or head.state != project.state
            if rung is None or ends or await request.is_disconnected():
                break
            await heard(rung, left)
    assert head is not None
    following = query.since
    if rows:
        last = rows[-1]
        following = str(last["revision"]) + (f".{last['ordinal']}" if len(rows) == query.limit else "")
    shown = {"changes": [_shown(row) for row in rows], "state": head.state, "revision": head.revision,
             "manifestSha": head.manifest, "nextSince": following,
             "contents": await _contents(request, project, rows) if query.contents else {}}  # fmt: skip
    return Response(orjson.dumps({"data": shown}), 200, media_type=JSON)


async def _contents(request: Request, project: Project, rows: Sequence[DictRow]) -> dict[str, str]:
    """In base64. Those that travel along: a follower need not ask for them then."""
    small = {row["sha"] for row in rows if row["sha"] and row["kind"] == "put" and row["size_bytes"] <= ALONG_MAX}
    if not small or len(small) > ALONG_FILES:
        return {}
    found = await contents_of(request).small(project, small)
    return {sha: base64.b64encode(content).decode("ascii") for sha, content in found.items()}


def news_of(request: Request) -> ProjectNews:
    """One for the process."""
    state = request.scope["app"].state
    if getattr(state, "project_news", None) is None:
        contents = front_of(request).services.contents
        state.project_news = ProjectNews(contents.hots if contents is not None else NoHotStore())
    news: ProjectNews = state.project_news
    return news


def _shown(row: DictRow) -> dict[str, Any]:
    source = {} if row["source"] is None else shown_path("sourcePath", row["source"])
    return {
        "revision": row["revision"], "kind": row["kind"], **shown_path("path", row["path"]), **source,
        "entryKind": row["entry_kind"], "sha": row["sha"], "sizeBytes": row["size_bytes"], "mode": row["mode"],
        "node": row["node"], "at": row["created_at"],
    }  # fmt: skip


@router.get(
    "/v1/projects/{name}/tree",
    operation_id="getProjectTree",
    summary="A directory of a project",
    responses=openapi.listed("A page of its entries", TreePage, "NOT_FOUND", "INVALID_PATH"),
    openapi_extra={"parameters": [PATH_NAME, *openapi.list_of(ProjectTreeQuery)]},
)
@exported("entries", TreeEntryShape, 5000, _of_one_revision)
async def tree(request: Request) -> Response:
    """By name, with the totals of each directory in it; now, at a revision, or as of a time."""
    _, project = await project_of(request, "read")
    query = read_query(ProjectTreeQuery, request.query_params)
    path = decode(query.path, query.path_b64, allow_root=True)
    async with front_of(request).services.pool.connection() as connection:
        revision, manifest = await _root(connection, project, query)
        entries = await _entries(connection, project.id, manifest, path.raw, query)
        if entries is None and not await revisions.load_pages(connection, project.id, [manifest]):
            raise errors.NotFound("The tree of this revision is kept no more: keepDays are over.", revision=revision)
    if entries is None:
        raise errors.NotFound("The project has no such directory at this revision.", path=path.text)
    following = None
    if len(entries) > query.limit:
        following = base64.urlsafe_b64encode(entries[query.limit - 1].name).decode()
    page = {"limit": query.limit, "nextCursor": following}
    shown = [_entry(one) for one in entries[: query.limit]]
    return answer({"revision": revision, "manifestSha": manifest, "entries": shown, "pagination": page})


async def _root(connection: Connection, project: Project, query: ProjectTreeQuery) -> tuple[int, str]:
    if query.revision is None and query.as_of is None:
        return project.revision, project.manifest
    wanted = 2**62 if query.revision is None else query.revision
    if wanted > project.revision and query.as_of is None:
        raise errors.NotFound("The project has no such revision yet.", revision=project.revision)
    row = await project_log.commit_at(connection, project.id, wanted, query.as_of)
    if row is None:
        return 0, empty_root()[0]
    return row["revision"], row["manifest_sha"]


async def _entries(
    connection: Connection, project: int, manifest: str, path: bytes, query: ProjectTreeQuery
) -> list[PageEntry] | None:
    """One more than the page. None: there is no such directory. Pages are read as they turn out to be needed."""
    pages: dict[str, bytes] = {}
    after = None if query.cursor is None else base64.urlsafe_b64decode(query.cursor)

    def load(held: dict[str, bytes], sha: str) -> bytes:
        if sha not in held:
            raise PageMissing(sha)
        return held[sha]

    while True:
        try:
            found = find_path(partial(load, pages), manifest, path)
            if found is None or found.kind is not EntryKind.DIRECTORY:
                return None
            return listed_page(partial(load, pages), found.sha, after, query.limit + 1)
        except PageMissing as missing:
            more = await revisions.load_pages(connection, project, [missing.sha])
            if missing.sha not in more:
                return None
            pages |= more


def _entry(one: PageEntry) -> dict[str, Any]:
    return {
        **shown_path("name", one.name), "kind": one.kind.value, "sha": one.sha, "sizeBytes": one.size, "mode": one.mode,
        "files": one.files,
    }  # fmt: skip


@router.get(
    "/v1/projects/{name}/commits",
    operation_id="listCommits",
    summary="The history of a project",
    responses=openapi.listed("A page of revisions", RevisionPage, "NOT_FOUND"),
    openapi_extra={"parameters": [PATH_NAME, *openapi.list_of(ProjectHistoryQuery)]},
)
@exported("revisions", RevisionShape, 200)
async def history(request: Request) -> Response:
    """The newest first."""
    _, project = await project_of(request, "read")
    query = read_query(ProjectHistoryQuery, request.query_params)
    async with front_of(request).services.pool.connection() as connection:
        rows = await project_log.commits(connection, project.id, query.limit, query.cursor)
    shown = [
        {
            "revision": row["revision"], "manifestSha": row["manifest_sha"], "node": row["node"], "principal": row["principal"],
            "batch": row["batch"], "changes": row["changes"], "files": row["files"], "sizeBytes": row["size_bytes"],
            "durability": row["durability"], "at": row["created_at"],
        }
        for row in rows
    ]  # fmt: skip
    following = str(rows[-1]["revision"]) if len(rows) == query.limit else None
    return answer({"revisions": shown, "pagination": {"limit": query.limit, "nextCursor": following}})
