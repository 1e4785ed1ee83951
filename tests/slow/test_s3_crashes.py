"""kill -9 of API and worker at the points of the protocol, for commands on a mount in a bucket and onto one."""

import pytest

from tests import kills_s3
from tests.fix_s3_service import MountInBucket
from tests.fix_service import MountOfTest, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.parametrize("case", list(kills_s3.every_case()), ids=str)
def test_a_crash_leaves_one_outcome(
    service: Service, s3: MountInBucket, mount: MountOfTest, case: kills_s3.Case
) -> None:
    kills_s3.run(service, s3, mount, case)
