"""Every refusal this service can give, as one tree.

    FilestoreError
    ├── InvalidPath, InvalidRequest, InvalidChecksum, NotSupported            400
    ├── Unauthenticated                                                       401
    ├── MissingScope, Forbidden, MountReadOnly                                403
    ├── BackendNotFound, NodeNotFound, ParentNotFound, NotFound               404
    ├── RequestTooSlow                                                        408
    ├── NodeExists, NotADirectory, ChildrenExist, IdempotencyConflict,
    │   ExecutorNotFound, PathBusy, WrongState, StaleFinding,
    │   StaleRevision, ObjectsNeeded, ProjectExists                           409
    ├── ContentExpired, CursorExpired                                         410
    ├── VersionConflict                                                       412
    ├── PayloadTooLarge                                                       413
    ├── UriTooLong                                                            414
    ├── ChecksumMismatch                                                      422
    ├── Frozen, ContentHeld                                                   423
    ├── NotAttempted                                                          424
    ├── UpgradeRequired                                                       426
    ├── RateLimited                                                           429
    ├── HeadersTooLarge                                                       431
    ├── MountOffline, Unavailable, OutcomeUnknown, StageLost, Overloaded,
    │   Interrupted                                                           503
    └── StorageFull, QuotaExceeded                                            507

The docstring of a class is its default message: what happened, then what to do next. `retryable` says whether the very
same request can succeed later; a retryable failure is journaled, and the same key opens the next attempt of the command.
"""

import errno
import re
from collections.abc import Mapping
from typing import ClassVar


class FilestoreError(Exception):
    """The request could not be carried out."""

    code: ClassVar[str] = "INTERNAL_SERVER_ERROR"
    retryable: ClassVar[bool] = False
    retry_after_seconds: ClassVar[int | None] = None

    def __init__(self, message: str | None = None, **details: object) -> None:
        self.message = message or " ".join((self.__doc__ or self.code).split())
        self.details: Mapping[str, object] | None = details or None
        super().__init__(self.message)


class InvalidPath(FilestoreError):
    """The path is not one a mount can hold. Send names separated by single slashes, without '.', '..' or NUL."""

    code = "INVALID_PATH"


class InvalidRequest(FilestoreError):
    """The request is malformed. See `details` for the field, and /docs for the shape."""

    code = "INVALID_REQUEST"


class InvalidChecksum(FilestoreError):
    """The algorithm of the checksum is none of `sha256`, `sha1` and `md5`; send one of these, or a plain SHA-256."""

    code = "INVALID_CHECKSUM"


class NotSupported(FilestoreError):
    """This kind of mount or node can not do that."""

    code = "NOT_SUPPORTED"


class Unauthenticated(FilestoreError):
    """Send a valid token as `Authorization: Bearer <token>`."""

    code = "UNAUTHENTICATED"


class MissingScope(FilestoreError):
    """The token lacks the scope this route needs. Ask an administrator for a token that has it."""

    code = "MISSING_SCOPE"


class Forbidden(FilestoreError):
    """This path is reserved for Filestore itself."""

    code = "FORBIDDEN"


class MountReadOnly(FilestoreError):
    """The mount is read-only. Choose another mount, or ask an administrator to make it writable."""

    code = "MOUNT_READ_ONLY"


class BackendNotFound(FilestoreError):
    """There is no mount with this id. GET /v1/backend-mounts lists them."""

    code = "BACKEND_NOT_FOUND"


class NodeNotFound(FilestoreError):
    """There is no such file or directory."""

    code = "NODE_NOT_FOUND"


class ParentNotFound(FilestoreError):
    """The parent directory does not exist. Create it first with POST /v1/directories."""

    code = "PARENT_NOT_FOUND"


class NotFound(FilestoreError):
    """There is nothing at this address."""

    code = "NOT_FOUND"


class RequestTooSlow(FilestoreError):
    """The body came too slowly, so the connection was closed. Send the request again, a resumable upload from its offset."""

    code = "REQUEST_TOO_SLOW"
    retryable = True
    retry_after_seconds = 1


class NodeExists(FilestoreError):
    """The name is taken. Choose another one, or send `overwrite` to replace a file."""

    code = "NODE_EXISTS"


class NotADirectory(FilestoreError):
    """The operation needs a node of the other kind: a file where there is a directory, or the reverse."""

    code = "NOT_A_DIRECTORY"


class ChildrenExist(FilestoreError):
    """The directory is not empty. Delete what it holds first."""

    code = "CHILDREN_EXIST"


class IdempotencyConflict(FilestoreError):
    """This idempotency key was used for another request. Use a fresh key for a new request."""

    code = "IDEMPOTENCY_CONFLICT"


class ExecutorNotFound(FilestoreError):
    """No executor of this process serves the mount."""

    code = "EXECUTOR_NOT_FOUND"


class PathBusy(FilestoreError):
    """Another command works on this path. Try again shortly with the same key."""

    code = "PATH_BUSY"
    retryable = True
    retry_after_seconds = 1


class WrongState(FilestoreError):
    """What was asked for does not fit the state. Look at the state, and ask for what fits it."""

    code = "WRONG_STATE"


class StaleFinding(FilestoreError):
    """What lies there is not what this finding says any more. Look at the finding as it is now, and decide again."""

    code = "STALE_FINDING"


class StaleRevision(FilestoreError):
    """The project has another revision by now than this commit was made on. Follow its changes, and commit on its head."""

    code = "STALE_REVISION"


