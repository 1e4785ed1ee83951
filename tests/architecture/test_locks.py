"""Every advisory lock has one name and one number, and nothing takes a lock by a number of its own."""

import re
from collections import Counter
from pathlib import Path

import pytest

from schema.locks import Lock

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = [f for p in ("schema", "activities", "workflows", "api", "workers") for f in (REPOSITORY / p).rglob("*")]
TAKES = re.compile(r"pg_(?:try_)?advisory_(?:xact_)?(?:un)?lock(?:_shared)?\(([^,)]*)")


def taken() -> list[tuple[Path, str]]:
    """Each place where an advisory lock is taken or given back, and the key it names."""
    sources = [file for file in FILES if file.suffix in (".py", ".sql")]
    return [(file, key) for file in sources for key in TAKES.findall(file.read_text(encoding="utf-8"))]


def test_no_two_locks_have_one_number() -> None:
    text = (REPOSITORY / "schema" / "locks.py").read_text(encoding="utf-8")
    numbers = Counter(re.findall(r"^    [A-Z_]+ = (\d+)$", text, flags=re.MULTILINE))
    assert len(numbers) == len(Lock) and set(numbers.values()) == {1}


def test_nothing_takes_a_lock_by_a_number() -> None:
    assert len(taken()) >= 6, "the pattern finds them"
    guilty = [f"{file.relative_to(REPOSITORY)}: {key}" for file, key in taken() if not key.startswith("%")]
    assert guilty == []


@pytest.mark.parametrize("lock", Lock)
def test_each_lock_is_taken_by_one_module(lock: Lock) -> None:
    """What several modules take is one lock with two meanings: a lock of its own is cheaper than the wait."""
    users = [
        file
        for file in FILES
        if file.suffix == ".py" and f"Lock.{lock.name}" in re.sub(r'""".*?"""', "", file.read_text())
    ]
    assert len(users) == 1, users
