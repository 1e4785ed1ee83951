"""Every kind of command that a JSON body can ask for. A line here and a model are a route of its own, a place in lists of
commands, and what the documentation says about both."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from api.commands import parse as submissions
from api.commands.bodies import CommandBody, Deletion, NewDirectory, NodeMetadata, Relocation, Restoration
from api.commands.parse import Asker
from api.commands.shapes import CommandOutcome, PendingCommand
from api.http import openapi
from api.submission import Submission
from schema.commands.command import CommandKind


@dataclass(frozen=True, slots=True)
class CommandEntry:
    kind: CommandKind
    name: str
    """In `POST /v1/commands/<name>`"""
    body: type[CommandBody]
    submission: Callable[[Asker, Any], Awaitable[Submission]]
    """From a body of that type"""
    success: int
    """Status of the first good answer; 201 becomes 200 where the command replaced something"""
    summary: str
    description: str
    example: Mapping[str, Any]
    refusals: tuple[str, ...]
    """Beyond those that every command can meet"""


_TAKEN = ("NODE_EXISTS", "NOT_A_DIRECTORY", "PARENT_NOT_FOUND")
_EXISTING = ("NODE_NOT_FOUND", "VERSION_CONFLICT")

CREATE_DIRECTORY = CommandEntry(
    CommandKind.CREATE_DIRECTORY, "create-directory", NewDirectory, submissions.create_directory, 201,
    "Create a directory", "Its parent must exist. The same key again answers 200 with the same outcome.",
    {"backendMountId": 1, "path": "reports/2026", "metadata": {"owner": "finance"}}, _TAKEN,
)  # fmt: skip
DELETE = CommandEntry(
    CommandKind.DELETE, "delete", Deletion, submissions.delete, 200,
    "Delete a file or a directory",
    "What it held goes to the trash until its retention ends, and can be restored. A directory that is not empty needs "
    "`recursive`: then all below it goes along, in one step. Deleting what is deleted already is no error.",
    {"backendMountId": 1, "path": "reports/2025", "recursive": True}, (*_EXISTING, "CHILDREN_EXIST", "NOT_SUPPORTED"),
)  # fmt: skip
MOVE = CommandEntry(
    CommandKind.MOVE, "move", Relocation, submissions.move, 200,
    "Move or rename a file or a directory",
    "The node keeps its id, its metadata and its versions; a directory takes everything below it along, in one step. The "
    "directory of the target must exist. With `overwrite` a file takes the place of a file.",
    {"backendMountId": 1, "path": "inbox/q3.csv", "targetPath": "reports/2026/q3.csv"},
    (*_EXISTING, *_TAKEN, "NOT_SUPPORTED"),
)  # fmt: skip
COPY = CommandEntry(
    CommandKind.COPY, "copy", Relocation, submissions.copy, 201,
    "Copy a file or a directory",
    "The copy is a new node with the same content and metadata. The directory of the target must exist. With `overwrite` "
    "a file becomes the new version of the file that is there: 200.",
    {"backendMountId": 1, "path": "reports/2026/q3.csv", "targetPath": "archive/q3.csv", "overwrite": True},
    (*_EXISTING, *_TAKEN, "NOT_SUPPORTED"),
)  # fmt: skip
DESCRIBE = CommandEntry(
    CommandKind.DESCRIBE, "update-metadata", NodeMetadata, submissions.describe, 200,
    "Change the metadata of a node",
    "Keys in `set` get these values, with their JSON types; keys in `unset` go, if they are there; the others stay.",
    {"backendMountId": 1, "nodeId": 7, "set": {"owner": "finance"}, "unset": ["draft"]}, (*_EXISTING, "NOT_SUPPORTED"),
)  # fmt: skip
RESTORE = CommandEntry(
    CommandKind.RESTORE, "restore", Restoration, submissions.restore, 200,
    "Bring back a deleted node, or older content",
    "The node is named by `nodeId`, or by `path`: then it is the one that was deleted last there. It comes back as itself, "
    "with its id, to where it was or to `targetPath`, and a directory with all that went along. With `version` the content "
    "of that version becomes the newest version of the living node.",
    {"backendMountId": 1, "path": "reports/2025"}, (*_EXISTING, *_TAKEN, "NOT_FOUND", "CONTENT_EXPIRED"),
)  # fmt: skip

KINDS = (CREATE_DIRECTORY, DELETE, MOVE, COPY, DESCRIBE, RESTORE)
BY_COMMAND: Mapping[str, CommandEntry] = {str(kind.kind): kind for kind in KINDS}

_ALWAYS = (
    "INVALID_PATH", "FORBIDDEN", "MOUNT_READ_ONLY", "BACKEND_NOT_FOUND", "EXECUTOR_NOT_FOUND", "IDEMPOTENCY_CONFLICT",
    "PATH_BUSY", "VERSION_CONFLICT", "PAYLOAD_TOO_LARGE", "MOUNT_OFFLINE", "OUTCOME_UNKNOWN", "STAGE_LOST",
    "STORAGE_FULL",
    "QUOTA_EXCEEDED",
)  # fmt: skip
"""What every command can be refused with"""
UPLOAD_REFUSALS = (*_ALWAYS, *_TAKEN, "INVALID_CHECKSUM", "CHECKSUM_MISMATCH")
"""The same for an upload, however its bytes come"""
_OUTCOMES: Mapping[int, Mapping[int, openapi.Success]] = {
    200: {200: ("Done, or done before under the same key", CommandOutcome)},
    201: {
        201: ("Done", CommandOutcome),
        200: ("Done before, under the same key; or it took the place of a file", CommandOutcome),
    },
}
_PENDING: Mapping[int, openapi.Success] = {202: ("Still running: see Location", PendingCommand)}


def answers(success: int, *codes: str) -> dict[int | str, Any]:
    """`responses=` of a route that answers with the outcome of a command."""
    return openapi.answers({**_OUTCOMES[success], **_PENDING}, *codes)


def described(
    kind: CommandEntry, body: type[CommandBody] | None = None, example: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What the decorator of a route for this kind needs to know."""
    return {
        "status_code": kind.success,
        "summary": kind.summary,
        "description": kind.description,
        "responses": answers(kind.success, *_ALWAYS, *kind.refusals),
        "openapi_extra": {
            "parameters": openapi.command_parameters(),
            "requestBody": openapi.body_of(body or kind.body, example or kind.example),
        },
    }
