"""Every way in which a call can fail, as one tree.

    FilestoreError
    ├── Refused              the server said no: `code`, `status`, `details`, `command_id`, `request_id`
    │   ├── one class for each code of the server, below
    │   └── UnknownRefusal   a code that this release does not know
    ├── Unreachable          nothing came back, and nothing was changed
    ├── OutcomeUnknown       a change was sent and nothing came back; `client.again(error)` asks with the same key
    ├── StillRunning         the command goes on at the server; `client.wait(error.command_id)` waits for its end
    ├── Incomplete           a download ended early, or is not the content that was announced
    └── NotOffered           this server has no such route: it is older than this client, or the capability is off

`str(error)` is what happened; `next_step` is what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from filestore_sdk.requests import Request


class FilestoreError(Exception):
    """Something did not work."""

    code: str = "ERROR"
    next_step: str = ""

    def __init__(self, message: str, *, command_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.command_id = command_id


class Unreachable(FilestoreError):
    """The server did not answer, or broke off; nothing was changed by this call."""

    code = "UNREACHABLE"
    next_step = "Look whether the address is right and the server runs (`filestore doctor`), then call again."


class BrokenOff(Unreachable):
    """The connection ended while content was sent: the server has a part of it, and has done nothing with it."""


class OutcomeUnknown(FilestoreError):
    """A change was sent, and its answer did not come: it may have happened, or may happen still."""

    code = "OUTCOME_UNKNOWN"
    next_step = "Ask again with the same key: `client.again(error)`. The change happens at most once."

    def __init__(self, message: str, request: Request, *, command_id: str | None = None) -> None:
        super().__init__(message, command_id=command_id)
        self.request = request


class StillRunning(FilestoreError):
    """The command goes on at the server, longer than this call wanted to wait."""

    code = "STILL_RUNNING"
    next_step = "`client.wait(error.command_id)` waits for its end; it goes on whether anybody waits or not."


class Incomplete(FilestoreError):
    """The bytes that came are not the whole content that was announced."""

    code = "INCOMPLETE"
    next_step = "Call again; a download to a file goes on where it was."


class NotOffered(FilestoreError):
    """This server has no such route."""

    code = "NOT_OFFERED"
    next_step = "Update the server, or switch the capability on there."


class Refused(FilestoreError):
    """The server said no."""

    next_step = "See `details`, and the list of errors in the server's documentation."
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int = 0,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
        command_id: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, command_id=command_id)
        self.code = code or self.code
        self.status = status
        self.details: Mapping[str, Any] = details or {}
        self.retry_after = retry_after
        self.request_id = request_id


class UnknownRefusal(Refused):
    """A refusal with a code that this release of the client does not know."""


class InvalidInput(Refused):
    """What was asked for can not be asked for in this way."""

    next_step = "Correct the request; `details` names what is wrong."


class InvalidPath(InvalidInput):
    code = "INVALID_PATH"
    next_step = "Send names separated by single slashes, without `.`, `..`, a backslash or NUL."


class InvalidRequest(InvalidInput):
    code = "INVALID_REQUEST"


class InvalidChecksum(InvalidInput):
    code = "INVALID_CHECKSUM"
    next_step = "Use sha256, sha1 or md5, as hexadecimal digits."


class NotSupported(InvalidInput):
    code = "NOT_SUPPORTED"
    next_step = "Use another mount, or another way: this kind of mount or node can not do that."


class NotAllowed(Refused):
    """The token may not do that."""

    next_step = "Use a token that may do this; an administrator can make one."


class Unauthenticated(NotAllowed):
    code = "UNAUTHENTICATED"
    next_step = "Give a valid token: FILESTORE_TOKEN, `--token`, or a profile (`filestore config set`)."


class MissingScope(NotAllowed):
    code = "MISSING_SCOPE"


class Forbidden(NotAllowed):
    code = "FORBIDDEN"


class MountReadOnly(NotAllowed):
    code = "MOUNT_READ_ONLY"
    next_step = "Choose another mount, or have this one made writable."


class Missing(Refused):
    """There is nothing at this address."""

    next_step = "Look what is there: `client.children()`, `filestore ls`."


class BackendNotFound(Missing):
    code = "BACKEND_NOT_FOUND"
    next_step = "`client.mounts.list()` names the mounts (`filestore mounts`)."


class NodeNotFound(Missing):
    code = "NODE_NOT_FOUND"


class ParentNotFound(Missing):
    code = "PARENT_NOT_FOUND"
    next_step = "Create the parent directory first, or call with `parents=True`."


class NotFound(Missing):
    code = "NOT_FOUND"


class ContentExpired(Missing):
    code = "CONTENT_EXPIRED"
    next_step = "The content of this version is not kept any more; choose a newer one."


class CursorExpired(Missing):
    code = "CURSOR_EXPIRED"
    next_step = "Read the lists anew, then go on after `details['earliest']`."


class Conflict(Refused):
    """What is there does not let this happen."""

    next_step = "Look at what is there, and decide again."


class NodeExists(Conflict):
    code = "NODE_EXISTS"
    next_step = "Choose another name, or overwrite: nothing was touched."


class NotADirectory(Conflict):
    code = "NOT_A_DIRECTORY"


class ChildrenExist(Conflict):
    code = "CHILDREN_EXIST"
    next_step = "Delete recursively, or empty the directory first."


class IdempotencyConflict(Conflict):
    code = "IDEMPOTENCY_CONFLICT"
    next_step = "This key was used for another request; use a fresh one."


class ExecutorNotFound(Conflict):
    code = "EXECUTOR_NOT_FOUND"


class WrongState(Conflict):
    code = "WRONG_STATE"
    next_step = "Look at the operation's state first; another step is due."


class StaleFinding(Conflict):
    code = "STALE_FINDING"
    next_step = "The place has changed since the finding was shown; look at the new one and decide again."


class StaleRevision(Conflict):
    code = "STALE_REVISION"
    next_step = "Follow the changes of the project, and commit on the head that `details` name."


class ObjectsNeeded(Conflict):
    code = "OBJECTS_NEEDED"
    next_step = "Put the contents that `details` name, then send the same batch again."


class ProjectExists(Conflict):
    code = "PROJECT_EXISTS"
    next_step = "Choose another name for the project."


class VersionConflict(Conflict):
    code = "VERSION_CONFLICT"
    next_step = "The node has changed since; read it again and decide again."


class ChecksumMismatch(Conflict):
    code = "CHECKSUM_MISMATCH"
    next_step = "The content differs from its checksum; nothing was stored. Send the right content."


class NotAttempted(Conflict):
    code = "NOT_ATTEMPTED"
    next_step = "Another command of the list failed, or goes on; send the list again."


class Held(Conflict):
    code = "HELD"
    next_step = "A hold protects this; `details` says by whom, why and until when."


class QuotaExceeded(Conflict):
    code = "QUOTA_EXCEEDED"
    next_step = "Free some space, or have the quota raised."


class Frozen(Conflict):
    code = "FROZEN"
    next_step = "Changes are stopped here for a while; the message says why. Reads go on."


class UpgradeRequired(Refused):
    """The address speaks WebSocket alone."""

    code = "UPGRADE_REQUIRED"
    next_step = "Use `client.events()`, which reads the same."


class TooLarge(Refused):
    """The request is larger than this server accepts."""

    next_step = "Send less at once."


class PayloadTooLarge(TooLarge):
    code = "PAYLOAD_TOO_LARGE"


class UriTooLong(TooLarge):
    code = "URI_TOO_LONG"


class HeadersTooLarge(TooLarge):
    code = "HEADERS_TOO_LARGE"


class Passing(Refused):
    """A refusal that can pass: the very same request, with the same key, can succeed later."""

    next_step = "Try again a little later; the client has done so a few times already."
    retryable = True


class PathBusy(Passing):
    code = "PATH_BUSY"
    next_step = "Another command holds the path; try again when it has ended."


class RequestTooSlow(Passing):
    code = "REQUEST_TOO_SLOW"


class RateLimited(Passing):
    code = "RATE_LIMITED"


class MountOffline(Passing):
    code = "MOUNT_OFFLINE"
    next_step = "The mount is away; try again when it is back (`filestore doctor`)."


class Unavailable(Passing):
    code = "UNAVAILABLE"


class Interrupted(Passing):
    code = "INTERRUPTED"
    next_step = "Its operation was paused or cancelled; resume it, or retry it."


class StageLost(Passing):
    code = "STAGE_LOST"
    next_step = "The content that was sent is gone; send it again."


class Overloaded(Passing):
    code = "OVERLOADED"


class StorageFull(Passing):
    code = "STORAGE_FULL"
    next_step = "Free some space, then try again."


class OutcomeUnknownThere(Passing):
    """The server itself does not know yet how the command ends; the same key joins it."""

    code = "OUTCOME_UNKNOWN"
    next_step = "Ask again with the same key; the change happens at most once."


class InternalError(Refused):
    code = "INTERNAL_SERVER_ERROR"
    next_step = "A defect of the server; `request_id` leads to its log."


def _below(kind: type[Refused]) -> list[type[Refused]]:
    return [kind, *(one for child in kind.__subclasses__() for one in _below(child))]


REFUSALS: Mapping[str, type[Refused]] = {one.code: one for one in _below(Refused) if "code" in vars(one)}
"""The class of each code."""


def refusal(
    status: int,
    error: Mapping[str, Any],
    *,
    retry_after: float | None = None,
    command_id: str | None = None,
    request_id: str | None = None,
) -> Refused:
    """The refusal in an answer: its class by the code, whatever the status is."""
    code = str(error.get("code") or f"HTTP_{status}")
    message = str(error.get("message") or f"The server answered {status}.")
    kind = REFUSALS.get(code, UnknownRefusal)
    details = error.get("details")
    return kind(
        message,
        code=code,
        status=status,
        details=details if isinstance(details, Mapping) else None,
        retry_after=retry_after,
        command_id=command_id,
        request_id=request_id,
    )
