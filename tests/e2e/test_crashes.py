"""A seeded sample of the crash sweep; `make test-slow` runs all of it (tests/slow/test_crash_sweep.py)."""

import os

import pytest

from tests import kills
from tests.fix_service import MountOfTest, Service

SEED = int(os.environ.get("CRASH_SEED", "20261121"))


@pytest.mark.parametrize("case", kills.sample(SEED, 10), ids=str)
def test_a_crash_leaves_one_outcome(service: Service, mount: MountOfTest, case: kills.Case) -> None:
    kills.run(service, mount, case)
