"""Every branch of the decision whether a command may go ahead."""

from dataclasses import replace
from typing import Any

import pytest

from schema import errors
from schema.commands.claims import Claim, conflicts
from schema.commands.command import Command, CommandKind, Status
from schema.commands.intents import Nothing
from schema.commands.situations import KnownCommand, KnownNode, Place, Situation
from schema.commands.verdicts import Busy, Conflict, Go, Join, Refuse, Replay, Resume, Verdict, among, decide
from schema.ids import CommandId, MountId, NodeId
from schema.nodes import NodeKind, NodeState

MKDIR, UPLOAD, DELETE = CommandKind.CREATE_DIRECTORY, CommandKind.UPLOAD, CommandKind.DELETE
MINE, EARLIER, OTHER = CommandId("mine"), CommandId("earlier"), CommandId("other")
IDENTITY = [0, 11, 22, 5, 33, 44, 0, 0o644, 1]
PARENT = KnownNode(NodeId(1), NodeKind.DIRECTORY, NodeState.ACTIVE, 1, 0, None, [0, 1, 1, 0, 0, 0, 1, 0o755, 2])
FILE = KnownNode(NodeId(7), NodeKind.FILE, NodeState.ACTIVE, 3, 5, "ab" * 32, IDENTITY)
FOLDER = KnownNode(NodeId(8), NodeKind.DIRECTORY, NodeState.ACTIVE, 1, 0, None, IDENTITY)


def request(kind: CommandKind, **changes: Any) -> Command:
    staged = None if kind is DELETE else IDENTITY
    values: dict[str, Any] = {
        "id": MINE,
        "kind": kind,
        "mount_id": MountId(1),
        "path": "d/x",
        "tenant": "main",
        "principal": "me",
        "token_id": 1,
        "hash": "h",
        "staged": staged,
    }
    return Command(**values | changes)


def found(known: KnownCommand | None = None, **changes: Any) -> Situation:
    return Situation(NodeId(99), here(**changes), known=known)


def here(**changes: Any) -> Place:
    values: dict[str, Any] = {"mount": MountId(1), "mount_state": "active", "parent": PARENT}
    return Place(**values | changes)


def verdict(asked: Command, situation: Situation) -> Verdict:
    return decide(asked, situation, workflow="w", day="2026-01-02")


def known(status: Status = Status.SUCCEEDED, **changes: Any) -> KnownCommand:
    values: dict[str, Any] = {
        "id": EARLIER,
        "status": status,
        "attempt": 2,
        "hash": "h",
        "retryable": False,
        "code": None,
        "outcome": "{}",
        "owner": "another",
    }
    return KnownCommand(**values | changes)


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
    ("of a request whose body was never read", {"hash": "z", "head": "h"}, {"hash": None, "head": "h"},
     Replay(known(hash=None, head="h"))),
    ("now with a body that was never read", {"hash": None, "head": "h"}, {"head": "h"}, Replay(known(head="h"))),
    ("never read, neither then nor now", {"hash": None, "head": "h"}, {"hash": None, "head": "h"},
     Replay(known(hash=None, head="h"))),
    ("of another place, its body never read", {"hash": "z", "head": "h"}, {"hash": None, "head": "y"}, None),
    ("now for another place, the body never read", {"hash": None, "head": "y"}, {"hash": "z", "head": "h"}, None),
    ("of another place, never read, neither then nor now", {"hash": None, "head": "y"}, {"hash": None, "head": "h"}, None),
    ("of an upload that was never read, now without a body", {}, {"hash": None, "head": "y"}, None),
    ("of a command without a body, now of an upload", {"hash": None, "head": "y"}, {}, None),
    ("of a release that did not keep what was asked", {"hash": "z", "head": "h"}, {"hash": None}, None),
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
    assert got.intent.to_json()["stage"] == MINE, "the stage is under the id of the new request"
    assert got.intent.to_json()["trash"] == "2026-01-02/earlier.0"


def test_the_next_attempt_acts_nowhere_else_than_the_first_one() -> None:
    failed = known(Status.FAILED, retryable=True, hash=None, head="the first place")
    assert isinstance(verdict(request(UPLOAD, key="k", head="another"), found(known=failed)), Conflict)
    assert isinstance(verdict(request(UPLOAD, key="k", head="the first place"), found(known=failed)), Go)


