"""Projects with large files, and back from cold: beside NATS alone, and rclone. `make bench BENCH=project_sizes`.

A large file through two nodes beside a put and a get of the same bytes in NATS; a project of many files that is deactivated and
reactivated, folders and all, beside `rclone copy` of as many files from folder to folder; and how long `rclone bisync` takes for a
new file, which agents carry by themselves.
"""

import argparse
import asyncio
import hashlib
import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from statistics import median

from activities.sync.nats.link import NatsLink
from activities.sync.nats.store import NatsHot
from tests.bench import rclone
from tests.bench.running import BenchService, service, stack
from tests.bench.sync import PATIENCE_S, link_of, nodes, wait

PIECE = 1 << 20


def wait_for(path: Path, size: int) -> None:
    """A file appears whole, or not at all."""
    wait(path)
    assert path.stat().st_size == size


async def bare_large(link: NatsLink, content: bytes) -> float:
    hot, project, sha = NatsHot(link), uuid.uuid4().hex, hashlib.sha256(content).hexdigest()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), PIECE):
            yield content[start : start + PIECE]

    begun = time.perf_counter()
    await hot.put_pieces(project, sha, len(content), pieces())
    async for _ in hot.pieces(project, sha, len(content)):
        continue
    taken = time.perf_counter() - begun
    await hot.drop(project)
    await hot.close()
    return taken


def large(env: Mapping[str, str], a: Path, b: Path, size: int, rounds: int) -> None:
    taken, least = [], []
    for number in range(rounds):
        content = os.urandom(size)
        least.append(asyncio.run(bare_large(link_of(env), content)))
        half = a / ".half"
        begun = time.perf_counter()
        half.write_bytes(content)
        half.rename(a / f"large-{number}")
        wait_for(b / f"large-{number}", size)
        taken.append(time.perf_counter() - begun)
    ratio = median(least) / median(taken)
    print(
        f"{size >> 20} MiB: {min(taken):.2f} s, median {median(taken):.2f}; NATS alone {median(least):.2f}; ratio {ratio:.2f}"
    )


def until_job(running: BenchService, project: str, kind: str) -> float:
    begun = time.perf_counter()
    running.call("POST", f"/v1/projects/{project}/{kind}")
    while True:
        jobs = running.call("GET", f"/v1/projects/{project}/jobs")["jobs"]
        (job,) = [one for one in jobs if one["kind"] == kind][:1]
        if job["state"] != "running":
            assert job["state"] == "succeeded", job
            return time.perf_counter() - begun
        time.sleep(0.02)


def count(folder: Path) -> int:
    return sum(len(files) for path, _, files in os.walk(folder) if ".filestore" not in path)


def until_count(folder: Path, number: int) -> float:
    """Counting takes a tenth of a processor at most."""
    begun = looked = time.perf_counter()
    while (found := count(folder)) != number:
        if time.perf_counter() - begun > PATIENCE_S + number / 100:
            raise SystemExit(f"{found} files instead of {number} in {folder}")
        time.sleep(max(0.05, 9 * (time.perf_counter() - looked)))
        looked = time.perf_counter()
    return time.perf_counter() - begun


def reactivation(running: BenchService, project: str, a: Path, b: Path, number: int) -> None:
    here = count(b)
    for index in range(number):
        path = a / f"d{index // 1000}" / str(index)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(1024))
    until_count(b, here + number)
    copied = rclone_copy(a, b.parent / "copied")
    cold = until_job(running, project, "deactivate")
    until_count(a, 0)
    until_count(b, 0)
    begun = time.perf_counter()
    hot = until_job(running, project, "reactivate")
    until_count(b, here + number)
    taken = time.perf_counter() - begun
    print(f"{number} files: cold after {cold:.1f} s; hot again after {hot:.1f}, in the folder after {taken:.1f}")
    print(f"  rclone copy of them: {copied:.1f} s; ratio {copied / taken:.2f}")


def rclone_copy(source: Path, target: Path) -> float:
    begun = time.perf_counter()
    words = ["copy", str(source), str(target), "--exclude", ".filestore/**"]
    subprocess.run([str(rclone.installed()), *words], check=True)
    return time.perf_counter() - begun


def bisync(folder: Path, rounds: int) -> None:
    """A run for one new file among those that are there."""
    left, right = folder / "copied", folder / "other"
    right.mkdir()
    words = [str(rclone.installed()), "bisync", str(left), str(right), "--workdir", str(folder / "bisync")]
    subprocess.run([*words, "--resync"], check=True)
    taken = []
    for number in range(rounds):
        (left / f"new-{number}").write_bytes(os.urandom(1024))
        begun = time.perf_counter()
        subprocess.run(words, check=True)
        taken.append(time.perf_counter() - begun)
        assert (right / f"new-{number}").exists()
    print(f"rclone bisync for one new file: min {min(taken):.2f} s, median {median(taken):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as made, stack("nats") as running, service(running, Path(made)) as served:
        folder = Path(made)
        with nodes(served, folder) as (a, b):
            (a / "first").write_bytes(b"1")
            wait(b / "first")
            large(running.env, a, b, arguments.mib << 20, arguments.rounds)
            (project,) = [one["name"] for one in served.call("GET", "/v1/projects")["projects"]]
            reactivation(served, project, a, b, arguments.files)
        bisync(folder, arguments.rounds)


if __name__ == "__main__":
    main()
