"""Threads and connections are made by the table of budgets, and a process has no more of them than the table says."""

import ast
import asyncio
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from activities import budgets
from activities.threads import MountThreads
from schema.ids import MountId
from schema.settings import Settings
from workers import wiring

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = [
    file
    for name in ("schema", "activities", "workflows", "api", "workers")
    for file in (REPOSITORY / name).rglob("*.py")
    if not file.is_relative_to(REPOSITORY / "api/sdk")
]
BUILDERS = {
    "ThreadPoolExecutor": {"activities/budgets.py"},
    "ProcessPoolExecutor": set[str](),
    "MountThreads": {"activities/budgets.py"},
    "AsyncConnectionPool": {"schema/store/pool.py"},
    "ConnectionPool": set[str](),
    "make_pool": {"workers/wiring.py"},
    "Thread": {"activities/threads.py", "workers/engine/engine.py"},
}
"""What makes threads or connections, and where that is called"""
MOUNTS = [MountId(number) for number in (1, 2, 3)]


def callers(source: str) -> Iterator[str]:
    """The name of everything that this source calls."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute):
                yield called.attr
            elif isinstance(called, ast.Name):
                yield called.id


def test_the_search_sees_a_planted_pool() -> None:
    assert {"ThreadPoolExecutor", "make_pool"} <= set(callers("import c\nx = c.ThreadPoolExecutor(3)\nmake_pool('')\n"))


@pytest.mark.parametrize("maker", BUILDERS)
def test_only_the_builder_makes_pools(maker: str) -> None:
    found = {
        str(file.relative_to(REPOSITORY)) for file in SOURCES if maker in callers(file.read_text(encoding="utf-8"))
    }
    assert found == BUILDERS[maker]


def test_no_budget_has_the_name_of_another() -> None:
    names = [budget.name for budget in (*budgets.API_PER_MOUNT, *budgets.S3_CALLS)]
    names += [budget.name for budget in budgets.CONNECTIONS]
    assert len(set(names)) == len(names)


def test_a_worker_has_no_threads_that_the_table_gives_to_the_api_alone() -> None:
    assert set(budgets.WORKER_PER_MOUNT) < set(budgets.API_PER_MOUNT)


def api(settings: Settings) -> None:
    wiring.api_parts(settings)


def worker(settings: Settings) -> None:
    wiring.worker_parts(settings)


@pytest.mark.parametrize(
    ("process", "table"), [(api, budgets.API_PER_MOUNT), (worker, budgets.WORKER_PER_MOUNT)], ids=["api", "worker"]
)
async def test_a_process_whose_mounts_all_hang_has_the_threads_of_the_table(
    process: Callable[[Settings], None],
    table: tuple[budgets.MountBudget, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """All that the wiring of a process builds, and for each mount more calls that hang than it has threads. A thread starts
    before its call is waited for: nothing here is a matter of time."""
    built: list[MountThreads] = []

    def build(name: str, size: int) -> MountThreads:
        built.append(MountThreads(name, size))
        return built[-1]

    monkeypatch.setattr(budgets, "MountThreads", build)
    nowhere = {
        "database_url": "postgresql://nobody@127.0.0.1:9/none",
        "redis_url": "inline",
        "spool_path": str(tmp_path),
    }
    process(Settings(**nowhere))  # type: ignore[arg-type]

    before, end = set(threading.enumerate()), threading.Event()
    most = 2 * max(budget.size for budget in table)
    calls = [
        asyncio.ensure_future(threads.run(mount, end.wait))
        for threads in built
        for mount in MOUNTS
        for _ in range(most)
    ]
    try:
        await asyncio.sleep(0)  # each call has begun, and put its work
        started = Counter(thread.name.rpartition("-")[0] for thread in set(threading.enumerate()) - before)
    finally:
        end.set()
        await asyncio.gather(*calls)
    assert started == {f"{budget.name}-{mount}": budget.size for budget in table for mount in MOUNTS}


def test_what_the_budget_builds_is_what_it_says() -> None:
    assert all(isinstance(budget.build(), MountThreads) for budget in budgets.API_PER_MOUNT)
    for budget in budgets.S3_CALLS:
        with budget.build() as pool:
            assert pool._max_workers == budget.size


def section() -> str:
    text = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")
    return text.partition("## Threads and connections")[2].partition("\n## ")[0]


def rows() -> set[tuple[str, str]]:
    """Name and size of each row of the table in the documentation."""
    return set(re.findall(r"^\| `([a-z0-9-]+)` \| (\S+) \|", section(), flags=re.M))


def test_the_documentation_shows_the_table() -> None:
    threads = {(budget.name, str(budget.size)) for budget in (*budgets.API_PER_MOUNT, *budgets.S3_CALLS)}
    assert rows() == threads | {(budget.name, f"{budget.least}-{budget.size}") for budget in budgets.CONNECTIONS}


def test_the_documentation_adds_up_the_threads_of_a_mount() -> None:
    api, worker = (sum(one.size for one in table) for table in (budgets.API_PER_MOUNT, budgets.WORKER_PER_MOUNT))
    assert f"That is {api} threads of a local mount in an API process and {worker} in a worker." in section()