def test_the_next_attempt_can_be_refused_too() -> None:
    failed = known(Status.FAILED, retryable=True, attempt=4)
    got = verdict(request(MKDIR, key="k"), found(known=failed, mount_access="ro"))
    assert isinstance(got, Refuse) and (got.id, got.attempt, got.error.code) == (EARLIER, 5, "MOUNT_READ_ONLY")


# Refusals and ways to go


MAKE, OVERWRITE, REMOVE = request(MKDIR), request(UPLOAD, overwrite=True), request(DELETE)
ON_FILE, FULL = found(node=FILE), found(node=replace(FOLDER, has_children=True))
UNSEEN, LINK = found(node=replace(FILE, identity=None)), found(node=replace(FILE, kind=NodeKind.SYMLINK))
PIPE = found(node=replace(FILE, kind=NodeKind.SPECIAL))
NODE_STATES = [NodeState.INCONSISTENT, NodeState.MISSING]
REFUSED: list[tuple[str, Command, Situation, str]] = [
    ("staging failed", request(UPLOAD, failure="CHECKSUM_MISMATCH"), found(), "CHECKSUM_MISMATCH"),
    (
        "staging failed before anything else is wrong",
        request(UPLOAD, failure="STORAGE_FULL"),
        found(mount_state=None),
        "STORAGE_FULL",
    ),
    ("no such mount", MAKE, found(mount_state=None), "BACKEND_NOT_FOUND"),
    ("the mount is inactive", MAKE, found(mount_state="inactive"), "MOUNT_OFFLINE"),
    ("the mount is offline", MAKE, found(mount_state="offline"), "MOUNT_OFFLINE"),
    ("the mount is in error", MAKE, found(mount_state="error"), "MOUNT_OFFLINE"),
    ("the mount is read-only", MAKE, found(mount_access="ro"), "MOUNT_READ_ONLY"),
    ("read-only is said before busy", MAKE, found(mount_access="ro", busy=OTHER), "MOUNT_READ_ONLY"),
    ("mkdir without a parent", MAKE, found(parent=None), "PARENT_NOT_FOUND"),
    ("upload without a parent", request(UPLOAD), found(parent=None), "PARENT_NOT_FOUND"),
    ("delete without a parent", REMOVE, found(parent=None), "NODE_NOT_FOUND"),
    ("the parent is a file", MAKE, found(parent=FILE), "NOT_A_DIRECTORY"),
    ("mkdir on a directory", MAKE, found(node=FOLDER), "NODE_EXISTS"),
    ("mkdir on a file", MAKE, ON_FILE, "NODE_EXISTS"),
    ("mkdir with a version of nothing", request(MKDIR, if_version=1), found(), "VERSION_CONFLICT"),
    ("upload on a directory", OVERWRITE, found(node=FOLDER), "NOT_A_DIRECTORY"),
    ("upload on a file", request(UPLOAD), ON_FILE, "NODE_EXISTS"),
    ("upload on a stale version", request(UPLOAD, overwrite=True, if_version=2), ON_FILE, "VERSION_CONFLICT"),
    ("upload on other content", request(UPLOAD, if_hash="cd" * 32), ON_FILE, "VERSION_CONFLICT"),
    ("upload with a version of nothing", request(UPLOAD, if_version=1), found(), "VERSION_CONFLICT"),
    ("upload with a hash of nothing", request(UPLOAD, if_hash="ab" * 32), found(), "VERSION_CONFLICT"),
    ("upload on a link", OVERWRITE, LINK, "VERSION_CONFLICT"),
    ("upload on what was never seen", OVERWRITE, UNSEEN, "VERSION_CONFLICT"),
    ("delete of nothing", REMOVE, found(), "NODE_NOT_FOUND"),
    ("delete of a stale version", request(DELETE, if_version=2), ON_FILE, "VERSION_CONFLICT"),
    ("delete of other content", request(DELETE, if_hash="cd" * 32), ON_FILE, "VERSION_CONFLICT"),
    ("delete of a full directory", REMOVE, FULL, "CHILDREN_EXIST"),
    ("delete of a pipe", REMOVE, PIPE, "VERSION_CONFLICT"),
    ("delete of what was never seen", REMOVE, UNSEEN, "VERSION_CONFLICT"),
    *[
        (f"upload on a node that is {state}", OVERWRITE, found(node=replace(FILE, state=state)), "VERSION_CONFLICT")
        for state in NODE_STATES
    ],
    *[
        (f"delete of a node that is {state}", REMOVE, found(node=replace(FILE, state=state)), "VERSION_CONFLICT")
        for state in NODE_STATES
    ],
]


