"""Projects as clients read them."""

from datetime import datetime

from pydantic import Field

from api.http.shapes import EXACT_PATH, CursorPagination, JsonObject, Shape, exact


class ProjectShape(Shape):
    id: str
    name: str
    backend_mount_id: int
    description: str | None
    state: str
    tier: str
    """hot, cold, or mixed"""
    conflict_rule: str
    promotion: str
    keep_days: float
    evict_after_seconds: float | None
    hot_max_bytes: int | None
    decide_after_seconds: float | None
    decide_as: str
    revision: int
    manifest_sha: str
    files: int
    size_bytes: int
    objects: JsonObject
    """By state: how many, and their bytes"""
    nodes: int
    conflicts: int
    principal: str
    created_at: datetime
    updated_at: datetime


class ProjectPage(Shape):
    projects: list[ProjectShape]
    pagination: CursorPagination


class SyncNodeShape(Shape):
    name: str
    host: str
    folder: str
    state: str
    revision: int
    lag: int
    """Revisions it has not followed yet"""
    waiting: int
    """Changes it has not committed yet"""
    alive: bool
    problem: str | None
    attached_at: datetime
    seen_at: datetime


class SyncNodes(Shape):
    nodes: list[SyncNodeShape]


class BeatAnswer(Shape):
    state: str
    revision: int
    wanted: list[str]
    """Contents that both stores have lost: a node that has one puts it"""


class HotCredentials(Shape):
    url: str
    credentials: str
    inbox: str
    """The prefix of where answers have to come"""
    streams: list[str]
    """What may be asked for below `$JS.API.DIRECT.GET.`"""
    subjects: list[str]
    expires_at: datetime


class Needed(Shape):
    needed: list[str]


class Put(Shape):
    created: bool


class PresignedObject(Shape):
    needed: bool
    ticket: str | None
    url: str | None
    method: str | None
    headers: dict[str, str]
    """Signed, all of them"""
    expires_at: datetime | None


class PutMany(Shape):
    created: list[str]


class LeftOut(Shape):
    path: str
    path_b64: str = EXACT_PATH
    reason: str


class Committed(Shape):
    revision: int
    manifest_sha: str
    durability: str
    applied: int
    conflicts: int
    other: list[LeftOut]
    """Paths that did not become what the changes said"""


class ProjectChange(Shape):
    revision: int
    kind: str
    path: str
    path_b64: str = EXACT_PATH
    source_path: str = Field(default="")
    source_path_b64: str = exact("sourcePathB64")
    entry_kind: str
    sha: str | None
    size_bytes: int
    mode: int
    node: str
    at: datetime


class ProjectChangePage(Shape):
    changes: list[ProjectChange]
    state: str
    revision: int
    manifest_sha: str
    next_since: str
    contents: dict[str, str]
    """With `contents=true`: of few small files, by SHA-256, in base64"""


class TreeEntryShape(Shape):
    name: str
    name_b64: str = exact("nameB64")
    kind: str
    sha: str
    size_bytes: int
    mode: int
    files: int


class TreePage(Shape):
    revision: int
    manifest_sha: str
    entries: list[TreeEntryShape]
    pagination: CursorPagination


class RevisionShape(Shape):
    revision: int
    manifest_sha: str
    node: str
    principal: str
    batch: str
    changes: int
    files: int
    size_bytes: int
    durability: str
    at: datetime


class RevisionPage(Shape):
    revisions: list[RevisionShape]
    pagination: CursorPagination


class ConflictShape(Shape):
    id: int
    revision: int
    path: str
    path_b64: str = EXACT_PATH
    rule: str
    winner_sha: str | None
    loser_sha: str
    loser_size_bytes: int
    loser_node: str
    kept_as: str | None
    state: str
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None
    created_at: datetime


class ConflictPage(Shape):
    conflicts: list[ConflictShape]
    pagination: CursorPagination


class Decided(Shape):
    decided: int


class JobShape(Shape):
    id: str
    kind: str
    state: str
    phase: str
    items_done: int
    bytes_done: int
    items_total: int | None
    bytes_total: int | None
    eta_seconds: float | None
    """By what it has done so far"""
    problem: str | None
    priority: str
    principal: str
    started_at: datetime
    ended_at: datetime | None


class JobPage(Shape):
    jobs: list[JobShape]
    pagination: CursorPagination


class Pinned(Shape):
    pinned: int


class Rehydration(Shape):
    objects: int
    size_bytes: int
    seconds: float


class ProjectMetrics(Shape):
    hot_objects: int
    hot_bytes: int
    cold_objects: int
    cold_bytes: int
    missing_objects: int
    revision: int
    unpublished: int
    """Revisions that the hot store was not told of"""
    conflicts: int
    lag: JsonObject
    """By node, revisions that it has not followed"""
    hit_ratio: float | None
    """Of the contents that were read through this process the share that was hot; null: none was read"""
    commits_per_minute: int
    changes_per_minute: int
    rehydration: Rehydration | None
    """The last job that made contents hot"""
