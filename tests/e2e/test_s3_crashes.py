"""A few crashes on a mount in a bucket; tests/slow/test_s3_crashes.py has all of them."""

import pytest

from tests import kills_s3
from tests.fix_s3_service import MountInBucket
from tests.fix_service import MountOfTest, Service
from tests.kills_s3 import Case

CASES = [
    Case("api", "apply.flushed", "large"),
    Case("api", "commit.committed", "move"),
    Case("worker", "apply.acted", "delete"),
    Case("worker", "commit.committed", "move_tree"),
    Case("worker", "finish.cleared", "tree_away"),
]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_crash_leaves_one_outcome(service: Service, s3: MountInBucket, mount: MountOfTest, case: Case) -> None:
    kills_s3.run(service, s3, mount, case)
