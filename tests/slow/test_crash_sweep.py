"""kill -9 of API, worker, Temporal, Postgres or Redis at every named point, for every command that passes it."""

import pytest

from tests import kills

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("crash", list(kills.every_crash()), ids=str)
def test_a_crash_leaves_one_outcome(scene: kills.Scene, crash: kills.Crash) -> None:
    kills.run(scene, crash)
