"""boto3 against obstore against the service's own requests, on the S3 server the usual variables name: median and best of rounds.

    python -m tests.bench.s3_clients [rounds]      (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)

Ratios are told against boto3. Single numbers on a shared machine mean little; the order between clients holds.
"""

import hashlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import obstore

from tests.bench import bucket
from tests.bench.running import BUCKET

KEYS, SMALL, BIG, PART = 1000, b"x" * 1024, 64 << 20, 8 << 20
FLOCK = 16
"""Calls in flight, where calls are made at once"""

Run = Callable[[], object]


def main(rounds: int) -> None:
    client, own = bucket.boto(os.environ, FLOCK), bucket.own(os.environ, FLOCK)
    store = bucket.store(os.environ)
    threads = ThreadPoolExecutor(FLOCK)
    body = os.urandom(BIG)

    def flock(one: Callable[[int], object], count: int = 200) -> Run:
        return lambda: list(threads.map(one, range(count)))

    def boto_get(key: str, start: int, length: int) -> bytes:
        answer = client.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={start}-{start + length - 1}")
        return answer["Body"].read()

    def own_put(number: int) -> object:
        return own.put(f"p/{number}", SMALL, hashlib.sha256(SMALL).digest(), {}, {})

    def boto_list() -> int:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="many/")
        return sum(len(page.get("Contents", [])) for page in pages)

    list(threads.map(lambda n: client.put_object(Bucket=BUCKET, Key=f"many/{n:06}", Body=SMALL), range(KEYS)))
    client.put_object(Bucket=BUCKET, Key="big", Body=body)
    parts = range(0, BIG, PART)
    table: list[tuple[str, str, int, list[tuple[str, Run]]]] = [
        ("put 1 KiB, one by one", "/s", 50, [
            ("boto3", lambda: [client.put_object(Bucket=BUCKET, Key=f"p/{n}", Body=SMALL) for n in range(50)]),
            ("obstore", lambda: [obstore.put(store, f"p/{n}", SMALL) for n in range(50)]),
            ("own", lambda: [own_put(n) for n in range(50)]),
        ]),
        ("put 1 KiB, 16 at once", "/s", 200, [
            ("boto3", flock(lambda n: client.put_object(Bucket=BUCKET, Key=f"p/{n}", Body=SMALL))),
            ("obstore", flock(lambda n: obstore.put(store, f"p/{n}", SMALL))),
            ("own", flock(own_put)),
        ]),
        ("get 1 KiB, one by one", "/s", 50, [
            ("boto3", lambda: [boto_get(f"many/{n:06}", 0, 1024) for n in range(50)]),
            ("obstore", lambda: [obstore.get(store, f"many/{n:06}").bytes() for n in range(50)]),
            ("own", lambda: [own.read(f"many/{n:06}", 0, 1024) for n in range(50)]),
        ]),
        ("get 1 KiB, 16 at once", "/s", 200, [
            ("boto3", flock(lambda n: boto_get(f"many/{n:06}", 0, 1024))),
            ("obstore", flock(lambda n: obstore.get(store, f"many/{n:06}").bytes())),
            ("own", flock(lambda n: own.read(f"many/{n:06}", 0, 1024))),
        ]),
        ("get 64 MiB in ranges of 8, 3 at once", "MiB/s", BIG >> 20, [
            ("boto3", lambda: list(ThreadPoolExecutor(3).map(lambda at: len(boto_get("big", at, PART)), parts))),
            ("obstore", lambda: list(ThreadPoolExecutor(3).map(
                lambda at: len(obstore.get_range(store, "big", start=at, length=PART)), parts))),
            ("own", lambda: list(ThreadPoolExecutor(3).map(lambda at: own.read("big", at, at + PART), parts))),
        ]),
        ("put 64 MiB", "MiB/s", BIG >> 20, [
            ("boto3", lambda: client.put_object(Bucket=BUCKET, Key="up", Body=body)),
            ("obstore", lambda: obstore.put(store, "up", body, use_multipart=False)),
            ("obstore multipart", lambda: obstore.put(store, "up", body, chunk_size=PART, max_concurrency=3)),
        ]),
        ("list 1,000 keys", "keys/s", KEYS, [
            ("boto3", boto_list),
            ("obstore", lambda: sum(len(page) for page in obstore.list(store, "many/"))),
            ("own", lambda: sum(1 for _ in own.every("many/"))),
        ]),
    ]  # fmt: skip
    print("| what | client | median | best | against boto3 |\n| --- | --- | --- | --- | --- |")
    for what, unit, amount, runs in table:
        taken = measured(runs, rounds)
        base = statistics.median(taken["boto3"])
        for name, seconds in taken.items():
            middle, best = statistics.median(seconds), min(seconds)
            print(
                f"| {what} | {name} | {amount / middle:,.0f} {unit} | {amount / best:,.0f} {unit} | {base / middle:.2f} |"
            )


def measured(runs: list[tuple[str, Run]], rounds: int) -> dict[str, list[float]]:
    """In turns, so that what else the machine does hits all of them alike. One round to warm up is not counted."""
    taken: dict[str, list[float]] = {name: [] for name, _ in runs}
    for turn in range(rounds + 1):
        for name, run in runs:
            start = time.perf_counter()
            run()
            if turn:
                taken[name].append(time.perf_counter() - start)
    return taken


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
