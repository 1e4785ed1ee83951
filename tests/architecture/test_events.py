"""One list of events: what is written is in it, what is in it is documented."""

import re
from pathlib import Path

import pytest

from schema.events import STREAM_POSITION, STREAM_RESET, EventType

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ["schema", "activities", "workflows", "api", "workers"]
NAME = re.compile(
    r"filestore\.(?:node|command|drift|reconciliation|rollup|quota|approval|stream|object|path|project)\.[a-z.]+[a-z]"
)


@pytest.mark.parametrize("name", [*EventType, STREAM_RESET, STREAM_POSITION])
def test_an_event_is_documented(name: str) -> None:
    assert f"`{name}`" in (REPOSITORY / "docs" / "http.md").read_text(encoding="utf-8")


def test_nobody_writes_an_event_that_is_not_in_the_list() -> None:
    files = [file for package in PACKAGES for kind in ("*.py", "*.sql") for file in (REPOSITORY / package).rglob(kind)]
    written = {name for file in files for name in NAME.findall(file.read_text(encoding="utf-8"))}
    assert EventType.NODE_CREATED in written, "the pattern finds them"
    assert written - {STREAM_RESET, STREAM_POSITION} <= set(EventType)
