"""The error tree: every code clients know, each with a sentence that says what to do."""

import re

import pytest

from api.http.errors import STATUS
from schema import errors
from schema.errors import BY_CODE, FilestoreError

WIRE = {
    "QUOTA_EXCEEDED",
    "INVALID_PATH",
    "INVALID_REQUEST",
    "INVALID_CHECKSUM",
    "NOT_SUPPORTED",
    "UNAUTHENTICATED",
    "MISSING_SCOPE",
    "FORBIDDEN",
    "BACKEND_NOT_FOUND",
    "NODE_NOT_FOUND",
    "PARENT_NOT_FOUND",
    "NOT_FOUND",
    "NODE_EXISTS",
    "NOT_A_DIRECTORY",
    "CHILDREN_EXIST",
    "IDEMPOTENCY_CONFLICT",
    "EXECUTOR_NOT_FOUND",
    "PATH_BUSY",
    "CONTENT_EXPIRED",
    "CURSOR_EXPIRED",
    "WRONG_STATE",
    "STALE_FINDING",
    "STALE_REVISION",
    "OBJECTS_NEEDED",
    "PROJECT_EXISTS",
    "HELD",
    "VERSION_CONFLICT",
    "PAYLOAD_TOO_LARGE",
    "CHECKSUM_MISMATCH",
    "FROZEN",
    "NOT_ATTEMPTED",
    "RATE_LIMITED",
    "MOUNT_OFFLINE",
    "UNAVAILABLE",
    "INTERRUPTED",
    "OUTCOME_UNKNOWN",
    "STAGE_LOST",
    "STORAGE_FULL",
    "MOUNT_READ_ONLY",
    "REQUEST_TOO_SLOW",
    "UPGRADE_REQUIRED",
    "URI_TOO_LONG",
    "HEADERS_TOO_LARGE",
    "OVERLOADED",
}

RETRYABLE = {
    "PATH_BUSY", "RATE_LIMITED", "MOUNT_OFFLINE", "UNAVAILABLE", "INTERRUPTED", "OUTCOME_UNKNOWN", "STAGE_LOST", "STORAGE_FULL",
    "REQUEST_TOO_SLOW", "OVERLOADED", "FROZEN", "QUOTA_EXCEEDED",
}  # fmt: skip


def test_every_code_of_the_wire_is_in_the_tree_and_no_other() -> None:
    assert set(BY_CODE) == WIRE


def test_no_two_errors_share_a_code() -> None:
    # A layer above may refine one of them for itself; it keeps the code.
    kinds = [kind for kind in errors._tree(FilestoreError) if kind.__module__ == errors.__name__]
    assert len(kinds) == len(BY_CODE)


@pytest.mark.parametrize("kind", BY_CODE.values(), ids=BY_CODE.keys())
def test_the_docstring_is_a_message_for_people(kind: type[FilestoreError]) -> None:
    message = kind().message
    assert message and message[0].isupper() and message.endswith(".") and "\n" not in message


def test_exactly_the_failures_that_can_pass_are_retryable() -> None:
    assert {code for code, kind in BY_CODE.items() if kind.retryable} == RETRYABLE


def test_every_retryable_error_says_when() -> None:
    assert all(BY_CODE[code].retry_after_seconds for code in RETRYABLE)


def test_the_drawn_tree_puts_every_class_under_the_status_it_is_answered_with() -> None:
    drawn: dict[str, int] = {}
    waiting: list[str] = []
    for line in (errors.__doc__ or "").split("FilestoreError", 1)[1].split("The docstring")[0].splitlines():
        waiting += re.findall(r"[A-Z]\w+", line)
        if status := re.search(r"\d{3}$", line):
            drawn |= dict.fromkeys(waiting, int(status[0]))
            waiting = []
    assert drawn == {kind.__name__: STATUS[code] for code, kind in BY_CODE.items()}


def test_every_code_has_a_status_and_no_status_a_code_that_is_not_there() -> None:
    assert set(STATUS) == set(BY_CODE)


def test_the_default_code_and_words_are_those_of_the_class() -> None:
    assert errors.name_of(errors.NodeExists) == "Node exists"
    assert errors.name_of(errors.MountReadOnly) == "Mount read only"


def test_a_stored_code_becomes_the_error_it_was() -> None:
    error = errors.from_code("NODE_EXISTS", "Taken.", {"nodeId": 7})
    assert isinstance(error, errors.NodeExists)
    assert (error.message, error.details) == ("Taken.", {"nodeId": 7})


def test_a_code_of_a_newer_release_keeps_its_message() -> None:
    error = errors.from_code("FROM_THE_FUTURE", "Something new.")
    assert type(error) is FilestoreError and error.message == "Something new."


def test_details_are_there_only_when_given() -> None:
    assert errors.NodeNotFound().details is None
    assert errors.NodeNotFound(path="a").details == {"path": "a"}
