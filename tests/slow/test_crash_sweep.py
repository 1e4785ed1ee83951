"""kill -9 of API, worker, Temporal, Postgres or Redis at every named point, for every command."""

import pytest

from tests import kills
from tests.fix_service import MountOfTest, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.parametrize("case", list(kills.every_case()), ids=str)
def test_a_crash_leaves_one_outcome(service: Service, mount: MountOfTest, case: kills.Case) -> None:
    kills.run(service, mount, case)
