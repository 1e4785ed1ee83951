"""A seeded sample of the crash sweep; `make test-slow` runs all of it (tests/slow/test_crash_sweep.py)."""

import os

import pytest

from tests import kills

SEED = int(os.environ.get("CRASH_SEED", "20261121"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("crash", kills.sample(SEED), ids=str)
def test_a_crash_leaves_one_outcome(scene: kills.Scene, crash: kills.Crash) -> None:
    kills.run(scene, crash)
