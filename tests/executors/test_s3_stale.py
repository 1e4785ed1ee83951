"""A store that does not show at once what it has taken: what its own answer proves is done, and all else is not done before
somebody has seen it."""

import re

import pytest

from activities.executors.contract.task import Done, Step, Task
from schema.ids import new_command_id
from schema.paths import NodePath
from tests.executors.bench_s3 import OutsideBucket
from tests.executors.conftest import DAY, Bench, again
from tests.fix_s3 import S3Mount
from tests.fix_s3_proxy import Fault, S3Proxy


@pytest.fixture
def bench(s3_mount: S3Mount, s3_proxy: S3Proxy) -> Bench:
    """The executor behind the proxy; the stranger beside it."""
    return Bench(s3_mount.open(s3_proxy.endpoint), OutsideBucket(s3_mount.open()))


def shown_late(times: int) -> Fault:
    """So many looks at the name find nothing."""
    return Fault("HEAD", "/new", times=times, status=404, code="NoSuchKey")


def test_the_answer_to_a_put_is_proof_enough(bench: Bench, s3_proxy: S3Proxy) -> None:
    fault = s3_proxy.on(shown_late(99))
    done = bench.executor.act(bench.create(b"new", b"content"))
    assert isinstance(done, Done) and not done.recognised and done.identity and done.identity.size == 7
    assert fault.struck == 0, "no request looked before the step, nor after it"


def test_the_answer_to_a_copy_that_has_the_etag_of_its_source_is_proof_enough(bench: Bench, s3_proxy: S3Proxy) -> None:
    source = bench.has(b"source", b"content")
    task = bench.copy(bench.sources(b"source"), b"new")
    fault = s3_proxy.on(shown_late(99))
    done = bench.executor.act(task)
    assert isinstance(done, Done) and done.identity == source and fault.struck == 0
    assert bench.outside.read(b"new") == b"content"


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_no_answer_proves_is_not_done_before_it_is_seen(
    bench: Bench, s3_proxy: S3Proxy, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store whose ETags are no hashes: the copy is looked at, and its command runs on until it is there."""
    monkeypatch.setattr("activities.executors.s3.bucket._MD5", re.compile("no hash"))
    bench.has(b"source", b"content")
    task = bench.copy(bench.sources(b"source"), b"new")
    fault = s3_proxy.on(shown_late(times))
    with pytest.raises(OSError, match="not there"):
        bench.executor.act(task)
    s3_proxy.calm()
    assert fault.struck == 1
    s3_proxy.on(shown_late(times - 1))
    done = bench.executor.act(again(task))
    assert isinstance(done, Done) and done.recognised and done.drift is None
    assert bench.outside.read(b"new") == b"content"


def test_an_old_object_that_is_shown_is_never_taken_for_the_new_one(bench: Bench, s3_proxy: S3Proxy) -> None:
    known, source = bench.has(b"new", b"old"), bench.has(b"source", b"content")
    command = new_command_id()
    move = Task(command, Step.MOVE, NodePath(b"source"), expected=source, target=NodePath(b"new"), replaced=known,
                trash=f"{DAY}/{command}.0")  # fmt: skip
    stale_headers = {"ETag": f'"{known.tag}"', "x-amz-meta-filestore-command": "somebody-else"}
    s3_proxy.on(Fault("HEAD", "/new", times=99, headers=stale_headers))
    done = bench.executor.act(move)
    s3_proxy.calm()
    assert isinstance(done, Done) and done.identity is not None
    assert bench.outside.read(b"new") == b"content" and done.identity.tag == source.tag != known.tag
