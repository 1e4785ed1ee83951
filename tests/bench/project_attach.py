"""A folder with many files becomes a project, and a server that was away catches up. `make bench BENCH=project_attach`.

All files lie in one directory. Beside the first attach: hashing them, which is the least there is to do. Then what the agent keeps
in memory, what it costs while nothing happens, how long a second server takes to get all of it, and how long one that was away.
"""

import argparse
import hashlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

from tests.bench.project_sizes import until_count
from tests.bench.running import BenchService, service, stack
from tests.bench.sync import PATIENCE_S, agent, new_project

IDLE_S = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")


def fill(folder: Path, number: int) -> None:
    folder.mkdir(parents=True)
    for index in range(number):
        (folder / f"file-{index:07d}").write_bytes(b"%d" % index * 20)


def hashed(folder: Path) -> float:
    begun = time.perf_counter()
    for entry in os.scandir(folder):
        with open(entry.path, "rb") as file:
            hashlib.sha256(file.read()).hexdigest()
    return time.perf_counter() - begun


def until_files(running: BenchService, project: str, number: int) -> float:
    """Asked seldom: the answer counts all contents, and who asks takes a processor from those that are measured."""
    begun = time.perf_counter()
    while running.call("GET", f"/v1/projects/{project}")["files"] != number:
        if time.perf_counter() - begun > 4 * PATIENCE_S + number / 100:
            raise SystemExit("the files were not committed")
        time.sleep(0.1 + number / 200_000)
    return time.perf_counter() - begun


def memory_mib(process: "subprocess.Popen[bytes]") -> float:
    """The most that it had."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def cpu_s(process: "subprocess.Popen[bytes]") -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def away(running: BenchService, project: str, commits: int) -> None:
    for number in range(commits):
        changes = [{"kind": "mkdir", "path": f"away/{number}"}] if number else [{"kind": "mkdir", "path": "away"}]
        running.call("POST", f"/v1/projects/{project}/commits", changes=changes, node="client")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--commits", type=int, default=10_000)
    arguments = parser.parse_args()
    number, running_agents = arguments.files, []
    print(f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as made, stack("nats") as running, service(running, Path(made)) as served:
        folder = Path(made)
        project = new_project(served, folder)
        fill(folder / "a" / "flat", number)
        least = hashed(folder / "a" / "flat")
        try:
            running_agents.append(agent(served, project, folder, "a"))
            taken = until_files(served, project, number)
            print(
                f"attach {number} files: {number / taken:.0f}/s; hashed alone {number / least:.0f}/s; ratio {least / taken:.2f}"
            )
            before = cpu_s(running_agents[0])
            time.sleep(IDLE_S)
            idle = (cpu_s(running_agents[0]) - before) / IDLE_S
            print(
                f"  the agent: {memory_mib(running_agents[0]):.0f} MiB at most, {idle:.1%} of a processor while nothing happens"
            )
            begun = time.perf_counter()
            running_agents.append(agent(served, project, folder, "b"))
            until_count(folder / "b", number)
            print(f"  another server has all of them after {time.perf_counter() - begun:.1f} s")
            running_agents[1].terminate()
            running_agents[1].wait()
            away(served, project, arguments.commits)
            begun = time.perf_counter()
            running_agents.append(agent(served, project, folder, "b"))
            while not (folder / "b" / "away" / str(arguments.commits - 1)).is_dir():
                time.sleep(0.02)
            print(
                f"  one that was away for {arguments.commits} commits has them after {time.perf_counter() - begun:.1f} s"
            )
        finally:
            for process in running_agents:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
