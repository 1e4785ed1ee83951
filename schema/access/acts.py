"""Administrative acts: what is done to who may do what, and to mounts. They stand in the journal beside the commands."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from schema.ids import MountId
from schema.principals import Principal


class ActKind(StrEnum):
    CREATE_TOKEN = "createToken"  # noqa: S105
    UPDATE_TOKEN = "updateToken"  # noqa: S105
    ROTATE_TOKEN = "rotateToken"  # noqa: S105
    REVOKE_TOKEN = "revokeToken"  # noqa: S105
    CREATE_TENANT = "createTenant"
    UPDATE_TENANT = "updateTenant"
    REMOVE_TENANT = "removeTenant"
    CREATE_MOUNT = "createMount"
    UPDATE_MOUNT = "updateMount"
    REMOVE_MOUNT = "removeMount"
    CHANGE_CREDENTIALS = "changeCredentials"
    FREEZE = "freeze"
    LIFT_FREEZE = "liftFreeze"
    CREATE_HOLD = "createHold"
    EXTEND_HOLD = "extendHold"
    RELEASE_HOLD = "releaseHold"
    EXPORT_TENANT = "exportTenant"
    REQUEST_APPROVAL = "requestApproval"
    APPROVE = "approve"
    REJECT = "reject"
    CREATE_QUOTA = "createQuota"
    UPDATE_QUOTA = "updateQuota"
    REMOVE_QUOTA = "removeQuota"
    PUT_NAMESPACE = "putNamespace"
    REMOVE_NAMESPACE = "removeNamespace"
    CREATE_LINK = "createLink"
    REVOKE_LINK = "revokeLink"
    CREATE_PROJECT = "createProject"
    UPDATE_PROJECT = "updateProject"
    DELETE_PROJECT = "deleteProject"
    COMMIT_PROJECT = "commitProject"
    BEGIN_PROJECT_JOB = "beginProjectJob"
    END_PROJECT_JOB = "endProjectJob"
    MOVE_PROJECT_CONTENTS = "moveProjectContents"
    """Archived, evicted or made hot: who asked for it is in the job's act"""
    PIN_PROJECT_CONTENTS = "pinProjectContents"
    ATTACH_PROJECT_NODE = "attachProjectNode"
    DETACH_PROJECT_NODE = "detachProjectNode"
    FOLLOW_PROJECT = "followProject"
    """A node has materialised a revision"""
    DECIDE_PROJECT_CONFLICTS = "decideProjectConflicts"
    READ_PROJECT_HOT = "readProjectHot"
    """Credentials of the hot store itself were given"""
    BREAK_GLASS = "breakGlass"
    """Credentials were given that can shorten the audit stream of the hot store"""
    READ_CONTENT = "readContent"
    READ_JOURNAL = "readJournal"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministrativeAct:
    """`before` and `after`: the subject as clients read it. No secret is ever in one."""

    kind: ActKind
    tenant: str
    by: Principal
    mount: MountId | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    request_id: str | None = None
    correlation_id: str | None = None
