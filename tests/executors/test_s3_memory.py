"""What a stream of a bucket holds in memory while its client, or the store, stands still: the part of the budget it was given."""

import gc
import hashlib
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from activities import budgets
from activities.executors.kinds import KINDS, PIECES
from activities.executors.s3.bucket import Bucket, UploadedPart
from activities.executors.s3.content import AHEAD, BLOCK
from activities.executors.s3.upload import PART
from schema.ids import new_command_id
from schema.paths import NodePath
from tests.executors.bench_s3 import outside
from tests.executors.conftest import Bench
from tests.fix_s3 import S3Mount

STREAMS = 2
"""Whatever holds for two of them holds for forty: they share nothing that grows."""


@pytest.fixture
def bench(s3_mount: S3Mount) -> Bench:
    return Bench(*outside(s3_mount))


@pytest.fixture
def held() -> Iterator[Callable[[], int]]:
    """Bytes that Python has allocated since."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    yield lambda: tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()


def test_readers_that_stall_hold_their_part_and_nothing_after_they_are_closed(
    bench: Bench, held: Callable[[], int]
) -> None:
    content = os.urandom((AHEAD + 3) * BLOCK)
    bench.outside.put(b"large", content)
    del content
    start = held()
    readers = [bench.executor.open(NodePath(b"large")) for _ in range(STREAMS)]
    pieces = [reader.read(0, 1 << 20) for reader in readers]
    pieces = [reader.read(1 << 20, 1 << 20) for reader in readers]
    for reader in readers:
        for block in list(reader._blocks.values()):  # type: ignore[attr-defined]
            block.result()  # all that is read ahead has come: now no reader takes it
    full = held() - start
    assert full >= STREAMS * AHEAD * BLOCK, "they read ahead"
    assert full <= STREAMS * KINDS["s3"].reading
    for reader in readers:
        reader.close()
    del pieces, block
    gc.collect()
    assert held() - start <= PIECES


def test_writers_hold_their_part_while_the_store_takes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, held: Callable[[], int]
) -> None:
    """They wait with the next part when all that may be on their way are: a client that sends on is not read."""
    reached, go = threading.Semaphore(0), threading.Event()
    real = Bucket.put_part

    def stuck(self: Bucket, key: str, upload: str, number: int, content: bytes, sha256: bytes) -> UploadedPart:
        reached.release()
        go.wait()
        return real(self, key, upload, number, content, sha256)

    monkeypatch.setattr(Bucket, "put_part", stuck)
    piece, sent = os.urandom(1 << 20), [0] * STREAMS
    pieces = (budgets.S3_PARTS.size + 3) * PART // len(piece)
    start, ends = held(), list[tuple[int, bytes]]()

    def send(which: int) -> None:
        writer = bench.executor.open_stage(new_command_id(), NodePath(b"large%d" % which))
        for _ in range(pieces):
            writer.write(piece)
            sent[which] += 1
        stage = writer.close()
        ends.append((stage.identity.size, stage.sha256 or b""))

    clients = [threading.Thread(target=send, args=(which,)) for which in range(STREAMS)]
    for client in clients:
        client.start()
    try:
        for _ in range(STREAMS * budgets.S3_PARTS.size):
            assert reached.acquire(timeout=60)
        full_at = (budgets.S3_PARTS.size + 1) * PART // len(piece)
        while min(sent) < full_at:
            assert all(client.is_alive() for client in clients)
            threading.Event().wait(0.01)
        assert held() - start <= STREAMS * KINDS["s3"].writing
        assert max(sent) <= full_at, "no more is taken in than may be held"
    finally:
        go.set()
    for client in clients:
        client.join()
    assert ends == [(pieces * len(piece), hashlib.sha256(piece * pieces).digest())] * STREAMS
    gc.collect()
    assert held() - start <= PIECES
