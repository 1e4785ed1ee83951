"""Lists of which all are recorded or none: what the whole list is told, whatever its commands would be told alone."""

from dataclasses import replace
from typing import Any

import pytest

from schema import errors
from schema.commands.atomic import decide_atomic, none_of
from schema.commands.claims import Claim
from schema.commands.command import Command, CommandKind, Status
from schema.commands.intents import Nothing
from schema.commands.payloads import Applied
from schema.commands.situations import KnownCommand, Place, Situation
from schema.commands.verdicts import Busy, Conflict, Go, Join, Refuse, Replay, Resume, Verdict
from schema.ids import CommandId, MountId, NodeId

MOUNT = MountId(1)
HERE = Place(MOUNT, "active")


def request(path: str, kind: CommandKind = CommandKind.DELETE, **changes: Any) -> Command:
    return Command(CommandId(f"of {path}"), kind, MOUNT, path, "main", "me", 1, **changes)


def go(of: Command, **intent: Any) -> Go:
    return Go(of.id, 1, Nothing(node=NodeId(1), version=1, parent=None, **intent), of.claims)


def refuse(of: Command, error: errors.FilestoreError) -> Refuse:
    return Refuse(of.id, 1, error)


def known(of: Command, **changes: Any) -> KnownCommand:
    values: dict[str, Any] = {"id": of.id, "status": Status.FAILED, "attempt": 1, "hash": None, "retryable": False,
                              "code": None, "outcome": "{}", "atomic_id": "list", "atomic_size": 3}  # fmt: skip
    return KnownCommand(**values | changes)


A, B, C = (request(path) for path in "abc")


def judged(
    *verdicts: Verdict, requests: tuple[Command, ...] = (A, B, C), seen: dict[str, KnownCommand] | None = None
) -> list[Verdict]:
    found = {one.id: Situation(NodeId(1), HERE, known=(seen or {}).get(one.path)) for one in requests}
    by_id = {one.id: verdict for one, verdict in zip(requests, verdicts, strict=True)}
    decided = decide_atomic(requests, found, by_id)
    return [decided[one.id] for one in requests]


def codes(verdicts: list[Verdict]) -> list[str]:
    return [one.error.code if isinstance(one, Refuse | Conflict) else type(one).__name__ for one in verdicts]


def test_all_go() -> None:
    verdicts = [go(A), go(B), go(C)]
    assert judged(*verdicts) == verdicts


def test_one_that_waits_makes_all_wait() -> None:
    assert judged(go(A), Busy(CommandId("other")), go(C)) == [Busy(CommandId("other"))] * 3


def test_one_that_is_refused_refuses_all_for_good() -> None:
    verdicts = judged(go(A), refuse(B, errors.NodeNotFound()), Busy(CommandId("other")))
    assert codes(verdicts) == ["NOT_ATTEMPTED", "NODE_NOT_FOUND", "NOT_ATTEMPTED"], "what is definite does not wait"
    assert [(one.id, one.attempt, one.retryable) for one in verdicts if isinstance(one, Refuse)] == [
        (A.id, 1, False), (B.id, 1, False), (C.id, 1, False),
    ]  # fmt: skip
    assert isinstance(verdicts[0], Refuse) and verdicts[0].error.details == {
        "failedPath": "b",
        "failedCode": "NODE_NOT_FOUND",
    }


def test_what_can_pass_is_retryable_for_all() -> None:
    verdicts = judged(go(A), refuse(B, errors.StorageFull()), refuse(C, errors.StageLost()))
    assert codes(verdicts) == ["NOT_ATTEMPTED", "STORAGE_FULL", "STAGE_LOST"]
    assert [one.retryable for one in verdicts if isinstance(one, Refuse)] == [True] * 3


def test_beside_something_definite_nobody_can_come_back() -> None:
    verdicts = judged(go(A), refuse(B, errors.StorageFull()), refuse(C, errors.NodeNotFound()))
    assert codes(verdicts) == ["NOT_ATTEMPTED", "NOT_ATTEMPTED", "NODE_NOT_FOUND"]
    assert [one.retryable for one in verdicts if isinstance(one, Refuse)] == [False] * 3


def test_a_refused_list_opens_the_next_attempt_of_what_failed_before() -> None:
    seen = {"a": known(A, id=CommandId("earlier"), attempt=4, retryable=True)}
    verdicts = judged(Busy(CommandId("other")), refuse(B, errors.NodeNotFound()), go(C), seen=seen)
    assert isinstance(verdicts[0], Refuse) and (verdicts[0].id, verdicts[0].attempt) == ("earlier", 5)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (request("x"), request("x", CommandKind.DESCRIBE)),
        (request("x"), request("x/y/z", CommandKind.DESCRIBE)),
        (request("x/y", CommandKind.DESCRIBE), request("x")),
        (request("x", CommandKind.MOVE, target="y"), request("y", CommandKind.DESCRIBE)),
        (
            request("x", CommandKind.MOVE, target="y"),
            replace(request("y", CommandKind.MOVE, target="x"), id=CommandId("2")),
        ),
    ],
)
def test_those_in_each_others_way_are_named(first: Command, second: Command) -> None:
    second = replace(second, id=CommandId("second"))
    verdicts = judged(go(first), go(second), go(A), requests=(first, second, A))
    assert codes(verdicts) == ["INVALID_REQUEST", "INVALID_REQUEST", "NOT_ATTEMPTED"]
    assert isinstance(verdicts[0], Refuse) and verdicts[0].error.details == {"paths": [first.path, second.path]}


