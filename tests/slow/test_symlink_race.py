"""A million tries to get out of the mount through a folder that becomes a link: not one may succeed."""

import os
from pathlib import Path

import pytest

from tests.executors.conftest import Bench, disk, root
from tests.executors.symlink_race import Race

__all__ = ["disk", "root"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_not_one_of_a_million_steps_escapes(disk: Bench, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    assert Race(disk, root).run(1_000_000).total() >= 1_000_000
