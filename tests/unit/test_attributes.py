"""What a list of runs in Temporal says of each: one line, one outcome, and no more than the server takes."""

import pytest

from schema.commands.command import Command, CommandKind
from schema.commands.payloads import Batch
from schema.ids import CommandId, MountId
from workflows.commands import attributes
from workflows.commands.start import workflow_id


def command(number: int, kind: CommandKind = CommandKind.CREATE_DIRECTORY, **more: str) -> Command:
    id = CommandId(f"00000000-0000-7000-8000-{number:012d}")
    return Command(id, kind, MountId(7), more.pop("path", f"d{number}"), "main", "ann", 1, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("requests", "atomic", "said"),
    [
        ([command(1)], False, "createDirectory d1"),
        ([command(1, CommandKind.COPY, target="b")], False, "copyNode d1 to b"),
        ([command(1, path="x" * 500)], False, ("createDirectory " + "x" * 500)[:200]),
        ([command(1), command(2)], False, "2 createDirectory"),
        (
            [command(1), command(2), command(3, CommandKind.DELETE)],
            True,
            "2 createDirectory, 1 deleteNode: all or none",
        ),
    ],
)
def test_one_line_says_what_a_run_does(requests: list[Command], atomic: bool, said: str) -> None:
    assert attributes.summary(requests, atomic=atomic) == said


@pytest.mark.parametrize(
    ("outcomes", "word"),
    [
        ([], "succeeded"),
        (["failed NODE_EXISTS"], "failed"),
        (["replayed", "failed NODE_EXISTS"], "failed"),
        (["failed NODE_EXISTS", "inconsistent VERSION_CONFLICT"], "inconsistent"),
        (["refused IDEMPOTENCY_CONFLICT", "running in a run of its own"], "refused"),
        (["waits for its path", "joined an earlier request"], "waits"),
    ],
)
def test_the_worst_outcome_stands_for_the_run(outcomes: list[str], word: str) -> None:
    assert attributes.word(outcomes) == word


def test_each_command_has_a_line_and_a_long_list_ends() -> None:
    first = command(1)
    assert attributes.lines([first], {first.id: "failed NODE_EXISTS"}) == (
        "- createDirectory `d1` by ann: **failed NODE_EXISTS**"
    )
    many = attributes.lines([command(number) for number in range(64)]).splitlines()
    assert len(many) == 21 and many[-1] == "- and 44 more"


def test_the_server_takes_what_is_sent() -> None:
    found = attributes.of_commands([command(number, path="ä" * 250) for number in range(64)], MountId(7))
    values = {pair.key.name: pair.value for pair in found}
    for name in ("FsPath", "FsCommand", "FsPrincipal"):
        assert 0 < sum(len(value.encode()) for value in values[name]) <= 1800
    assert values["FsPrincipal"] == ["ann"] and values["FsMount"] == "7"


@pytest.mark.parametrize(
    ("requests", "turn", "id"),
    [
        ([command(1)], 0, f"cmd/7/createDirectory/{command(1).id}"),
        ([command(1)], 2, f"cmd/7/createDirectory/{command(1).id}/2"),
        ([command(1), command(2)], 0, f"cmd/7/2-createDirectory/{command(1).id}"),
        ([command(1), command(2, CommandKind.DELETE)], 0, f"cmd/7/2-commands/{command(1).id}"),
    ],
)
def test_the_id_of_a_run_says_what_it_does(requests: list[Command], turn: int, id: str) -> None:
    assert workflow_id(Batch(MountId(7), requests, turn=turn)) == id