def test_both_ends_of_one_command_are_not_in_its_own_way() -> None:
    move = request("x", CommandKind.MOVE, target="y")
    claims = [Claim(MOUNT, b"x", True), Claim(MOUNT, b"x", True)]
    verdicts = [replace(go(move), claims=claims), go(A)]
    assert judged(*verdicts, requests=(move, A)) == verdicts


def test_what_is_long_or_leaves_the_mount_does_not_go_atomic() -> None:
    away = request("b", CommandKind.MOVE, target="b", target_mount_id=MountId(2))
    verdicts = judged(go(A, long=True), go(away), go(C), requests=(A, away, C))
    assert codes(verdicts) == ["NOT_SUPPORTED", "NOT_SUPPORTED", "NOT_ATTEMPTED"]


def test_a_key_of_another_request_is_the_answer_of_all_and_nothing_is_recorded() -> None:
    assert codes(judged(go(A), Conflict(), refuse(C, errors.NodeNotFound()))) == ["IDEMPOTENCY_CONFLICT"] * 3


ALL = {one.path: known(one) for one in (A, B, C)}


@pytest.mark.parametrize(
    "verdicts",
    [
        [Replay(known(one)) for one in (A, B, C)],
        [Join(one.id) for one in (A, B, C)],
        [Resume(one.id, 1) for one in (A, B, C)],
    ],
)
def test_the_same_list_again_is_passed_on(verdicts: list[Verdict]) -> None:
    assert judged(*verdicts, seen=ALL) == verdicts


@pytest.mark.parametrize(
    "seen",
    [
        {"a": known(A)},
        ALL | {"b": known(B, atomic_id="another list")},
        ALL | {"b": known(B, atomic_id=None, atomic_size=0)},
        {path: replace(one, atomic_id=None, atomic_size=0) for path, one in ALL.items()},
        {path: replace(one, atomic_size=4) for path, one in ALL.items()},
    ],
    ids=["some are new", "of two lists", "one was sent alone", "all were sent alone", "a part of a list"],
)
def test_a_mixture_is_refused_and_nothing_is_recorded(seen: dict[str, KnownCommand]) -> None:
    verdicts: list[Verdict] = [Replay(seen[one.path]) if one.path in seen else go(one) for one in (A, B, C)]
    assert codes(judged(*verdicts, seen=seen)) == ["IDEMPOTENCY_CONFLICT"] * 3


# How a list ends of which something failed


def applied(name: str, code: str | None = None, **changes: Any) -> Applied:
    status = Status.SUCCEEDED if code is None else Status.FAILED
    retryable = code is not None and errors.BY_CODE[code].retryable
    return replace(Applied(CommandId(name), 1, status, code=code, retryable=retryable), **changes)


def test_the_others_are_as_retryable_as_the_cause() -> None:
    for code, retryable in (("STORAGE_FULL", True), ("NODE_EXISTS", False)):
        items = [applied("a"), applied("b", code)]
        ended = none_of(items, {CommandId("a"): replace(items[0], identity=[1, 2, 3])})
        assert [(one.status, one.code, one.retryable) for one in ended] == [
            (Status.FAILED, "NOT_ATTEMPTED", retryable), (Status.FAILED, code, retryable),
        ]  # fmt: skip
        assert ended[0].identity == [1, 2, 3], "the record learns what it is now"
        assert code in (ended[0].message or "") and "b" in (ended[0].message or "")


def test_what_was_never_attempted_is_no_cause() -> None:
    ended = none_of([applied("a", "NOT_ATTEMPTED"), applied("b", "STORAGE_FULL")], {})
    assert [(one.code, one.retryable) for one in ended] == [("NOT_ATTEMPTED", True), ("STORAGE_FULL", True)]


def test_only_definite_causes_are_blamed_where_there_are_any() -> None:
    ended = none_of([applied("a", "STORAGE_FULL"), applied("b", "NODE_EXISTS")], {})
    assert [(one.code, one.retryable) for one in ended] == [("NOT_ATTEMPTED", False), ("NODE_EXISTS", False)]


def test_one_in_doubt_keeps_the_others_from_coming_back_without_it() -> None:
    items = [applied("a"), applied("b", "STORAGE_FULL"), applied("c")]
    doubt = applied("a", "VERSION_CONFLICT", status=Status.INCONSISTENT)
    ended = none_of(items, {CommandId("a"): doubt, CommandId("c"): items[2]})
    assert [(one.status, one.code, one.retryable) for one in ended] == [
        (Status.INCONSISTENT, "VERSION_CONFLICT", False),
        (Status.FAILED, "STORAGE_FULL", False),
        (Status.FAILED, "NOT_ATTEMPTED", False),
    ]
