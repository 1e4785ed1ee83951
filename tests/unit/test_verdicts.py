"""Every branch of the decision whether a command may go ahead."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from schema import errors
from schema.commands import CommandKind, Request, Status
from schema.ids import CommandId, MountId, NodeId
from schema.nodes import NodeKind, NodeState
from schema.verdicts import (
    Busy,
    Claim,
    Conflict,
    Go,
    Join,
    Known,
    KnownNode,
    Refuse,
    Replay,
    Resume,
    Situation,
    Verdict,
    among,
    conflicts,
    decide,
)

MKDIR, UPLOAD, DELETE = CommandKind.CREATE_DIRECTORY, CommandKind.UPLOAD, CommandKind.DELETE
MINE, EARLIER, OTHER = CommandId("mine"), CommandId("earlier"), CommandId("other")
IDENTITY = [0, 11, 22, 5, 33, 44, 0, 0o644, 1]
PARENT = KnownNode(NodeId(1), NodeKind.DIRECTORY, NodeState.ACTIVE, 1, 0, None, [0, 1, 1, 0, 0, 0, 1, 0o755, 2])
FILE = KnownNode(NodeId(7), NodeKind.FILE, NodeState.ACTIVE, 3, 5, "ab" * 32, IDENTITY)
FOLDER = KnownNode(NodeId(8), NodeKind.DIRECTORY, NodeState.ACTIVE, 1, 0, None, IDENTITY)


def request(kind: CommandKind, **changes: Any) -> Request:
    staged = None if kind is DELETE else IDENTITY
    values = {"id": MINE, "kind": kind, "mount_id": MountId(1), "path": "d/x", "tenant": "main", "principal": "me",
              "token_id": 1, "hash": "h", "staged": staged}  # fmt: skip
    return Request(**values | changes)


def found(**changes: Any) -> Situation:
    return Situation(**{"fresh_node": NodeId(99), "mount_state": "active", "parent": PARENT} | changes)


def verdict(asked: Request, situation: Situation) -> Verdict:
    return decide(asked, situation, workflow="w", day="2026-01-02")


def known(status: Status = Status.SUCCEEDED, **changes: Any) -> Known:
    values = {"id": EARLIER, "status": status, "attempt": 2, "hash": "h", "retryable": False, "code": None,
              "outcome": "{}", "owner": "another"}  # fmt: skip
    return Known(**values | changes)


# A key that was seen before


SEEN: list[tuple[str, dict[str, Any], dict[str, Any], Verdict | None]] = [
    ("the same request, ended well", {}, {}, Replay(known())),
    ("ended as a definite refusal", {}, {"status": Status.FAILED}, Replay(known(Status.FAILED))),
    ("still running elsewhere", {}, {"status": Status.RUNNING}, Join(EARLIER)),
    ("opened by this very workflow, running", {}, {"status": Status.RUNNING, "owner": "w"}, Resume(EARLIER, 2)),
    ("opened by this very workflow, ended", {}, {"owner": "w"}, Replay(known(owner="w"))),
    ("opened by this workflow as a retryable failure", {}, {"status": Status.FAILED, "retryable": True, "owner": "w"},
     Replay(known(Status.FAILED, retryable=True, owner="w"))),
    ("of another request that ended", {"hash": "z"}, {}, None),
    ("of another request that runs", {"hash": "z"}, {"status": Status.RUNNING}, None),
    ("of a request whose body was never read", {"hash": "z"}, {"hash": None}, Replay(known(hash=None))),
    ("now with a body that was never read", {"hash": None}, {}, Replay(known())),
    ("that ended inconsistent", {}, {"status": Status.INCONSISTENT}, Replay(known(Status.INCONSISTENT))),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "row", "expected"), [case[1:] for case in SEEN], ids=[case[0] for case in SEEN])
def test_a_key_that_is_known(asked: dict[str, Any], row: dict[str, Any], expected: Verdict | None) -> None:
    got = verdict(request(MKDIR, key="k", **asked), found(known=known(**row)))
    if expected is None:
        assert isinstance(got, Conflict) and got.error.code == "IDEMPOTENCY_CONFLICT"
    else:
        assert got == expected


def test_the_same_key_after_a_retryable_failure_opens_the_next_attempt_of_the_first_command() -> None:
    got = verdict(request(MKDIR, key="k"), found(known=known(Status.FAILED, retryable=True, attempt=4)))
    assert isinstance(got, Go)
    assert (got.id, got.attempt) == (EARLIER, 5)
    assert got.intent["stage"] == MINE, "the stage is under the id of the new request"
    assert got.intent["trash"] == "2026-01-02/earlier.0"


def test_the_next_attempt_can_be_refused_too() -> None:
    failed = known(Status.FAILED, retryable=True, attempt=4)
    got = verdict(request(MKDIR, key="k"), found(known=failed, mount_access="ro"))
    assert isinstance(got, Refuse) and (got.id, got.attempt, got.error.code) == (EARLIER, 5, "MOUNT_READ_ONLY")


# Refusals and ways to go


NODE_STATES = [NodeState.INCONSISTENT, NodeState.MISSING]
REFUSED: list[tuple[str, Request, Situation, str]] = [
    ("staging failed", request(UPLOAD, failure="CHECKSUM_MISMATCH"), found(), "CHECKSUM_MISMATCH"),
    ("staging failed before anything else is wrong", request(UPLOAD, failure="STORAGE_FULL"), found(mount_state=None), "STORAGE_FULL"),
    ("no such mount", request(MKDIR), found(mount_state=None), "BACKEND_NOT_FOUND"),
    ("the mount is inactive", request(MKDIR), found(mount_state="inactive"), "MOUNT_OFFLINE"),
    ("the mount is offline", request(MKDIR), found(mount_state="offline"), "MOUNT_OFFLINE"),
    ("the mount is in error", request(MKDIR), found(mount_state="error"), "MOUNT_OFFLINE"),
    ("the mount is read-only", request(MKDIR), found(mount_access="ro"), "MOUNT_READ_ONLY"),
    ("read-only is said before busy", request(MKDIR), found(mount_access="ro", busy=OTHER), "MOUNT_READ_ONLY"),
    ("mkdir without a parent", request(MKDIR), found(parent=None), "PARENT_NOT_FOUND"),
    ("upload without a parent", request(UPLOAD), found(parent=None), "PARENT_NOT_FOUND"),
    ("delete without a parent", request(DELETE), found(parent=None), "NODE_NOT_FOUND"),
    ("the parent is a file", request(MKDIR), found(parent=FILE), "NOT_A_DIRECTORY"),
    ("mkdir on a directory", request(MKDIR), found(node=FOLDER), "NODE_EXISTS"),
    ("mkdir on a file", request(MKDIR), found(node=FILE), "NODE_EXISTS"),
    ("mkdir with a version of nothing", request(MKDIR, if_version=1), found(), "VERSION_CONFLICT"),
    ("upload on a directory", request(UPLOAD, overwrite=True), found(node=FOLDER), "NOT_A_DIRECTORY"),
    ("upload on a file", request(UPLOAD), found(node=FILE), "NODE_EXISTS"),
    ("upload on a stale version", request(UPLOAD, overwrite=True, if_version=2), found(node=FILE), "VERSION_CONFLICT"),
    ("upload on other content", request(UPLOAD, if_hash="cd" * 32), found(node=FILE), "VERSION_CONFLICT"),
    ("upload with a version of nothing", request(UPLOAD, if_version=1), found(), "VERSION_CONFLICT"),
    ("upload with a hash of nothing", request(UPLOAD, if_hash="ab" * 32), found(), "VERSION_CONFLICT"),
    ("upload on a link", request(UPLOAD, overwrite=True), found(node=replace(FILE, kind=NodeKind.SYMLINK)), "VERSION_CONFLICT"),
    ("upload on what was never seen", request(UPLOAD, overwrite=True), found(node=replace(FILE, identity=None)), "VERSION_CONFLICT"),
    ("delete of nothing", request(DELETE), found(), "NODE_NOT_FOUND"),
    ("delete of a stale version", request(DELETE, if_version=2), found(node=FILE), "VERSION_CONFLICT"),
    ("delete of other content", request(DELETE, if_hash="cd" * 32), found(node=FILE), "VERSION_CONFLICT"),
    ("delete of a full directory", request(DELETE), found(node=replace(FOLDER, has_children=True)), "CHILDREN_EXIST"),
    ("recursive delete of a full directory", request(DELETE, recursive=True), found(node=replace(FOLDER, has_children=True)), "NOT_SUPPORTED"),
    ("delete of a pipe", request(DELETE), found(node=replace(FILE, kind=NodeKind.SPECIAL)), "VERSION_CONFLICT"),
    ("delete of what was never seen", request(DELETE), found(node=replace(FILE, identity=None)), "VERSION_CONFLICT"),
    *[(f"upload on a node that is {state}", request(UPLOAD, overwrite=True), found(node=replace(FILE, state=state)), "VERSION_CONFLICT")
      for state in NODE_STATES],
    *[(f"delete of a node that is {state}", request(DELETE), found(node=replace(FILE, state=state)), "VERSION_CONFLICT")
      for state in NODE_STATES],
]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "situation", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_refusal(asked: Request, situation: Situation, code: str) -> None:
    got = verdict(asked, situation)
    assert isinstance(got, Refuse)
    assert (got.id, got.attempt, got.error.code) == (MINE, 1, code)


GOES: list[tuple[str, Request, Situation, dict[str, Any]]] = [
    ("mkdir", request(MKDIR), found(), {"step": "create", "node": 99, "version": 1, "kind": "directory", "parent": 1}),
    ("mkdir on a degraded mount", request(MKDIR), found(mount_state="degraded"), {"step": "create"}),
    ("upload", request(UPLOAD, size=5, sha256="ef" * 32), found(),
     {"step": "create", "node": 99, "version": 1, "kind": "file", "size": 5, "sha256": "ef" * 32, "stage": MINE, "staged": IDENTITY}),
    ("upload that overwrites", request(UPLOAD, overwrite=True, size=9), found(node=FILE),
     {"step": "replace", "node": 7, "version": 4, "previous_version": 3, "previous_size": 5, "size": 9, "expected": IDENTITY,
      "before": {"id": 7, "version": 3, "state": "active", "size": 5, "sha256": "ab" * 32}}),
    ("upload on the version it names", request(UPLOAD, if_version=3), found(node=FILE), {"step": "replace", "version": 4}),
    ("upload on the content it names", request(UPLOAD, if_hash="ab" * 32), found(node=FILE), {"step": "replace"}),
    ("overwrite of nothing", request(UPLOAD, overwrite=True), found(), {"step": "create"}),
    ("delete", request(DELETE), found(node=FILE), {"step": "delete", "node": 7, "version": 4, "size": 5, "stage": None, "expected": IDENTITY}),
    ("delete of an empty directory", request(DELETE), found(node=FOLDER), {"step": "delete", "node": 8, "version": 2}),
    ("delete of what was deleted", request(DELETE), found(gone=replace(FILE, state=NodeState.DELETED)), {"step": "none", "node": 7, "version": 3}),
    ("delete of what went with its parent", request(DELETE), found(parent=None, gone=FILE), {"step": "none", "node": 7, "parent": None}),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "situation", "intent"), [case[1:] for case in GOES], ids=[case[0] for case in GOES])
def test_a_command_that_goes_has_everything_fixed_in_its_intent(
    asked: Request, situation: Situation, intent: dict[str, Any]
) -> None:
    got = verdict(asked, situation)
    assert isinstance(got, Go)
    assert (got.id, got.attempt) == (MINE, 1)
    assert got.intent | intent == got.intent
    assert got.intent["trash"] == "2026-01-02/mine.0"


def test_a_claim_in_the_way_makes_busy_before_the_nodes_are_looked_at() -> None:
    assert verdict(request(MKDIR), found(busy=OTHER, parent=None)) == Busy(OTHER)


# Claims


CLAIMS: list[tuple[bytes, bool, bytes, bool, bool]] = [
    (b"a", False, b"a", False, True),
    (b"a", False, b"b", False, False),
    (b"a", False, b"a/b", False, False),
    (b"a", True, b"a/b", False, True),
    (b"a", True, b"a/b/c", True, True),
    (b"a", True, b"ab", False, False),
    (b"a", True, b"a!", True, False),
    (b"", True, b"a", False, True),
    (b"", False, b"a", False, False),
    (b"a/b", True, b"a", False, False),
    (b"\xff", True, b"\xff/\xfe", False, True),
]


@pytest.mark.parametrize(("one", "subtree", "other", "other_subtree", "clash"), CLAIMS)
def test_claims_conflict_on_the_same_path_and_below_a_subtree(
    one: bytes, subtree: bool, other: bytes, other_subtree: bool, clash: bool
) -> None:
    first, second = Claim(one, subtree), Claim(other, other_subtree)
    assert conflicts(first, second) is conflicts(second, first) is clash


def test_within_a_list_the_earlier_command_wins_and_only_those_that_go_hold_claims() -> None:
    held: list[tuple[Claim, CommandId]] = []
    make: Callable[[str], Verdict] = lambda name: Go(CommandId(name), 1, {})  # noqa: E731
    assert among(make("first"), Claim(b"a", True), held) == Go(CommandId("first"), 1, {})
    assert among(make("second"), Claim(b"a/b", False), held) == Busy(CommandId("first"))
    refused = Refuse(CommandId("third"), 1, errors.NodeExists())
    assert among(refused, Claim(b"c", False), held) is refused
    assert among(make("fourth"), Claim(b"c", False), held) == Go(CommandId("fourth"), 1, {})
    assert [command for _, command in held] == ["first", "fourth"]
