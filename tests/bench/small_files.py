"""10,000 uploads of 10 KiB from 32 clients to a mount in a bucket, beside rclone and beside SeaweedFS' own filer.

    python -m tests.bench.small_files [--files 10000] [--kib 10] [--clients 32] [--rounds 3] [--without-rclone] [--quick]

`rclone copy --transfers 32` takes a folder of as many files to the same S3 server; it is built by Go when it is first asked
for, which takes minutes (`--without-rclone` leaves it out). The filer takes the same files by HTTP from the same load, and
has neither keys nor a journal. In turns, in one run; prints rates, ratios, and the peak memory of all processes.
"""

import argparse
import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench import bucket, rclone
from tests.bench.figures import Figures, in_turns, show
from tests.bench.memory import MemoryOfProcess
from tests.bench.running import BUCKET, measure, run, servers, service, stack
from tests.fix_stack import Stack


def make_files(folder: Path, count: int, size: int) -> None:
    folder.mkdir()
    for number in range(count):
        (folder / f"file-{number:06}").write_bytes(os.urandom(size))


def filer_url(running: Stack) -> str:
    """Of the server that answers S3 too: its port is remembered by the stack."""
    ports = json.loads((running.folder / "remembered.json").read_text())["ports"]
    return f"http://127.0.0.1:{ports['s3_filer']}"


def copied(source: Path, count: int, transfers: int, env: dict[str, str], memory: MemoryOfProcess) -> Figures:
    target = f"bench:{BUCKET}/rclone-{uuid.uuid4().hex}"
    began = time.perf_counter()
    run(
        [str(rclone.installed()), "copy", "--transfers", str(transfers), str(source), target],
        env=env, memory=memory, name="rclone",
    )  # fmt: skip
    return {"per_s": count / (time.perf_counter() - began)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int)
    parser.add_argument("--kib", type=int, default=10)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--without-rclone", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one round with 300 files: to see that it works")
    given = parser.parse_args()
    files, rounds = given.files or (300 if given.quick else 10_000), given.rounds or (1 if given.quick else 3)
    if not given.without_rclone:
        rclone.installed()
    with (
        stack("s3") as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as folder,
        service(running, Path(folder)) as ours,
    ):
        source, size = Path(folder) / "source", given.kib << 10
        make_files(source, files, size)
        bucket.boto(running.env, 1).close()  # the bucket is there now
        mount = ours.s3_mount(running.env, "filestore")
        filer = filer_url(running)
        with MemoryOfProcess({**ours.pids, **servers(running)}) as memory:

            def loaded(kind: str, url: str, count: int, *more: str) -> Callable[[], Figures]:
                return lambda: measure(
                    "load", kind, url, given.clients, count, "--size", size, "--below", uuid.uuid4().hex, *more,
                    memory=memory,
                )  # fmt: skip

            runs = {
                "filestore": loaded("upload", ours.url, files, *ours.arguments(mount)),
                "filer": loaded("filer-upload", f"{filer}/bench", files),
            }
            if not given.without_rclone:
                env = rclone.variables(running.env)
                runs["rclone"] = partial(copied, source, files, given.clients, env, memory)
            loaded("upload", ours.url, 100, *ours.arguments(mount))()
            loaded("filer-upload", f"{filer}/bench", 100)()
            show(f"{files} files of {given.kib} KiB, {given.clients} clients", in_turns(runs, rounds))
        print("peak memory:", memory.shown())


if __name__ == "__main__":
    main()
