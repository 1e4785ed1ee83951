"""How a sample of the cases is chosen, and that the rest is run with the slow tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sampling import chosen

REPOSITORY = Path(__file__).resolve().parents[2]
CASES = [f"test_x[{number}]" for number in range(40)]

EXAMPLE = """
import pytest

@pytest.mark.sampled(3)
@pytest.mark.parametrize("number", range(10))
def test_example(number):
    assert number < 10

def test_other():
    pass
"""


def test_a_seed_chooses_the_same_cases_in_any_order() -> None:
    assert chosen(CASES, 5, 7) == chosen(CASES[::-1], 5, 7)
    assert len(chosen(CASES, 5, 7)) == 5 and chosen(CASES, 99, 7) == set(CASES)


def test_seeds_choose_others_and_miss_none_for_ever() -> None:
    samples = [chosen(CASES, 5, seed) for seed in range(100)]
    assert len(set(samples)) > 50 and frozenset.union(*samples) == set(CASES)


def collected(folder: Path, *arguments: str) -> set[str]:
    (folder / "test_example.py").write_text(EXAMPLE)
    (folder / "conftest.py").write_text('pytest_plugins = ["tests.sampling"]\n')
    (folder / "pytest.ini").write_text(f"[pytest]\nmarkers =\n  slow\n  sampled\npythonpath = {REPOSITORY}\n")
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", *arguments]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return {line.partition("::")[2] for line in said.stdout.splitlines() if "::" in line}


def test_what_is_not_in_the_sample_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUITE_SEED", "5")
    quick, slow = collected(tmp_path, "-m", "not slow"), collected(tmp_path, "-m", "slow")
    assert len(quick) == 4 and "test_other" in quick and len(slow) == 7
    assert quick | slow == {f"test_example[{number}]" for number in range(10)} | {"test_other"}
    assert quick == collected(tmp_path, "-m", "not slow")
