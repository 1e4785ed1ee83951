"""Projects as clients ask for them."""

import re
from base64 import b64encode
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from api.http.fields import Count, Id, JsonBody, Key, Moment, Query, Short, Text
from schema.paths import decode
from schema.sync.changes import CHANGES_MAX, ChangeKind, PathChange
from schema.sync.ranks import PriorityName

SHA = r"^[0-9a-f]{64}$"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _a_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            "a name has 1 to 100 letters, digits, dots, hyphens and underscores, and begins with one of the first two"
        )
    return name


Name = Annotated[str, AfterValidator(_a_name)]
Sha = Annotated[str, Field(pattern=SHA, description="SHA-256 in hex")]
Rule = Literal["last", "keep_both", "refuse"]
Promotion = Literal["fast", "strict"]
Decision = Literal["winner", "loser", "both"]
Seconds = Annotated[float, Field(ge=0, le=10**9)]


class NewProjectBody(JsonBody):
    name: Name
    backend_mount_id: Id
    description: Short | None = None
    conflict_rule: Rule = "last"
    promotion: Promotion = "fast"
    keep_days: Seconds = 30.0
    evict_after_seconds: Seconds | None = None
    hot_max_bytes: Count | None = None
    decide_after_seconds: Seconds | None = None
    decide_as: Decision = "winner"


class ProjectChangesBody(JsonBody):
    description: Short | None = None
    conflict_rule: Rule | None = None
    promotion: Promotion | None = None
    keep_days: Seconds | None = None
    evict_after_seconds: Seconds | None = None
    hot_max_bytes: Count | None = None
    decide_after_seconds: Seconds | None = None
    decide_as: Decision | None = None


class NodeBody(JsonBody):
    name: Name
    host: Short
    folder: Short


class BeatBody(JsonBody):
    revision: Count = 0
    waiting: Count = 0
    problem: Short | None = None


class CredentialsBody(JsonBody):
    seconds: Annotated[float, Field(ge=60, le=86400)] = 3600.0


class IntentBody(JsonBody):
    shas: Annotated[list[Sha], Field(max_length=10_000)]


class ChangeBody(JsonBody):
    """`baseSha`: the content that is replaced, null for none; left out, it is not looked at."""

    kind: Literal["put", "mkdir", "move", "delete"]
    path: Text | None = None
    path_b64: str | None = Field(None, alias="pathB64")
    source_path: Text | None = None
    source_path_b64: str | None = Field(None, alias="sourcePathB64")
    sha: Sha | None = None
    size_bytes: Count = 0
    mode: Annotated[int, Field(ge=0, le=0o7777)] | None = None
    base_sha: Sha | None = None


class CommitBody(JsonBody):
    """`base`: the revision that the commit is made on; it has to be the head. Without it each change is judged by its
    `baseSha`. `known`: only what became of this batch, where it was sent before: for a client whose answer was lost, and that has
    gone on since."""

    changes: Annotated[list[ChangeBody], Field(min_length=1, max_length=CHANGES_MAX)]
    base: Count | None = None
    node: Name = "client"
    batch: Key | None = None
    known: bool = False


class ConflictDecision(JsonBody):
    ids: Annotated[list[Id], Field(min_length=1, max_length=1000)]
    decision: Decision


class ProjectsQuery(Query):
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Text = ""


class ProjectChangesQuery(Query):
    since: Annotated[str, Field(pattern=r"^\d{1,18}(\.\d{1,9})?$", description="A revision, or `nextSince`")] = "0"
    limit: Annotated[int, Field(ge=1, le=5000)] = 1000
    wait: Annotated[float, Field(ge=0, le=60, description="Seconds to wait for a change")] = 0
    contents: Annotated[bool, Field(description="With the contents of few small files")] = False


class ProjectTreeQuery(Query):
    path: Text = ""
    path_b64: str | None = Field(None, alias="pathB64")
    revision: Count | None = None
    as_of: Moment | None = None
    limit: Annotated[int, Field(ge=1, le=5000)] = 1000
    cursor: Text | None = None


class ProjectHistoryQuery(Query):
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Count | None = None


class ConflictsQuery(Query):
    state: Literal["open", "decided"] = "open"
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Count = 0


def change_of_body(body: ChangeBody, path: bytes, source: bytes | None) -> PathChange:
    default = 0o755 if body.kind == "mkdir" else 0o644
    return PathChange(
        ChangeKind(body.kind), path, source, body.sha or "", body.size_bytes, default if body.mode is None else body.mode,
        body.base_sha or "", checked="base_sha" in body.model_fields_set,
    )  # fmt: skip


class NothingBody(JsonBody):
    """Nothing has to be said."""


Priority = Annotated[PriorityName | None, Field(description="`now` where paths are named, otherwise `normal`")]


class EvictBody(JsonBody):
    idle_seconds: Seconds = 0.0
    priority: Priority = None


class PathsBody(JsonBody):
    """Paths of the project; `pathsB64` where they are no text."""

    paths: Annotated[list[Text], Field(default_factory=list, max_length=1000)]
    paths_b64: Annotated[list[str], Field(default_factory=list, max_length=1000, alias="pathsB64")]
    priority: Priority = None

    @property
    def encoded(self) -> list[str]:
        """In base64. Raises InvalidPath."""
        raw = [decode(path, None).raw for path in self.paths] + [decode(None, path).raw for path in self.paths_b64]
        return [b64encode(path).decode("ascii") for path in raw]


class PresignBody(JsonBody):
    size_bytes: Count


class PresignedBody(JsonBody):
    """`ticket`: as the answer with the link had it."""

    size_bytes: Count
    ticket: Short


class PinBody(JsonBody):
    shas: Annotated[list[Sha], Field(max_length=10_000)] | None = None
    until: Moment | None = None


class ProjectJobsQuery(Query):
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Text | None = None
