"""A sample of a test's cases in `make test`, all of them in `make test-slow`.

`@pytest.mark.sampled(12)` on a parametrized test: twelve of its cases are chosen by SUITE_SEED, and the others are marked
`slow`. A new seed is drawn for each run and printed when a test fails; `SUITE_SEED=n` chooses the same cases again.
"""

import os
import random
from collections import defaultdict
from collections.abc import Sequence

import pytest

# Set before the processes of pytest-xdist start: all of them have to choose the same.
SEED = int(os.environ.setdefault("SUITE_SEED", str(random.randrange(10_000))))


def chosen(cases: Sequence[str], most: int, seed: int) -> frozenset[str]:
    """The same for the same seed, whatever the order of the cases."""
    names = sorted(cases)
    return frozenset(random.Random(f"{seed}/{names[0]}").sample(names, min(most, len(names)))) if names else frozenset()


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    cases: dict[tuple[str, int], list[pytest.Item]] = defaultdict(list)
    for item in items:
        if mark := item.get_closest_marker("sampled"):
            cases[item.nodeid.partition("[")[0], mark.args[0]].append(item)
    for (_, most), those in cases.items():
        kept = chosen([item.nodeid for item in those], most, SEED)
        for item in those:
            if item.nodeid not in kept:
                item.add_marker(pytest.mark.slow)


def pytest_report_header() -> str:
    return f"SUITE_SEED={SEED}"


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(f"The same cases again: SUITE_SEED={SEED}")