class ObjectsNeeded(FilestoreError):
    """The commit names contents that no store has. Put those of `details`, then send the same batch again."""

    code = "OBJECTS_NEEDED"


class ProjectExists(FilestoreError):
    """A project of this name is there already. Choose another name."""

    code = "PROJECT_EXISTS"


class ContentExpired(FilestoreError):
    """The content of this version is no longer kept."""

    code = "CONTENT_EXPIRED"


class CursorExpired(FilestoreError):
    """Events after this position are not kept any more and were not seen. Read the lists anew, then go on with after=earliest."""

    code = "CURSOR_EXPIRED"


class VersionConflict(FilestoreError):
    """The node has changed since the version you named. Read it again and decide anew."""

    code = "VERSION_CONFLICT"


class PayloadTooLarge(FilestoreError):
    """The request is larger than this server accepts."""

    code = "PAYLOAD_TOO_LARGE"


class UriTooLong(FilestoreError):
    """The address is longer than this server accepts. Send what is longer in the body."""

    code = "URI_TOO_LONG"


class ChecksumMismatch(FilestoreError):
    """The content does not have the checksum that came with it. Nothing was stored; send it again."""

    code = "CHECKSUM_MISMATCH"


class Frozen(FilestoreError):
    """An administrator has frozen this mount: nothing is changed on it now. Send the same key again when it is lifted."""

    code = "FROZEN"
    retryable = True
    retry_after_seconds = 30


class ContentHeld(FilestoreError):
    """What would be taken away is held. `details` say by whom, why and until when; wait, or ask for its release."""

    code = "HELD"


class NotAttempted(FilestoreError):
    """An earlier command of this list failed, so this one was not attempted. Nothing was changed by it."""

    code = "NOT_ATTEMPTED"


class UpgradeRequired(FilestoreError):
    """This address speaks WebSocket alone. Open it as a WebSocket, or read GET /v1/events/stream."""

    code = "UPGRADE_REQUIRED"


class RateLimited(FilestoreError):
    """Too many commands are waiting for this mount. Slow down and send the same key again."""

    code = "RATE_LIMITED"
    retryable = True
    retry_after_seconds = 1


class HeadersTooLarge(FilestoreError):
    """The headers are larger, or more, than this server accepts. Send what is longer in the body."""

    code = "HEADERS_TOO_LARGE"


class MountOffline(FilestoreError):
    """The mount is not reachable, or another disk stands in its place. Nothing was changed."""

    code = "MOUNT_OFFLINE"
    retryable = True
    retry_after_seconds = 10


class Unavailable(FilestoreError):
    """A server this service depends on is not reachable. Nothing was changed; send the same key again."""

    code = "UNAVAILABLE"
    retryable = True
    retry_after_seconds = 2


class Interrupted(FilestoreError):
    """The operation was paused or cancelled while this item was prepared. Nothing was changed; it goes on with the operation."""

    code = "INTERRUPTED"
    retryable = True
    retry_after_seconds = 2


class OutcomeUnknown(FilestoreError):
    """The outcome is not known yet. Send the same key again: it joins this command and never repeats it."""

    code = "OUTCOME_UNKNOWN"
    retryable = True
    retry_after_seconds = 2


class StageLost(FilestoreError):
    """The staged content is gone. Send the same key and content again."""

    code = "STAGE_LOST"
    retryable = True
    retry_after_seconds = 1


class Overloaded(FilestoreError):
    """This server has as much to do as it can. Nothing was changed; send the same request again shortly."""

    code = "OVERLOADED"
    retryable = True
    retry_after_seconds = 2


class StorageFull(FilestoreError):
    """The storage behind the mount is full. Nothing was changed; free some space and send the same key again."""

    code = "STORAGE_FULL"
    retryable = True
    retry_after_seconds = 30


class QuotaExceeded(FilestoreError):
    """There would be more here than a quota allows. Nothing was changed; free some space, or ask for a larger quota."""

    code = "QUOTA_EXCEEDED"
    retryable = True
    retry_after_seconds = 30


def _tree(root: type[FilestoreError]) -> list[type[FilestoreError]]:
    return [kind for child in root.__subclasses__() for kind in (child, *_tree(child))]


BY_CODE: Mapping[str, type[FilestoreError]] = {kind.code: kind for kind in _tree(FilestoreError)}


def from_code(code: str, message: str | None = None, details: Mapping[str, object] | None = None) -> FilestoreError:
    """The error a stored code stands for; an unknown code (from a newer release) keeps its message."""
    error = BY_CODE.get(code, FilestoreError)(message)
    error.details = details
    return error


_TROUBLE: Mapping[int, str] = {
    errno.EMFILE: "This process has no file descriptor left. Nothing was changed; send the same key again.",
    errno.ENFILE: "This machine has no file descriptor left. Nothing was changed; send the same key again.",
    errno.EIO: "The disk reports an input/output error. Send the same key again when it works.",
}


def of_the_machine(error: BaseException) -> Unavailable | None:
    """What a client hears of an error that the machine has, whatever was asked of it. None: it is another one."""
    cause = _TROUBLE.get(error.errno or 0) if isinstance(error, OSError) else None
    return None if cause is None else Unavailable(cause)


def name_of(kind: type[FilestoreError]) -> str:
    """The class name as words, for titles: `NodeExists` -> "Node exists"."""
    words = re.sub(r"(?<!^)([A-Z])", r" \1", kind.__name__)
    return words[0] + words[1:].lower()