@pytest.mark.parametrize(
    ("asked", "situation", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_refusal(asked: Command, situation: Situation, code: str) -> None:
    got = verdict(asked, situation)
    assert isinstance(got, Refuse)
    assert (got.id, got.attempt, got.error.code) == (MINE, 1, code)


GOES: list[tuple[str, Command, Situation, dict[str, Any]]] = [
    ("mkdir", MAKE, found(), {"step": "create", "node": 99, "version": 1, "kind": "directory", "parent": 1}),
    ("mkdir on a degraded mount", MAKE, found(mount_state="degraded"), {"step": "create"}),
    (
        "upload",
        request(UPLOAD, size=5, sha256="ef" * 32),
        found(),
        {
            "step": "create",
            "node": 99,
            "version": 1,
            "kind": "file",
            "size": 5,
            "sha256": "ef" * 32,
            "stage": MINE,
            "staged": IDENTITY,
        },
    ),
    (
        "upload that overwrites",
        request(UPLOAD, overwrite=True, size=9),
        ON_FILE,
        {
            "step": "replace",
            "node": 7,
            "version": 4,
            "previous_version": 3,
            "previous_size": 5,
            "size": 9,
            "expected": IDENTITY,
            "before": {
                "id": 7,
                "parent": None,
                "name": "",
                "version": 3,
                "state": "active",
                "size": 5,
                "sha256": "ab" * 32,
            },
        },
    ),
    (
        "upload whose content lies in a stage that is borrowed",
        request(UPLOAD, borrowed_stage=OTHER),
        found(),
        {"step": "create", "stage": OTHER, "staged": IDENTITY, "borrowed": True},
    ),
    ("upload on the version it names", request(UPLOAD, if_version=3), ON_FILE, {"step": "replace", "version": 4}),
    ("upload on the content it names", request(UPLOAD, if_hash="ab" * 32), ON_FILE, {"step": "replace"}),
    ("overwrite of nothing", OVERWRITE, found(), {"step": "create"}),
    (
        "delete",
        REMOVE,
        ON_FILE,
        {"step": "delete", "node": 7, "version": 4, "size": 5, "stage": None, "expected": IDENTITY},
    ),
    ("delete of an empty directory", REMOVE, found(node=FOLDER), {"step": "delete", "node": 8, "version": 2}),
    (
        "delete of what was deleted",
        REMOVE,
        found(gone=replace(FILE, state=NodeState.DELETED)),
        {"step": "none", "node": 7, "version": 3},
    ),
    (
        "delete of what went with its parent",
        REMOVE,
        found(parent=None, gone=FILE),
        {"step": "none", "node": 7, "parent": None},
    ),
]


@pytest.mark.parametrize(("asked", "situation", "intent"), [case[1:] for case in GOES], ids=[case[0] for case in GOES])
def test_a_command_that_goes_has_everything_fixed_in_its_intent(
    asked: Command, situation: Situation, intent: dict[str, Any]
) -> None:
    got = verdict(asked, situation)
    assert isinstance(got, Go)
    assert (got.id, got.attempt) == (MINE, 1)
    assert got.intent.to_json() | intent == got.intent.to_json()
    assert got.intent.to_json()["trash"] == "2026-01-02/mine.0"


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
    first, second = Claim(MountId(1), one, subtree), Claim(MountId(1), other, other_subtree)
    assert conflicts(first, second) is conflicts(second, first) is clash
    assert not conflicts(first, replace(second, mount=MountId(2)))
    readers = replace(first, shared=True), replace(second, shared=True)
    assert not conflicts(*readers)
    assert conflicts(first, readers[1]) is conflicts(readers[0], second) is clash


def test_within_a_list_the_earlier_command_wins_and_only_those_that_go_hold_claims() -> None:
    held: list[tuple[Claim, CommandId]] = []

    def make(name: str, *paths: bytes, subtree: bool = False) -> Go:
        nothing = Nothing(node=NodeId(7), version=1, parent=None)
        return Go(CommandId(name), 1, nothing, [Claim(MountId(1), path, subtree) for path in paths])

    first, fourth = make("first", b"a", b"z", subtree=True), make("fourth", b"c")
    assert among(first, held) is first
    assert among(make("second", b"a/b"), held) == Busy(CommandId("first"))
    assert among(make("second", b"b", b"z/y"), held) == Busy(CommandId("first"))
    refused = Refuse(CommandId("third"), 1, errors.NodeExists())
    assert among(refused, held) is refused
    assert among(fourth, held) is fourth
    assert [command for _, command in held] == ["first", "first", "fourth"]
