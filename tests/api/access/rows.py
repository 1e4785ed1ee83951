"""For each operation of the document one request about a subject: who may send it, and how it shows that the subject is there.

A route without a row here fails `test_matrix.py`: add one, with the action and the place that it is about.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from schema.access.actions import Action

Place = Literal["path", "mount", "tenant", "open"]
"""What a grant can be about: a path, a whole mount, nothing (the scopes decide), or the route is open to all"""


@dataclass(frozen=True, slots=True)
class Subject:
    """What the requests are about. All of it lies at or below `team` on one mount."""

    mount: int
    directory: int
    file: int
    gone: int
    operation: str
    recompute: int
    upload: str
    token: int
    tenant: str
    namespace: str
    command: str
    hold: int
    link: int = 0
    """Of `team/f`"""
    listing: str = ""
    """What stands in the address of a link to what is in `team`"""
    inbox: str = ""
    """Of one for uploads into `team`"""
    subscription: str = ""
    ended: str = ""
    """A subscription that is removed"""
    finding: int = 0
    """An open one, at `team/f`"""
    look: int = 0
    """One that a brake holds, of `team` and all below it"""
    look_refused: int = 0
    job: int = 0
    freeze: int = 0
    """It has ended: one that holds would keep the other requests from being carried out"""
    freeze_to_lift: int = 0
    approval: int = 0
    """It has ended: an answer is 409"""
    quota: int = 0
    quota_to_remove: int = 0
    metastore: bool = True
    project: str = ""
    project_to_delete: str = ""
    project_node: str = ""
    project_job: str = ""

    @property
    def here(self) -> dict[str, Any]:
        return {"backendMountId": self.mount}

    @property
    def ids(self) -> dict[str, Any]:
        """What stands in for an id in each address."""
        return {
            "/v1/tokens/": self.token, "/v1/tenants/": self.tenant, "/v1/uploads/": self.upload,
            "/v1/backend-mounts/": self.mount, "/v1/operations/": self.operation, "/v1/rollups/recomputes/": self.recompute,
            "/v1/metastore/records/": self.file, "/v1/commands/": self.command, "/v1/nodes/": self.file,
            "/v1/files/": self.file, "/v1/holds/": self.hold, "/v1/links/": self.link,
            "/v1/drift/looks/": self.look, "/v1/drift/": self.finding,
            "/v1/reconciliation/jobs/": self.job, "/v1/freeze/": self.freeze_to_lift,
            "/v1/quotas/": self.quota, "/v1/approvals/": self.approval,
        }  # fmt: skip


Sent = Mapping[str, Any]
NOTHING: Sent = {}


@dataclass(frozen=True, slots=True)
class MatrixRow:
    action: Action
    place: Place = "path"
    sends: Callable[[Subject], Sent] = field(default=lambda subject: NOTHING)
    lists: Callable[[Subject, str], bool] | None = None
    """Of a list: whether the subject is in this answer. None: the answer is about the subject alone, or is refused"""
    scopes: tuple[str, ...] = ()
    """Those that are needed, where one is not enough"""
    id: Callable[[Subject], object] | None = None


def _body(**body: Any) -> Callable[[Subject], Sent]:
    return lambda subject: {"json": subject.here | body}


def _json(**body: Any) -> Callable[[Subject], Sent]:
    return lambda subject: {"json": body}


def _query(**query: Any) -> Callable[[Subject], Sent]:
    return lambda subject: {"params": subject.here | query}


def _names(path: str) -> Callable[[Subject, str], bool]:
    return lambda subject, text: f'"path":"{path}"' in text.replace(" ", "")


_FORM = {"path": "team/new"}
_MOVE = _body(path="team/f", targetPath="team/g")
_MOVES = ("filestore:delete", "filestore:write")
_RESTORE = _body(path="team/gone")
_META = _body(nodeId=None, path="team/f", set={"a": 1})
_TUS = {"tus-resumable": "1.0.0"}


def _upload(subject: Subject) -> Sent:
    return {"data": {**_FORM, "backendMountId": str(subject.mount)}, "files": {"file": ("n", b"1")}}


def _announce(subject: Subject) -> Sent:
    import base64

    told = {"backendMountId": str(subject.mount), "path": "team/new"}
    text = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in told.items())
    return {"headers": {**_TUS, "upload-length": "1", "upload-metadata": text}}


def _presigned(subject: Subject) -> Sent:
    return {"json": subject.here | {"path": "team/new", "sizeBytes": 1, "contentHash": f"sha256:{'0' * 64}"}}


def _chunk(subject: Subject) -> Sent:
    return {
        "headers": {**_TUS, "upload-offset": "0", "content-type": "application/offset+octet-stream"},
        "content": b"1",
    }


def _override(subject: Subject) -> Sent:
    return {"headers": {**_TUS, "x-http-method-override": "HEAD"}}


def _batch(subject: Subject) -> Sent:
    return {"json": {"commands": [{"command": "createDirectory", "path": "team/new", **subject.here}]}}


def _batched(subject: Subject, text: str) -> bool:
    return bool(json.loads(text)["data"]["results"][0]["status"] < 400)


def _of(id: Callable[[Subject], object], **more: Any) -> dict[str, Any]:
    return {"id": id, **more}


def _tokens(subject: Subject, text: str) -> bool:
    return f'"id":{subject.token},' in text.replace(" ", "")


def _tenants(subject: Subject) -> Sent:
    return {"json": {"id": f"t{uuid.uuid4().hex[:8]}"}}


def _namespace(subject: Subject) -> Sent:
    return {"json": {"name": f"n{uuid.uuid4().hex[:8]}"}}


def _mounts(subject: Subject, text: str) -> bool:
    return f'"id":{subject.mount},' in text.replace(" ", "")


def _operations(subject: Subject, text: str) -> bool:
    return subject.operation in text


def _steered(subject: Subject) -> Sent:
    return {"json": {"selection": {"ids": [subject.operation]}, "reason": "why"}}


def _freeze(subject: Subject) -> Sent:
    """The one that has ended, once more: it refuses nothing that is asked later."""
    return {"json": {"scope": subject.here, "reason": "why", "idempotencyKey": f"freeze of {subject.mount}"}}


def _freezes(subject: Subject, text: str) -> bool:
    return any(one["id"] == subject.freeze for one in json.loads(text)["data"]["freezes"])


def _held_looks(subject: Subject, text: str) -> bool:
    return any(one["id"] == subject.look for one in json.loads(text)["data"]["looks"])


def _links(subject: Subject, text: str) -> bool:
    return any(one["id"] == subject.link for one in json.loads(text)["data"]["links"])


def _findings(subject: Subject, text: str) -> bool:
    return any(one["id"] == subject.finding for one in json.loads(text)["data"]["findings"])


def _quotas(subject: Subject, text: str) -> bool:
    return any(one["id"] == subject.quota for one in json.loads(text)["data"]["quotas"])


def _jobs(subject: Subject, text: str) -> bool:
    shown = json.loads(text)["data"]
    return bool(shown["jobs"] or shown["pagination"]["total"])


def _project(subject: Subject) -> Sent:
    return {"json": subject.here | {"name": f"p{uuid.uuid4().hex[:8]}"}}


def _projects(subject: Subject, text: str) -> bool:
    return subject.project in text


def _node(subject: Subject) -> dict[str, str]:
    return {"name": subject.project_node, "host": "h", "folder": "/f"}


_CREATE = MatrixRow("write", sends=_body(path="team/new"))
_DELETE = MatrixRow("delete", sends=_body(path="team/f"))
_STEERED = MatrixRow("operate", sends=lambda subject: {"json": {}})
_SUBSCRIBED: Mapping[str, dict[str, Any]] = {
    "getSubscription": {}, "updateSubscription": {"state": "paused"}, "listDeliveries": {},
    "redriveDeliveries": {}, "replaySubscription": {"after": "0"}, "rotateSubscriptionSecret": {},
    "testSubscription": {},
}  # fmt: skip
_AS_WAS = {"from": "2026-01-01T00:00:00Z"}

ROWS: Mapping[str, MatrixRow] = {
    "createToken": MatrixRow("tokens", "tenant", lambda subject: {"json": {"principal": "x", "scopes": []}}),
    "listTokens": MatrixRow("tokens", "tenant", lambda subject: {"params": {"limit": 100}}, _tokens),
    "getToken": MatrixRow("tokens", "tenant"),
    "updateToken": MatrixRow("tokens", "tenant", lambda subject: {"json": {"description": "d"}}),
    "rotateToken": MatrixRow("tokens", "tenant", lambda subject: {"json": {}}),
    "revokeToken": MatrixRow("tokens", "tenant"),
    "createTenant": MatrixRow("tokens", "tenant", _tenants),
    "listTenants": MatrixRow("tokens", "tenant"),
    "getTenant": MatrixRow("tokens", "tenant"),
    "updateTenant": MatrixRow("tokens", "tenant", lambda subject: {"json": {"displayName": "d"}}),
    "removeTenant": MatrixRow("tokens", "tenant"),
    "exportTenant": MatrixRow("tokens", "tenant"),
    "uploadFile": MatrixRow("write", sends=_upload),
    "writeFile": MatrixRow("write", sends=lambda subject: {"params": subject.here | _FORM, "content": b"1"}),
    "presignUpload": MatrixRow("write", sends=_presigned),
    "completeUpload": MatrixRow("write"),
    "uploadOptions": MatrixRow("read", "tenant"),
    "createUpload": MatrixRow("write", sends=_announce),
    "continueUpload": MatrixRow("write", sends=_chunk),
    "headUpload": MatrixRow("write", sends=lambda subject: {"headers": _TUS}),
    "getUpload": MatrixRow("write"),
    "terminateUpload": MatrixRow("write", sends=lambda subject: {"headers": _TUS}),
    "overrideMethod": MatrixRow("write", sends=_override),
    "createDirectory": _CREATE,
    "deleteNode": _DELETE,
    "moveNode": MatrixRow("move", sends=_MOVE, scopes=_MOVES),
    "copyNode": MatrixRow("write", sends=_body(path="team/f", targetPath="team/g")),
    "restoreNode": MatrixRow("restore", sends=_RESTORE),
    "updateNodeMetadata": MatrixRow("describe", sends=lambda subject: {"json": subject.here | {"set": {"a": 1}}}),
    "listNodes": MatrixRow("read", sends=_query(), lists=_names("team/f")),
    "getNodeByPath": MatrixRow("read", sends=_query(path="team/f")),
    "getNode": MatrixRow("read"),
    "listChildren": MatrixRow("read", id=lambda subject: subject.directory),
    "getTree": MatrixRow("read", sends=_query(path="team")),
    "getDiff": MatrixRow("read", sends=_query(path="team", **_AS_WAS)),
    "listTrash": MatrixRow("read", sends=_query(), lists=_names("team/f")),
    "getFileContent": MatrixRow("read"),
    "presignFile": MatrixRow("read"),
    "listSnapshots": MatrixRow("read"),
    "listMounts": MatrixRow("read", "mount", lambda subject: {"params": {"limit": 100}}, _mounts),
    "getMount": MatrixRow("read", "mount"),
    "createMount": MatrixRow("mounts", "tenant", lambda subject: {"json": {}}),
    "updateMount": MatrixRow("mounts", "mount", lambda subject: {"json": {}}),
    "removeMount": MatrixRow("mounts", "mount"),
    "changeMountCredentials": MatrixRow("credentials", "mount", lambda subject: {"json": {"accessKeyId": "x"}}),
    "createLink": MatrixRow("share", sends=_body(path="team/f", kind="read")),
    "listLinks": MatrixRow("share", lists=_links),
    "getLink": MatrixRow("share"),
    "revokeLink": MatrixRow("share"),
    "openLink": MatrixRow("read", "open"),
    "uploadThroughLink": MatrixRow("write", "open", lambda subject: {"content": b"1"}),
    "verifyAudit": MatrixRow("audit", "tenant"),
    "listJournal": MatrixRow("read", sends=_query(), lists=_names("team/f")),
    "streamEvents": MatrixRow(
        "read", "mount", lambda subject: {"params": subject.here, "headers": {"last-event-id": "none"}}
    ),
    "openEventSocket": MatrixRow("read", "mount", lambda subject: {"params": subject.here}),
    "listSnapshotOfNodes": MatrixRow("read", sends=_query(limit=1000), lists=_names("team/f")),
    "listEvents": MatrixRow("read", sends=_query(limit=1000), lists=_names("team/f")),
    "createOperation": MatrixRow(
        "operate", sends=_body(kind="delete", path="team"), scopes=("filestore:operate", "filestore:delete")
    ),
    "listOperations": MatrixRow("read", lists=_operations),
    "getOperation": MatrixRow("read"),
    "listOperationItems": MatrixRow("read"),
    "followOperation": MatrixRow("read"),
    **dict.fromkeys(
        ("applyOperation", "pauseOperation", "resumeOperation", "cancelOperation", "retryOperation", "undoOperation"),
        _STEERED,
    ),
    "limitOperation": MatrixRow("operate", sends=lambda subject: {"json": {"options": {"concurrency": 1}}}),
    "recomputeRollups": MatrixRow("reconcile", sends=_body(path="team")),
    "getRollupRecompute": MatrixRow("read"),
    "getMetastore": MatrixRow("read", "tenant"),
    "getRecord": MatrixRow("read"),
    "putRecord": MatrixRow("write", sends=lambda subject: {"json": {"tags": ["a"]}}),
    "patchRecord": MatrixRow("write", sends=lambda subject: {"json": {"addTags": ["b"]}}),
    "deleteRecord": MatrixRow("write"),
    "getRecordHistory": MatrixRow("read"),
    "searchRecords": MatrixRow("read", sends=_body(tags=["found"]), lists=_names("team/f")),
    "listNamespaces": MatrixRow("read", "tenant"),
    "getNamespace": MatrixRow("read", "tenant"),
    "createNamespace": MatrixRow("mounts", "tenant", _namespace),
    "putNamespace": MatrixRow("mounts", "tenant", lambda subject: {"json": {}}),
    "deleteNamespace": MatrixRow("mounts", "tenant"),
    "runCommands": MatrixRow("write", sends=_batch, lists=_batched),
    "createDirectoryCommand": _CREATE,
    "deleteNodeCommand": _DELETE,
    "moveNodeCommand": MatrixRow("move", sends=_MOVE, scopes=_MOVES),
    "copyNodeCommand": MatrixRow("write", sends=_body(path="team/f", targetPath="team/g")),
    "updateNodeMetadataCommand": MatrixRow("describe", sends=_body(path="team/f", set={"a": 1})),
    "restoreNodeCommand": MatrixRow("restore", sends=_RESTORE),
    "getCommand": MatrixRow("read"),
    "notifyS3": MatrixRow("reconcile", "tenant", lambda subject: {"json": {"Records": []}}),
    "createSubscription": MatrixRow("operate", "tenant", lambda subject: {"json": {"url": "https://example.org/"}}),
    "listSubscriptions": MatrixRow("operate", "tenant"),
    "deleteSubscription": MatrixRow("operate", "tenant", id=lambda subject: subject.ended),
    **{
        name: MatrixRow("operate", "tenant", _json(**body), id=lambda subject: subject.subscription)
        for name, body in _SUBSCRIBED.items()
    },
    **dict.fromkeys(
        (
            "timestoreGrowth",
            "timestoreChurn",
            "timestoreHot",
            "timestoreLargest",
            "timestoreOldest",
            "timestorePrincipals",
            "timestoreCommands",
            "timestoreFailures",
            "timestoreLag",
            "timestoreDuplicates",
            "timestoreForecast",
        ),
        MatrixRow("read", sends=_query(path="team")),
    ),
    "getTimestore": MatrixRow("read", "tenant"),
    "timestoreSql": MatrixRow(
        "audit", "tenant", lambda subject: {"json": {"sql": "SELECT 1"}}, scopes=("filestore:admin",)
    ),
    **dict.fromkeys(
        ("pauseOperations", "resumeOperations", "cancelOperations", "retryOperations"),
        MatrixRow("operate", sends=_steered, lists=_operations),
    ),
    "undoCommand": MatrixRow("operate", sends=_json(planOnly=True)),
    "reconcile": MatrixRow("reconcile", sends=_body(path="team/f")),
    "listReconciliations": MatrixRow("read", sends=_query(), lists=_jobs),
    "getReconciliation": MatrixRow("read"),
    "getMountPolicy": MatrixRow("read", "mount"),
    "putMountPolicy": MatrixRow("mounts", "mount", _json(phase="observe")),
    "listMountSchedules": MatrixRow("read", "mount"),
    "steerMountSchedule": MatrixRow(
        "mounts", "mount", lambda subject: {"json": {"id": f"trash/{subject.mount}", "action": "run"}}
    ),
    "getMountConsistency": MatrixRow("read", sends=lambda subject: {"params": {"path": "team"}}),
    "listFindings": MatrixRow("read", sends=_query(), lists=_findings),
    "getFinding": MatrixRow("read"),
    "decideFindings": MatrixRow(
        "reconcile",
        sends=lambda subject: {
            "json": {"ids": [{"id": subject.finding, "version": 1}], "decision": "ignore", "planOnly": True}
        },
    ),
    "listHeldLooks": MatrixRow("read", sends=_query(), lists=_held_looks),
    "releaseLook": MatrixRow("reconcile"),
    "refuseLook": MatrixRow("reconcile", id=lambda subject: subject.look_refused),
    "freeze": MatrixRow("mounts", "mount", _freeze),
    "listFreezes": MatrixRow("read", "mount", lambda subject: {"params": {"past": "true", "limit": 100}}, _freezes),
    "liftFreeze": MatrixRow("mounts", "mount"),
    "createHold": MatrixRow("mounts", sends=_body(path="team/f", reason="why")),
    "listHolds": MatrixRow("read", sends=_query(), lists=_names("team/held")),
    "getHold": MatrixRow("read"),
    "extendHold": MatrixRow("mounts", sends=lambda subject: {"json": {"until": "2099-01-01T00:00:00Z"}}),
    "releaseHold": MatrixRow("mounts"),
    "createQuota": MatrixRow("mounts", sends=_body(path="team/f", maxBytes=10**15)),
    "listQuotas": MatrixRow("read", sends=_query(limit=100), lists=_quotas),
    "getQuota": MatrixRow("read"),
    "updateQuota": MatrixRow("mounts", sends=_json(softBytes=10**15)),
    "removeQuota": MatrixRow("mounts", id=lambda subject: subject.quota_to_remove),
    "listApprovals": MatrixRow("read", "tenant"),
    "getApproval": MatrixRow("read", "tenant"),
    "approve": MatrixRow("read", "tenant", _json()),
    "reject": MatrixRow("read", "tenant", _json()),
    "createProject": MatrixRow("mounts", "mount", _project),
    "listProjects": MatrixRow("read", "mount", lambda subject: {"params": {"limit": 200}}, _projects),
    **dict.fromkeys(
        (
            "getProject",
            "listSyncNodes",
            "listProjectChanges",
            "getProjectTree",
            "listCommits",
            "listConflicts",
            "getObject",
        ),
        MatrixRow("read", "mount"),
    ),
    **dict.fromkeys(("listProjectJobs", "getProjectMetrics"), MatrixRow("read", "mount")),
    **dict.fromkeys(
        (
            "promoteProject",
            "evictProject",
            "repairProject",
            "resyncProject",
            "collectProject",
            "deactivateProject",
            "reactivateProject",
            "pinProject",
            "unpinProject",
            "cancelProjectJob",
        ),
        MatrixRow("operate", "mount", lambda subject: {"json": {}}),
    ),
    "createProjectLink": MatrixRow("share", "mount", _json(path="f")),
    "createProjectCredentials": MatrixRow("read", "mount", _json()),
    "getObjects": MatrixRow("read", "mount", _json(shas=[])),
    "updateProject": MatrixRow("mounts", "mount", lambda subject: {"json": {}}),
    "deleteProject": MatrixRow("mounts", "mount"),
    "attachNode": MatrixRow("write", "mount", lambda subject: {"json": _node(subject)}),
    "beatNode": MatrixRow("write", "mount", lambda subject: {"json": {}}),
    "detachNode": MatrixRow("write", "mount"),
    "intendUpload": MatrixRow("write", "mount", _json(shas=[])),
    "putObject": MatrixRow("write", "mount", lambda subject: {"content": b"content"}),
    "presignObject": MatrixRow("write", "mount", _json(sizeBytes=7)),
    "completeObject": MatrixRow("write", "mount", _json(sizeBytes=7, ticket="0" * 12)),
    "putObjects": MatrixRow("write", "mount", lambda subject: {"content": b""}),
    "commitProject": MatrixRow("write", "mount", _json(changes=[{"kind": "mkdir", "path": "d"}])),
    "decideConflicts": MatrixRow("write", "mount", _json(ids=[1], decision="winner")),
    "health": MatrixRow("read", "open"),
    "ready": MatrixRow("read", "open"),
    "metrics": MatrixRow("read", "open"),
}
