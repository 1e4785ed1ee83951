"""The service and the model of a mount agree on every answer, and on all that can be seen. The long version, with crashes,
is tests/slow/test_walk_with_crashes.py."""

import os

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.fix_s3_service import MountInBucket
from tests.fix_service import MountOfTest, Service
from tests.model.machine import machine_on, walks

SEED = int(os.environ.get("MODEL_SEED", "20261121"))


@pytest.mark.timeout(600)
def test_the_service_does_what_the_model_says(service: Service, mount: MountOfTest) -> None:
    print(f"MODEL_SEED={SEED}")
    machine = hypothesis.seed(SEED)(machine_on(service, mount))
    run_state_machine_as_test(machine, settings=walks(examples=int(os.environ.get("MODEL_WALKS", "6")), steps=25))
    for (kind, status, code), times in sorted(machine.tally.items(), key=str):
        print(f"{kind:10} {status} {code or ''} x{times}")


@pytest.mark.timeout(600)
def test_in_a_bucket_it_does_the_same(service: Service, s3: MountInBucket) -> None:
    print(f"MODEL_SEED={SEED}")
    machine = hypothesis.seed(SEED)(machine_on(service, s3))
    run_state_machine_as_test(machine, settings=walks(examples=int(os.environ.get("MODEL_WALKS", "2")), steps=25))
