"""What the tests of a local disk share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.executors.conftest import DAY, Bench, OutsideDisk


@pytest.fixture(autouse=True)
def no_stranger_leaks(disk: Bench) -> Iterator[None]:
    yield
    reserved = Path(os.fsdecode(disk.outside.at(b".filestore"))) if isinstance(disk.outside, OutsideDisk) else None
    if reserved and reserved.is_dir():
        assert not list(reserved.glob("probe.*")) + list(reserved.glob("mount.json.*"))
        assert {day.name for day in (reserved / "trash").glob("*")} <= {DAY, "kept"}
