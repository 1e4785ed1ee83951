"""The folder of resumable uploads."""

from pathlib import Path

import pytest

from tests.api.conftest import FrontOfTest
from tests.api.tus.helpers import change


@pytest.fixture(autouse=True)
def spool(front: FrontOfTest, tmp_path: Path) -> Path:
    """The folder of uploads, made when it is first needed."""
    change(front, spool_path=str(tmp_path / "spool"), upload_max_bytes=2**30)
    return tmp_path / "spool" / "uploads"
