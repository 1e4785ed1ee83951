"""How often a command asks the store: every request is a round trip, and a millisecond of work."""

import pytest

from activities.executors.contract.task import Task
from tests.executors.bench_s3 import OutsideBucket
from tests.executors.conftest import Bench
from tests.fix_s3 import S3Mount
from tests.fix_s3_proxy import S3Proxy


@pytest.fixture
def bench(s3_mount: S3Mount, s3_proxy: S3Proxy) -> Bench:
    return Bench(s3_mount.open(s3_proxy.endpoint), OutsideBucket(s3_mount.open()))


def a_task(bench: Bench, kind: str) -> Task:
    match kind:
        case "new file":
            return bench.create(b"d/new", b"content")
        case "new directory":
            return bench.create(b"d/new", None)
        case "replace":
            return bench.replace(b"d/f", b"new", bench.has(b"d/f", b"old"))
        case "move":
            return bench.move(b"d/f", b"d/new", bench.has(b"d/f", b"old"))
        case _:
            return bench.delete(b"d/f", bench.has(b"d/f", b"old"))


@pytest.mark.parametrize(
    ("kind", "before_the_answer", "after_it"),
    [
        ("new file", ["LIST", "PUT"], []),
        ("new directory", ["LIST", "HEAD", "PUT"], []),
        ("replace", ["HEAD", "PUT", "PUT"], []),
        ("move", ["HEAD", "LIST", "PUT"], ["LIST", "HEAD", "DELETE"]),
        ("delete", ["HEAD", "PUT", "LIST", "DELETE"], []),
    ],
)
def test_a_first_execution_asks_for_nothing_that_its_condition_tells(
    bench: Bench, s3_proxy: S3Proxy, kind: str, before_the_answer: list[str], after_it: list[str]
) -> None:
    bench.has(b"d", None)
    bench.done(bench.create(b"d/before", b"the directory is known from now on"))
    task = a_task(bench, kind)
    s3_proxy.asked.clear()
    bench.executor.act(task)
    bench.executor.flush([task])
    assert requests(s3_proxy) == before_the_answer
    bench.executor.finish(task, True)
    assert requests(s3_proxy) == after_it


def requests(proxy: S3Proxy) -> list[str]:
    methods = ["LIST" if "list-type" in target else method for method, target in proxy.asked]
    proxy.asked.clear()
    return methods
