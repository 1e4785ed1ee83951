"""One big file up and down, on a local mount and on one in a bucket, beside the disk, the hash and the S3 client alone.

    python -m tests.bench.transfer [--mib 1024] [--rounds 3] [--mounts local,s3] [--quick]

An upload is parsed, hashed, made durable and recorded. Its limits: `cp` and `sync` of the file, `sha256sum` of it, and for a
bucket boto3's own multipart upload. A download is read to nowhere; its limits are `cat` of the file and boto3's own
download. Nothing hashes a download, so no hash is its limit. Prints each, the ratio against the slowest limit, and the peak
memory of all processes.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench import bucket
from tests.bench.figures import Figures, in_turns
from tests.bench.memory import MemoryOfProcess
from tests.bench.running import BenchService, measure, servers, service, stack

PIECE = 1 << 20


def body_of(source: Path, fields: dict[str, str], boundary: str) -> Iterator[bytes]:
    for name, value in fields.items():
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="big"\r\n'
    yield (head + "Content-Type: application/octet-stream\r\n\r\n").encode()
    with source.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
    yield f"\r\n--{boundary}--\r\n".encode()


def upload(ours: BenchService, mount: str, source: Path, path: str) -> tuple[float, int]:
    """Seconds, and the node's id."""
    boundary, fields = "bench-boundary", {"backendMountId": mount, "path": path}
    envelope = sum(len(piece) for piece in body_of(Path(os.devnull), fields, boundary))
    connection = http.client.HTTPConnection(urlsplit(ours.url).netloc, blocksize=PIECE)
    began = time.perf_counter()
    headers = {
        "Authorization": f"Bearer {ours.token}",
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(envelope + source.stat().st_size),
    }
    connection.request("POST", "/v1/files", body=body_of(source, fields, boundary), headers=headers)
    answer = connection.getresponse()
    data = json.loads(answer.read())
    assert answer.status == 201, data
    return time.perf_counter() - began, data["data"]["node"]["id"]


def download(ours: BenchService, node: int, size: int) -> float:
    connection = http.client.HTTPConnection(urlsplit(ours.url).netloc, blocksize=PIECE)
    began, got = time.perf_counter(), 0
    connection.request("GET", f"/v1/files/{node}/content", headers={"Authorization": f"Bearer {ours.token}"})
    answer = connection.getresponse()
    while piece := answer.read(PIECE):
        got += len(piece)
    assert (answer.status, got) == (200, size), f"{answer.status}, {got} of {size} bytes"
    return time.perf_counter() - began


def timed(*commands: list[str]) -> Figures:
    began = time.perf_counter()
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {"seconds": time.perf_counter() - began}


def of_mount(
    kind: str, ours: BenchService, mount: str, source: Path, env: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Callable[[], Figures]]]]:
    """Up, then down: ours, and what limits it."""
    copy, made = source.with_name("copy"), list[int]()

    def up() -> Figures:
        seconds, node = upload(ours, mount, source, f"big-{time.monotonic_ns()}")
        made.append(node)
        return {"seconds": seconds}

    def cp() -> Figures:
        copy.unlink(missing_ok=True)
        return timed(["cp", str(source), str(copy)], ["sync", str(copy)])

    boto = partial(measure, "s3_plain", env=env)
    peer = {"boto3 alone": partial(boto, "big-upload", 1, 1, "--file", source)} if kind == "s3" else {}
    yield "upload", {"filestore": up, "cp + sync": cp, "sha256sum": partial(timed, ["sha256sum", str(source)]), **peer}
    peer = {"boto3 alone": partial(boto, "big-download", 1, 1, "--file", source)} if kind == "s3" else {}
    yield (
        "download",
        {
            "filestore": lambda: {"seconds": download(ours, made[-1], source.stat().st_size)},
            "cat": partial(timed, ["sh", "-c", f"cat {copy} > /dev/null"]),
            **peer,
        },
    )


def show(title: str, mib: int, taken: Mapping[str, list[Figures]]) -> None:
    print(title)
    middle = {name: statistics.median(row["seconds"] for row in rows) for name, rows in taken.items()}
    for name, rows in taken.items():
        best = min(row["seconds"] for row in rows)
        rate = mib / middle[name]
        print(f"    {name:14s} min {best:6.2f} s  median {middle[name]:6.2f} s  {rate:6.0f} MiB/s")
    ours = middle.pop("filestore")
    slowest = max(middle, key=lambda name: middle[name])
    print(f"    runs at {middle[slowest] / ours:.2f} of the slowest limit, {slowest}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--mounts", default="local,s3")
    parser.add_argument("--quick", action="store_true", help="one round with 64 MiB: to see that it works")
    given = parser.parse_args()
    mib, rounds = given.mib or (64 if given.quick else 1024), given.rounds or (1 if given.quick else 3)
    kinds = given.mounts.split(",")
    with (
        stack("s3") as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as folder,
        service(running, Path(folder)) as ours,
    ):
        source = Path(folder) / "source"
        with source.open("wb") as file:
            for _ in range(mib):
                file.write(os.urandom(PIECE))
        bucket.boto(running.env, 1).close()  # the bucket is there now
        for kind in kinds:
            local = kind == "local"
            mount = ours.local_mount(Path(folder) / "mount") if local else ours.s3_mount(running.env, "filestore")
            with MemoryOfProcess({**ours.pids, **servers(running)}) as memory:
                for what, runs in of_mount(kind, ours, mount, source, running.env):
                    show(f"{what}, {kind} mount, {mib} MiB", mib, in_turns(runs, rounds))
            print(f"peak memory meanwhile: {memory.shown()}", flush=True)


if __name__ == "__main__":
    main()
