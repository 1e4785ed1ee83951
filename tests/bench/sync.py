"""Projects: close of a 1 KiB file -> visible on another node, and small files per second, beside what the disk and the hot store do
alone. `make bench BENCH=sync`.

The floor of one file is a put and a get through NATS on this machine; that of many is hashing and writing them twice.
"""

import argparse
import asyncio
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from activities.sync.nats.accounts import NatsAccounts
from activities.sync.nats.link import NatsLink
from activities.sync.nats.store import NatsHot
from activities.sync.nats.tenants import HotAccounts
from tests.bench.running import BenchService, service, stack
from tests.bench.syncthing import syncthing
from tests.fix_stack import REPOSITORY

PATIENCE_S = 300.0


def agent(running: BenchService, project: str, folder: Path, node: str) -> "subprocess.Popen[bytes]":
    """Follows from `folder / node`, which is made where it is not there."""
    (folder / node).mkdir(exist_ok=True)
    words = [
        sys.executable,
        "-m",
        "workers.sync_node",
        project,
        str(folder / node),
        "--node",
        node,
        "--url",
        running.url,
    ]
    environment = {**os.environ, "FILESTORE_TOKEN": running.token, "PYTHONDONTWRITEBYTECODE": ""}
    with open(folder / f"{node}.log", "wb") as log:
        return subprocess.Popen(words, cwd=REPOSITORY, env=environment, stdout=log, stderr=log)


def new_project(running: BenchService, folder: Path) -> str:
    name = f"bench-{uuid.uuid4().hex[:8]}"
    running.call("POST", "/v1/projects", name=name, backendMountId=int(running.local_mount(folder / "mount")))
    return name


@contextmanager
def nodes(running: BenchService, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Two agents on a new project."""
    name = new_project(running, folder)
    started = [agent(running, name, folder, node) for node in ("a", "b")]
    try:
        yield folder / "a", folder / "b"
    finally:
        for process in started:
            process.terminate()
            process.wait()


def wait(path: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while not path.exists():
        if time.monotonic() > end:
            raise SystemExit(f"{path} did not come")
        time.sleep(0.0005)


def one_file(a: Path, b: Path, number: int) -> float:
    content = os.urandom(1024)
    (a / f"one-{number}").write_bytes(content)
    begun = time.perf_counter()
    wait(b / f"one-{number}")
    return time.perf_counter() - begun


def many(a: Path, b: Path, number: int) -> float:
    """Seconds from the first write to the last file there."""
    contents = [os.urandom(1024) for _ in range(number)]
    (a / "many").mkdir()
    begun = time.perf_counter()
    for index, content in enumerate(contents):
        (a / "many" / str(index)).write_bytes(content)
    end = time.monotonic() + PATIENCE_S
    while not (b / "many").is_dir() or len(os.listdir(b / "many")) < number:
        if time.monotonic() > end:
            raise SystemExit("the files did not come")
        time.sleep(0.02)
    return time.perf_counter() - begun


def alone(folder: Path, number: int) -> float:
    """Hashed and written twice: the least there is to do for many files."""
    contents = [os.urandom(1024) for _ in range(number)]
    begun = time.perf_counter()
    for where in ("x", "y"):
        (folder / where).mkdir()
        for index, content in enumerate(contents):
            hashlib.sha256(content).hexdigest()
            (folder / where / str(index)).write_bytes(content)
    return time.perf_counter() - begun


def link_of(env: Mapping[str, str]) -> NatsLink:
    accounts = NatsAccounts(env["FILESTORE_NATS_SECRET"].encode())
    return NatsLink(env["NATS_URL"], user=lambda: accounts.service("main"), introduce=lambda: introduced(env, accounts))


async def introduced(env: Mapping[str, str], accounts: NatsAccounts) -> None:
    await HotAccounts(env["NATS_URL"], accounts).introduce("main")


async def bare(link: NatsLink, times: int) -> list[float]:
    """A put and a get through NATS."""
    hot, project = NatsHot(link), uuid.uuid4().hex
    taken = []
    for _ in range(times):
        content = os.urandom(1024)
        sha = hashlib.sha256(content).hexdigest()
        begun = time.perf_counter()
        await hot.put(project, sha, content)
        await hot.get(project, sha, 1024)
        taken.append(time.perf_counter() - begun)
    await hot.close()
    return sorted(taken)


def beside(program: str, folder: Path, arguments: argparse.Namespace, ours: list[float], seconds: float) -> None:
    """The same through Syncthing."""
    with syncthing(program, folder) as (a, b):
        taken = sorted(one_file(a, b, number) for number in range(min(arguments.files, 30)))
        theirs = many(a, b, arguments.many)
    shown, our = median(taken) * 1e3, median(ours) * 1e3
    print(f"syncthing, 1 KiB: min {taken[0] * 1e3:.1f} ms, median {shown:.1f}; ours {our / shown:.2f} of it")
    count = arguments.many
    print(f"syncthing, {count} files: {count / theirs:.0f}/s; ours {theirs / seconds:.2f} times as many")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--syncthing", default="", help="where the program is: measured beside, in the same run")
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder, stack("nats") as running, service(running, Path(folder)) as served:
        floor = asyncio.run(bare(link_of(running.env), arguments.files))
        with nodes(served, Path(folder)) as (a, b):
            (a / "first").write_bytes(b"1")
            wait(b / "first")
            taken = sorted(one_file(a, b, number) for number in range(arguments.files))
            seconds, least = many(a, b, arguments.many), alone(Path(folder), arguments.many)
        if arguments.syncthing:
            beside(arguments.syncthing, Path(folder) / "syncthing", arguments, taken, seconds)
    p99 = taken[int(len(taken) * 0.99) - 1]
    shown, least_shown = median(taken) * 1e3, median(floor) * 1e3
    print(f"1 KiB, close -> visible: min {taken[0] * 1e3:.1f} ms, median {shown:.1f}, p99 {p99 * 1e3:.1f}")
    print(
        f"  put and get in NATS: min {floor[0] * 1e3:.1f} ms, median {least_shown:.1f}; ratio {shown / least_shown:.1f}"
    )
    count = arguments.many
    print(f"{count} files of 1 KiB: {count / seconds:.0f}/s; hashed and written twice: {count / least:.0f}/s")


if __name__ == "__main__":
    main()
