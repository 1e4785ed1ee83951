"""A scrub of a mount beside `sha256sum`: `python -m tests.bench.scrub [--files 20000] [--bytes 65536] [--rounds 3] [--quick]`.

In turns, in one run, of the same files with warm caches: two processes of `sha256sum` that share them, and a round of the scrub at
a rate that holds nothing back, from its order to the end of the round. The mount is imported and reconciled before. Prints bytes
and files per second, their ratios, the processor time of each, and peak memory.
"""

import argparse
import os
import random
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2

from tests.bench.audit import load, reconciled, spent
from tests.bench.drift import client
from tests.bench.figures import Figures, in_turns, show
from tests.bench.memory import MemoryOfProcess
from tests.bench.operations import carried_out
from tests.bench.running import BenchService, servers, service, stack

IN_A_DIRECTORY = 200
UNBOUND = 10**12
POLICY = {"scrub": {"everySeconds": 10**8, "bytesPerSecond": UNBOUND}}


def filled(root: Path, files: int, size: int) -> None:
    content = random.Random(files)
    for number in range(files):
        place = root / f"{number // IN_A_DIRECTORY:05}" / f"{number % IN_A_DIRECTORY:03}"
        if number % IN_A_DIRECTORY == 0:
            place.parent.mkdir(parents=True)
        place.write_bytes(content.randbytes(size))


def hashed(root: Path) -> None:
    """By two processes, each with a share of the names at a time. Its own time is what two processors take."""
    finding = subprocess.Popen(
        ["find", os.fspath(root), "-path", f"{root}/.filestore", "-prune", "-o", "-type", "f", "-print0"],
        stdout=subprocess.PIPE,
    )
    subprocess.run(
        ["xargs", "-0", "-P", "2", "-n", "256", "sha256sum"],
        stdin=finding.stdout,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    finding.wait()


class ScrubbedMount:
    def __init__(self, ours: BenchService, mount: str) -> None:
        self._ours, self._mount = ours, mount
        with client(ours) as calls:
            calls.put(f"/v1/backend-mounts/{mount}/policy", json=POLICY).raise_for_status()
            while not self._scheduled(calls):
                time.sleep(0.2)

    def _scheduled(self, calls: httpx2.Client) -> bool:
        found = calls.get(self._schedules).raise_for_status().json()["data"]["schedules"]
        return any(one["kind"] == "scrub" and one["state"] == "scheduled" for one in found)

    @property
    def _schedules(self) -> str:
        return f"/v1/backend-mounts/{self._mount}/schedules"

    def scrub(self) -> float:
        """Seconds from the order to the end of the round."""
        with client(self._ours) as calls:
            before, began = self._state(calls), time.perf_counter()
            body = {"id": f"drift-scrub/{self._mount}", "action": "run"}
            calls.post(self._schedules, json=body).raise_for_status()
            while (now := self._state(calls))["oldestVerified"] == before["oldestVerified"]:
                time.sleep(0.05)
        if now["damaged"] or now["coverage"] != 1.0:
            raise SystemExit(f"the round ended so: {now}")
        return time.perf_counter() - began

    def _state(self, calls: httpx2.Client) -> dict[str, Any]:
        found = calls.get(f"/v1/backend-mounts/{self._mount}/consistency").raise_for_status()
        return dict(found.json()["data"]["scrub"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int)
    parser.add_argument("--bytes", type=int, default=65536)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="one round with 500 files: to see that it works")
    given = parser.parse_args()
    files, rounds = given.files or (500 if given.quick else 20_000), given.rounds or (1 if given.quick else 3)
    with (
        stack() as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as folder,
        service(running, Path(folder)) as ours,
    ):
        root = Path(folder) / "mount"
        mount, pids = ours.local_mount(root), {**ours.pids, **servers(running)}
        filled(root, files, given.bytes)
        carried_out(ours, "/v1/operations", kind="import", backendMountId=int(mount), path="")
        reconciled(ours, mount)
        scrubbed = ScrubbedMount(ours, mount)

        def of(seconds: float, processors: float) -> Figures:
            return {
                "MB_per_s": files * given.bytes / 1e6 / seconds, "per_s": files / seconds, "cpu_s": processors,
            }  # fmt: skip

        def scrub() -> Figures:
            before = spent(pids)
            seconds = scrubbed.scrub()
            return of(seconds, sum(after - before[name] for name, after in spent(pids).items()))

        def bare() -> Figures:
            began, before = time.perf_counter(), os.times()
            hashed(root)
            seconds, after = time.perf_counter() - began, os.times()
            user, system = (
                after.children_user - before.children_user,
                after.children_system - before.children_system,
            )
            return of(seconds, user + system)

        bare()
        with MemoryOfProcess(pids) as memory:
            taken = in_turns({"scrub": scrub, "sha256sum": bare}, rounds)
        show(f"{files} files of {given.bytes} bytes; load {load()}", taken)
        print(memory.shown())


if __name__ == "__main__":
    main()
