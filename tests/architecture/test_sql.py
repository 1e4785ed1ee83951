"""SQL is read like other source: a statement fits on a page, a line on a screen."""

from pathlib import Path

import pytest

from schema.sql import load

SCHEMA = Path(__file__).resolve().parents[2] / "schema"
LINE_MAX = 132
STATEMENT_MAX = 65
"""Lines: a page, with the comment that says what for"""
APPLIED = ("0001_core.sql", "0002_atomic.sql")
"""Applied migrations are history, and editing them is refused: these two are older than the rule."""

FILES = sorted(file for file in SCHEMA.rglob("*.sql") if file.name not in APPLIED)
NOUNS = sorted(file.stem for file in (SCHEMA / "sql").glob("*.sql"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_line_is_wider_than_a_screen(file: Path) -> None:
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    assert [(number, len(line)) for number, line in lines if len(line) > LINE_MAX] == []


@pytest.mark.parametrize("noun", NOUNS)
def test_each_statement_fits_on_a_page(noun: str) -> None:
    lengths = {name: len(text.splitlines()) for name, text in load(noun).items()}
    assert {name: length for name, length in lengths.items() if length > STATEMENT_MAX} == {}


def test_the_rules_look_at_every_file() -> None:
    assert {"schema.sql", "record.sql", "trees.sql", "0008_record_functions.sql"} <= {file.name for file in FILES}
    assert {"record", "begin", "answers", "trees"} <= set(NOUNS)
