"""The model beside a service that dies all the time: one client's walk, and many clients whose history must fit one order."""

import asyncio
import os

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.fix_service import MountOfTest, Service
from tests.model import clients
from tests.model.linearizable import check
from tests.model.machine import CrashingMachine, machine_on, walks

SEED = int(os.environ.get("MODEL_SEED", "20261121"))


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_service_does_what_the_model_says_whenever_it_dies(service: Service, mount: MountOfTest) -> None:
    print(f"MODEL_SEED={SEED}")
    machine = hypothesis.seed(SEED)(machine_on(service, mount, CrashingMachine))
    run_state_machine_as_test(machine, settings=walks(int(os.environ.get("MODEL_WALKS", "12")), steps=30))
    for (kind, status, code), times in sorted(machine.tally.items(), key=str):
        print(f"{kind:10} {status} {code or ''} x{times}")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(6))
async def test_every_answer_fits_one_order_though_the_service_dies(
    service: Service, mount: MountOfTest, number: int
) -> None:
    """kill -9 of the API, at even numbers of the worker too, while eight clients are at work."""
    print(f"MODEL_SEED={SEED}")
    history = clients.begin(mount)
    working = asyncio.create_task(clients.work(history, service, SEED + number, 8, 12, ("t", "u"), patience=60))
    await asyncio.sleep(0.4 + 0.15 * number)
    for name in ("api", "worker") if number % 2 == 0 else ("api",):
        service.kill(name)
    await asyncio.to_thread(service.ensure_running)
    await working
    found = check(history.operations, history.start, history.ids)
    print(found, dict(history.tally()))
    assert found.ok, str(found)
