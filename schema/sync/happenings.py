"""What happens in a project, as events: the service's one feed has them, `fs.events.>` of the hot store gets them from it."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from schema.events import EventType
from schema.sync.changes import ChangeKind
from schema.sync.commits import AppliedChange, Conflicting

Happening = tuple[str, Mapping[str, Any]]
INBOX = "inbox"
"""The node by whose name decisions on conflicts are committed"""


class NamedProject(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def uuid(self) -> str: ...
    @property
    def mount(self) -> int: ...


SUBJECTS: Mapping[str, str] = {
    EventType.OBJECT_CREATED: "fs.events.object.created",
    EventType.OBJECT_ARCHIVED: "fs.events.object.archived",
    EventType.OBJECT_EVICTED: "fs.events.object.evicted",
    EventType.OBJECT_REHYDRATED: "fs.events.object.rehydrated",
    EventType.PATH_CREATED: "fs.events.path.created",
    EventType.PATH_UPDATED: "fs.events.path.updated",
    EventType.PATH_DELETED: "fs.events.path.deleted",
    EventType.PATH_MOVED: "fs.events.path.moved",
    EventType.PROJECT_CHANGED: "fs.events.project.current_changed",
    EventType.PROJECT_CONFLICT: "fs.events.project.conflict",
    EventType.PROJECT_STATE: "fs.events.project.state",
}
"""By type, where in the hot store it is told"""
NAMES: Mapping[str, str] = {
    EventType.OBJECT_CREATED: "ObjectCreated",
    EventType.OBJECT_ARCHIVED: "ObjectArchived",
    EventType.OBJECT_EVICTED: "ObjectEvicted",
    EventType.OBJECT_REHYDRATED: "ObjectRehydrated",
    EventType.PATH_CREATED: "PathCreated",
    EventType.PATH_UPDATED: "PathUpdated",
    EventType.PATH_DELETED: "PathDeleted",
    EventType.PATH_MOVED: "PathMoved",
    EventType.PROJECT_CHANGED: "ProjectCurrentChanged",
    EventType.PROJECT_CONFLICT: "ProjectConflict",
    EventType.PROJECT_STATE: "ProjectStateChanged",
}
"""By type, as people call it"""


def _about(project: NamedProject, type: EventType, **more: Any) -> Happening:
    return type.value, {
        "event": NAMES[type], "project": project.name, "projectId": project.uuid, "backendMountId": project.mount, **more,
    }  # fmt: skip


def object_event(project: NamedProject, type: EventType, sha: str, size: int, **more: Any) -> Happening:
    return _about(project, type, sha=sha, sizeBytes=size, **more)


def path_events(
    project: NamedProject, revision: int, node: str, principal: str, applied: Sequence[AppliedChange]
) -> list[Happening]:
    """In the order in which a commit changed them."""
    return [_path_event(project, revision, node, principal, one) for one in applied]


def _path_event(project: NamedProject, revision: int, node: str, principal: str, one: AppliedChange) -> Happening:
    entry = one.entry or one.before
    told: dict[str, Any] = {
        "revision": revision,
        "node": node,
        "principal": principal,
        **shown_path("projectPath", one.path),
    }
    if entry is not None:
        told |= {"kind": entry.kind.value, "mode": entry.mode}
        told |= {} if entry.directory else {"sha": entry.sha, "sizeBytes": entry.size}
    if one.source is not None:
        told |= shown_path("projectSource", one.source)
    if one.before is not None and one.before.sha:
        told["beforeSha"] = one.before.sha
    return _about(project, _type_of(one), **told)


def _type_of(one: AppliedChange) -> EventType:
    if one.kind is ChangeKind.DELETE:
        return EventType.PATH_DELETED
    if one.kind is ChangeKind.MOVE:
        return EventType.PATH_MOVED
    return EventType.PATH_CREATED if one.before is None else EventType.PATH_UPDATED


def current_changed(project: NamedProject, revision: int, manifest: str, node: str, principal: str) -> Happening:
    told = {"revision": revision, "manifestSha": manifest, "node": node, "principal": principal}
    return _about(project, EventType.PROJECT_CHANGED, **told)


def conflict_event(project: NamedProject, conflict: Conflicting, revision: int) -> Happening:
    told = {"revision": revision, "winnerSha": conflict.winner.sha, "loserSha": conflict.loser.sha}
    kept = shown_path("keptAs", conflict.kept_as) if conflict.kept_as is not None else {}
    return _about(project, EventType.PROJECT_CONFLICT, **told, **shown_path("projectPath", conflict.path), **kept)


def state_changed(project: NamedProject, state: str, principal: str) -> Happening:
    return _about(project, EventType.PROJECT_STATE, state=state, principal=principal)


def cloud_event(position: int, tenant: str, type: str, data: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """CloudEvents 1.0, structured. `sequence` rises through all events of the service."""
    return {
        "specversion": "1.0", "id": str(position), "source": f"/tenants/{tenant}/projects/{data['project']}", "type": type,
        "subject": data.get("projectPath") or data.get("sha") or data["project"], "time": at.isoformat(),
        "datacontenttype": "application/json", "sequence": f"{position:020d}", "actor": data.get("principal", ""),
        "data": dict(data),
    }  # fmt: skip


def shown_path(field: str, path: bytes) -> dict[str, str]:
    """As JSON has it: exact beside the text where the bytes are none."""
    try:
        return {field: path.decode("utf-8")}
    except UnicodeDecodeError:
        exact = base64.b64encode(path).decode("ascii")
        return {field: path.decode("utf-8", "replace"), f"{field}B64": exact}
