"""Many clients at once on the real service: there is one order of what they did, true to real time, that explains every
answer; and the checker that says so refuses the same history as soon as one answer in it is false."""

import os
from dataclasses import replace

import pytest

from tests.fix_service import MountOfTest, Service
from tests.model import clients
from tests.model.clients import History, falsified
from tests.model.linearizable import Invocation, Verdict, check
from tests.model.model import ModelAnswer, ModelCommand

SEED = int(os.environ.get("MODEL_SEED", "20261121"))


def verdict(history: History, operations: list[Invocation] | None = None) -> Verdict:
    return check(history.operations if operations is None else operations, history.start, history.ids)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("number", "many", "each", "tops"), [(0, 12, 12, ("t", "u")), (1, 16, 8, ("t",)), (2, 8, 20, ("t", "u", "v"))]
)
async def test_every_answer_fits_one_order(
    service: Service, mount: MountOfTest, number: int, many: int, each: int, tops: tuple[str, ...]
) -> None:
    print(f"MODEL_SEED={SEED}")
    history = clients.begin(mount)
    await clients.work(history, service, SEED + number, many, each, tops)
    found = verdict(history)
    print(found, dict(history.tally()))
    assert found.ok, str(found)
    untold = [one for one in history.operations if one.answer is None]
    assert not untold, f"no process died, so every client has its answer: {untold}"


async def test_a_false_answer_in_a_true_history_is_found(service: Service, mount: MountOfTest) -> None:
    history = clients.begin(mount)
    await clients.work(history, service, SEED, 8, 6, ("t", "u"))
    answers: dict[str, ModelAnswer] = {}
    places: dict[str, int] = {}
    async with service.async_client() as client:
        for name, command in (
            ("made", ModelCommand("upload", "f", content=b"old")),
            ("first", ModelCommand("upload", "f", content=b"new", if_match="1")),
            ("second", ModelCommand("upload", "f", content=b"newer", if_match="1")),
            ("get", ModelCommand("get", "f")),
            ("deleted", ModelCommand("delete", "f")),
            ("gone", ModelCommand("get", "f")),
        ):
            answer = await clients.ask(history, client, command)
            assert answer is not None
            answers[name], places[name] = answer, len(history.operations) - 1
    assert verdict(history).ok
    assert answers["first"].version == 2 and answers["second"].code == "VERSION_CONFLICT" and answers["gone"].code
    for name, false in (
        ("second", replace(answers["first"], size=5)),  # an update is lost
        ("get", replace(answers["made"], status=200)),  # old content after the new one was acknowledged
        ("gone", answers["get"]),  # what was deleted is there
    ):
        assert not verdict(history, falsified(history.operations, places[name], **clients.fields(false))).ok, name
