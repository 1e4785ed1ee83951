"""A store and a line that misbehave: each case ends in the named error or in a right result, and doing it again then has
exactly one effect."""

import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from activities.executors.contract.stage import Source
from activities.executors.contract.task import Done, Refused, Result, Step, Task
from activities.executors.s3 import upload as s3_upload
from activities.executors.s3.executor import S3Executor
from activities.executors.s3.wire import account as s3_account
from schema.errors import MountOffline, StorageFull
from schema.ids import new_command_id
from schema.paths import NodePath
from tests.executors.bench_s3 import OutsideBucket, uploads_of
from tests.executors.conftest import DAY, Bench
from tests.fix_s3 import S3Mount
from tests.fix_s3_proxy import Fault, S3Proxy

MIB = 1 << 20


@pytest.fixture
def bench(s3_mount: S3Mount, s3_proxy: S3Proxy) -> Bench:
    """The executor behind the proxy; the stranger beside it."""
    return Bench(s3_mount.open(s3_proxy.endpoint), OutsideBucket(s3_mount.open()))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Parts as small as a store takes them."""
    monkeypatch.setattr(s3_upload, "PART", 5 * MIB)
    yield 5 * MIB


def again(task: Task) -> Task:
    return replace(task, attempt=task.attempt + 1)


def ends_well(bench: Bench, task: Task, path: bytes, content: bytes) -> None:
    """A later attempt finds its effect or takes it, and there is one."""
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and result.drift is None, result
    assert bench.outside.read(path) == content
    bench.executor.flush([task])
    bench.executor.finish(task, True)
    assert bench.outside.stages() == {}


WRITES = [
    Fault("PUT", status=503, code="SlowDown", times=5),
    Fault("PUT", status=503, code="ServiceUnavailable"),
    Fault("PUT", status=500, code="InternalError"),
    Fault("PUT", cut_request=0),
    Fault("PUT", cut_request=1),
    Fault("PUT", cut_request=70_000),
    Fault("PUT", cut_request=99_999),
    Fault("PUT", cut_answer=-1),
    Fault("PUT", cut_answer=0, headers={"Content-Length": "10"}),
]


def story(fault: Fault) -> str:
    shown = {k: v for k, v in vars(fault).items() if v not in (0, 0.0, "", None, False, 1, {}) or k.startswith("cut")}
    return "-".join(f"{name}={value}" for name, value in shown.items() if value is not None)


@pytest.mark.parametrize("fault", WRITES, ids=story)
def test_a_put_that_breaks_is_said_and_done_once_by_the_next_attempt(
    bench: Bench, s3_proxy: S3Proxy, fault: Fault
) -> None:
    content = os.urandom(100_000)
    task = bench.create(b"file", content)
    s3_proxy.on(replace(fault))
    with pytest.raises(MountOffline):
        bench.executor.act(task)
    s3_proxy.calm()
    ends_well(bench, task, b"file", content)


def test_an_answer_that_is_lost_after_the_put_is_recognised_and_nothing_is_put_twice(
    bench: Bench, s3_proxy: S3Proxy
) -> None:
    task = bench.create(b"file", b"content")
    s3_proxy.on(Fault("PUT", cut_answer=-1))
    with pytest.raises(MountOffline):
        bench.executor.act(task)
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and result.recognised
    assert s3_proxy.count("PUT", "/file") == 1


def test_the_very_same_attempt_recognises_an_effect_whose_answer_was_lost(bench: Bench, s3_proxy: S3Proxy) -> None:
    task = bench.create(b"file", b"content")
    s3_proxy.on(Fault("PUT", cut_answer=-1))
    with pytest.raises(MountOffline):
        bench.executor.act(task)
    result = bench.executor.act(task)
    assert isinstance(result, Done) and result.recognised


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT", "/file", flip=True),
        Fault("PUT", "/file", headers={"x-amz-checksum-sha256": "A" * 43 + "="}),
        Fault("PUT", "/file", status=400, code="BadDigest"),
        Fault("PUT", "/file", status=418, code="Teapot"),
    ],
    ids=["changed on the way", "another checksum told", "refused", "not understood"],
)
def test_a_wrong_checksum_is_an_error_and_never_a_success(bench: Bench, s3_proxy: S3Proxy, fault: Fault) -> None:
    task = bench.create(b"file", b"content")
    s3_proxy.on(replace(fault))
    with pytest.raises(OSError) as raised:
        bench.executor.act(task)
    assert raised.value.errno == errno.EIO
    ends_well(bench, task, b"file", b"content")


def test_a_put_that_tells_no_etag_is_not_trusted(bench: Bench, s3_proxy: S3Proxy) -> None:
    task = bench.create(b"file", b"content")
    s3_proxy.on(Fault("PUT", "/file", headers={"ETag": '""'}))
    with pytest.raises(OSError, match="ETag"):
        bench.executor.act(task)
    ends_well(bench, task, b"file", b"content")


CREDENTIALS = {
    "ExpiredToken": "expired",
    "InvalidAccessKeyId": "access key",
    "SignatureDoesNotMatch": "secret key",
    "RequestTimeTooSkewed": "clock",
    "AccessDenied": "permit",
    "NoSuchBucket": "bucket",
}


@pytest.mark.parametrize("code", CREDENTIALS)
def test_what_is_wrong_with_the_mount_is_said_in_words_that_help(bench: Bench, s3_proxy: S3Proxy, code: str) -> None:
    task = bench.create(b"file", b"content")
    s3_proxy.on(Fault("PUT", status=403 if code != "NoSuchBucket" else 404, code=code))
    with pytest.raises(MountOffline, match=CREDENTIALS[code]):
        bench.executor.act(task)
    ends_well(bench, task, b"file", b"content")


@pytest.mark.parametrize("code", CREDENTIALS)
def test_a_check_says_the_same(s3_mount: S3Mount, s3_proxy: S3Proxy, code: str) -> None:
    executor = s3_mount.open(s3_proxy.endpoint)
    s3_proxy.on(Fault("GET", status=403 if code != "NoSuchBucket" else 404, code=code))
    with pytest.raises(MountOffline, match=CREDENTIALS[code]):
        executor.check()
    executor.check()


def test_no_secret_stands_in_an_error_or_a_repr(s3_mount: S3Mount) -> None:
    executor = s3_mount.open(secretAccessKey="canary-of-a-secret", sessionToken="canary-of-a-token")
    with pytest.raises(MountOffline) as raised:
        executor.check()
    chain, texts = raised.value.__cause__, [repr(raised.value), raised.value.message]
    while chain is not None:
        texts.append(repr(chain) + str(chain))
        chain = chain.__cause__ or chain.__context__
    account = s3_account.account_of({}, {"accessKeyId": "canary-of-a-key", "secretAccessKey": "canary-of-a-secret"})
    texts += [repr(executor), repr(vars(executor)), repr(account)]
    assert "canary" not in "".join(texts)


@pytest.mark.parametrize(("status", "code"), [(507, "Whatever"), (403, "QuotaExceeded"), (503, "InsufficientCapacity")])
def test_a_full_store_is_a_refusal_that_can_pass(bench: Bench, s3_proxy: S3Proxy, status: int, code: str) -> None:
    task = bench.create(b"file", b"content")
    s3_proxy.on(Fault("PUT", status=status, code=code))
    result = bench.executor.act(task)
    assert isinstance(result, Refused) and result.code == StorageFull.code


def test_a_store_that_hangs_holds_nobody_longer_than_its_timeout(
    bench: Bench, s3_mount: S3Mount, s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_account, "READ_SECONDS", 0.5)
    executor = s3_mount.open(s3_proxy.endpoint)
    task = bench.create(b"file", b"content")
    s3_proxy.on(Fault("PUT", hang_seconds=3))
    with pytest.raises(MountOffline, match="in time"):
        executor.act(task)
    ends_well(bench, task, b"file", b"content")


def test_nobody_listens(s3_mount: S3Mount) -> None:
    with pytest.raises(MountOffline, match="connection"):
        s3_mount.open("http://127.0.0.1:9").check()


def test_a_conflict_of_writers_is_looked_at_again(bench: Bench, s3_proxy: S3Proxy) -> None:
    task = bench.create(b"file", b"content")
    s3_proxy.on(Fault("PUT", status=409, code="ConditionalRequestConflict", times=2))
    assert isinstance(bench.executor.act(task), Done)
    other = bench.create(b"other", b"content")
    s3_proxy.on(Fault("PUT", status=409, code="ConditionalRequestConflict", times=99))
    result = bench.executor.act(other)
    assert isinstance(result, Refused) and result.code == "PATH_BUSY"


# -- copies ------------------------------------------------------------------------------------------------------------


def assert_nothing_was_asked_for(result: Result) -> None:
    """It broke on the way to the visible step: an answer for the client, which tries again, and no later execution."""
    assert isinstance(result, Refused) and result.code == "MOUNT_OFFLINE", result


COPIES = [
    Fault("PUT", only_copies=True, inside=True, code="InternalError"),
    Fault("PUT", only_copies=True, inside=True, code="SlowDown"),
    Fault("PUT", only_copies=True, status=503, code="SlowDown"),
    Fault("PUT", only_copies=True, cut_answer=-1),
    Fault("PUT", only_copies=True, cut_request=0),
]


@pytest.mark.parametrize("fault", COPIES, ids=story)
def test_a_move_whose_copy_breaks_loses_nothing_and_is_done_once(bench: Bench, s3_proxy: S3Proxy, fault: Fault) -> None:
    known = bench.has(b"old", b"content")
    task = Task(new_command_id(), Step.MOVE, NodePath(b"old"), expected=known, target=NodePath(b"new"))
    s3_proxy.on(replace(fault))
    with pytest.raises(MountOffline):
        bench.executor.act(task)
    assert bench.outside.read(b"old") == b"content"
    ends_well(bench, task, b"new", b"content")
    assert bench.outside.read(b"old") is None


@pytest.mark.parametrize("fault", COPIES, ids=story)
def test_a_delete_whose_copy_breaks_deletes_nothing(bench: Bench, s3_proxy: S3Proxy, fault: Fault) -> None:
    task = bench.delete(b"file", bench.has(b"file", b"content"))
    s3_proxy.on(replace(fault))
    assert_nothing_was_asked_for(bench.executor.act(task))
    assert bench.outside.read(b"file") == b"content"
    assert isinstance(bench.executor.act(again(task)), Done)
    assert bench.outside.read(b"file") is None
    assert bench.outside.trash() == {task.trash: b"content"}


@pytest.mark.parametrize("fault", COPIES, ids=story)
def test_a_replace_whose_copy_breaks_replaces_nothing(bench: Bench, s3_proxy: S3Proxy, fault: Fault) -> None:
    task = bench.replace(b"file", b"new", bench.has(b"file", b"old"))
    s3_proxy.on(replace(fault))
    assert_nothing_was_asked_for(bench.executor.act(task))
    assert bench.outside.read(b"file") == b"old"
    ends_well(bench, task, b"file", b"new")
    assert bench.outside.trash() == {task.trash: b"old"}


def test_what_a_refused_step_left_in_the_trash_is_cleared(bench: Bench, s3_proxy: S3Proxy) -> None:
    task = bench.delete(b"file", bench.has(b"file", b"content"))
    s3_proxy.on(Fault("PUT", only_copies=True, cut_answer=-1))  # the store has made the copy
    assert_nothing_was_asked_for(bench.executor.act(task))
    assert bench.outside.trash() == {task.trash: b"content"}
    bench.executor.finish(task, succeeded=False)
    assert bench.outside.trash() == {} and bench.outside.read(b"file") == b"content"


def test_an_error_nobody_knows_inside_of_a_good_answer_is_an_error(bench: Bench, s3_proxy: S3Proxy) -> None:
    known = bench.has(b"old", b"content")
    task = Task(new_command_id(), Step.MOVE, NodePath(b"old"), expected=known, target=NodePath(b"new"))
    s3_proxy.on(Fault("PUT", only_copies=True, inside=True, code="NotAnErrorAnybodyKnows"))
    with pytest.raises(MountOffline, match="NotAnErrorAnybodyKnows"):
        bench.executor.act(task)
    assert bench.outside.read(b"old") == b"content"
    ends_well(bench, task, b"new", b"content")


@pytest.mark.parametrize(
    "fault", [Fault("DELETE", cut_answer=-1), Fault("DELETE", status=503, code="SlowDown")], ids=story
)
def test_a_delete_that_breaks_at_its_step_is_done_once(bench: Bench, s3_proxy: S3Proxy, fault: Fault) -> None:
    task = bench.delete(b"file", bench.has(b"file", b"content"))
    s3_proxy.on(replace(fault))
    with pytest.raises(MountOffline):
        bench.executor.act(task)
    result = bench.executor.act(again(task))
    assert isinstance(result, Done) and result.drift is None
    assert bench.outside.read(b"file") is None
    assert bench.outside.trash() == {task.trash: b"content"}


def test_a_staged_copy_that_breaks_can_be_made_again(bench: Bench, s3_proxy: S3Proxy) -> None:
    known = bench.has(b"file", b"content")
    source = Source(b"", "file", known, NodePath(b"file"), sha256=hashlib.sha256(b"content").digest())
    stage = new_command_id()
    s3_proxy.on(Fault("PUT", only_copies=True, cut_answer=-1))
    with pytest.raises(MountOffline):
        list(bench.executor.stage_copy(stage, [source]))
    (copied,) = bench.executor.stage_copy(stage, [source])
    task = Task(stage, Step.CREATE, NodePath(b"copy"), stage, copied.identity)
    assert isinstance(bench.done(task), Done)
    assert bench.outside.read(b"copy") == b"content"


# -- parts -------------------------------------------------------------------------------------------------------------


def streamed(executor: S3Executor, path: bytes, content: bytes) -> Task:
    stage = new_command_id()
    writer = executor.open_stage(stage, NodePath(path))
    for start in range(0, len(content), MIB):
        writer.write(content[start : start + MIB])
    sealed = writer.close()
    executor.seal([], [stage])
    return Task(stage, Step.CREATE, NodePath(path), stage, sealed.identity)


ENDS = [
    Fault("POST", "uploadId", inside=True, code="InternalError"),
    Fault("POST", "uploadId", status=503, code="SlowDown"),
    Fault("POST", "uploadId", cut_answer=-1),
    Fault("POST", "uploadId", cut_request=10),
]


@pytest.mark.parametrize("fault", ENDS, ids=story)
def test_an_upload_whose_end_breaks_appears_once(
    s3_mount: S3Mount, s3_proxy: S3Proxy, small_parts: int, fault: Fault
) -> None:
    executor = s3_mount.open(s3_proxy.endpoint)
    bench = Bench(executor, OutsideBucket(s3_mount.open()))
    content = os.urandom(2 * small_parts + 77)
    task = streamed(executor, b"big", content)
    s3_proxy.on(replace(fault))
    with pytest.raises(MountOffline):
        executor.act(task)
    ends_well(bench, task, b"big", content)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT", "partNumber=2", status=503, code="SlowDown"),
        Fault("PUT", "partNumber=2", cut_request=100_000),
        Fault("PUT", "partNumber=1", cut_answer=-1),
    ],
    ids=story,
)
def test_a_stream_that_breaks_leaves_neither_stage_nor_upload(
    s3_mount: S3Mount, s3_proxy: S3Proxy, small_parts: int, fault: Fault
) -> None:
    executor = s3_mount.open(s3_proxy.endpoint)
    s3_proxy.on(replace(fault))
    with pytest.raises(MountOffline):
        streamed(executor, b"big", os.urandom(4 * small_parts))
    assert OutsideBucket(executor).stages() == {}
    assert uploads_of(executor) == []


def test_a_spooled_file_goes_on_with_the_part_that_broke(
    s3_mount: S3Mount, s3_proxy: S3Proxy, small_parts: int
) -> None:
    executor = s3_mount.open(s3_proxy.endpoint)
    bench = Bench(executor, OutsideBucket(s3_mount.open()))
    content = os.urandom(4 * small_parts + 5)
    task = bench.create(b"big", content)
    s3_proxy.on(Fault("PUT", "partNumber=4", status=503, code="SlowDown"))
    with pytest.raises(MountOffline):
        executor.act(task)
    arrived = s3_proxy.count("PUT", "partNumber=")
    ends_well(bench, task, b"big", content)
    assert s3_proxy.count("PUT", "partNumber=") == 5, f"{arrived} parts had arrived before"


def test_a_part_that_is_changed_on_its_way_is_never_part_of_the_file(
    s3_mount: S3Mount, s3_proxy: S3Proxy, small_parts: int
) -> None:
    executor = s3_mount.open(s3_proxy.endpoint)
    s3_proxy.on(Fault("PUT", "partNumber=1", flip=True))
    with pytest.raises(OSError):
        streamed(executor, b"big", os.urandom(2 * small_parts))


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault("GET", "/file", cut_answer=at) for at in (-1, 0, 1, 65_536, 262_143)),
        *(Fault("GET", "/file", end_answer=at) for at in (0, 1, 65_536, 262_143)),
        Fault("GET", "/file", status=503, code="SlowDown"),
    ],
    ids=story,
)
def test_a_truncated_download_is_an_error_and_never_a_short_read(
    s3_mount: S3Mount, s3_proxy: S3Proxy, fault: Fault
) -> None:
    executor = s3_mount.open(s3_proxy.endpoint)
    outside = OutsideBucket(s3_mount.open())
    content = os.urandom(700_000)
    outside.put(b"file", content)
    s3_proxy.on(replace(fault))
    with pytest.raises(MountOffline):
        executor.open(NodePath(b"file"))
    opened = executor.open(NodePath(b"file"))
    s3_proxy.on(replace(fault, struck=0))
    with pytest.raises(MountOffline):
        opened.read(300_000, 400_000)
    assert opened.read(300_000, 400_000) == content[300_000:]
    opened.close()


def test_a_range_that_is_another_one_is_an_error(s3_mount: S3Mount, s3_proxy: S3Proxy) -> None:
    executor = s3_mount.open(s3_proxy.endpoint)
    OutsideBucket(executor).put(b"file", os.urandom(1000))
    s3_proxy.on(Fault("GET", "/file", headers={"Content-Range": "bytes 0-999/5000"}))
    with pytest.raises(OSError):
        executor.open(NodePath(b"file"))


def test_a_mount_that_went_away_is_never_an_empty_one(bench: Bench, s3_proxy: S3Proxy) -> None:
    """The object is said to be missing, and then the whole bucket is: nothing is concluded from the first."""
    known = bench.has(b"file", b"content")
    task = bench.delete(b"file", known)
    s3_proxy.on(Fault("HEAD", "/file", status=404, code="NoSuchKey"))
    s3_proxy.on(Fault("GET", "mount.json", status=404, code="NoSuchBucket"))
    assert_nothing_was_asked_for(bench.executor.act(task))
    s3_proxy.on(Fault("GET", "/file", status=404, code="NoSuchKey"))
    s3_proxy.on(Fault("GET", "mount.json", status=404, code="NoSuchBucket"))
    with pytest.raises(MountOffline):
        bench.executor.open(NodePath(b"file"))
    assert task.trash == f"{DAY}/{task.command}.0" and bench.outside.read(b"file") == b"content"


def test_a_walk_that_breaks_never_ends_as_if_it_were_whole(bench: Bench, s3_proxy: S3Proxy) -> None:
    bench.has(b"file", b"content")
    s3_proxy.on(Fault("GET", "list-type=2", cut_answer=100))
    with pytest.raises(MountOffline):
        list(bench.executor.walk())
    s3_proxy.on(Fault("GET", "mount.json", status=404, code="NoSuchBucket"))
    with pytest.raises(MountOffline):
        list(bench.executor.walk())
    assert [entry.path.raw for entry in bench.executor.walk()] == [b"file"]
