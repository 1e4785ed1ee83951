"""The `filestore` command and the fsspec driver, beside rclone, curl and a local file.

    python -m tests.bench.clients [--files 10000] [--mib 1024] [--rounds 3] [--without-rclone] [--quick]

A folder of small files up and down on a local mount: `rclone copy` takes the same folder to and from SeaweedFS' S3 server, which
flushes nothing and keeps no record. One big file up and down: `curl` sends and takes it at the same routes of the same service. It
hashes nothing, as our command does: so beside it stand `curl` with `sha256sum`, and what the machine itself takes to read, hash,
write and flush the same bytes. `ls` of a directory of as many entries,
beside the bare pages by `curl`. Start-up beside that of Python. `cat_ranges` of a parquet file's column chunks beside the same
file on the disk. All in turns, in one run; medians and ratios.
"""

import argparse
import hashlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import fsspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from filestore_sdk.fs import FilestoreFileSystem

from tests.bench import bucket, rclone
from tests.bench.figures import Figures, in_turns, show
from tests.bench.running import BUCKET, BenchService, service, stack
from tests.bench.small_files import make_files

COMMAND = Path(sys.executable).parent / "filestore"
SMALL = 10 << 10
PAGE = 200


@dataclass
class MeasuredClients:
    ours: BenchService
    mount: str
    folder: Path
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def command(self, *words: object) -> None:
        env = {**os.environ, "FILESTORE_URL": self.ours.url, "FILESTORE_TOKEN": self.ours.token}
        subprocess.run([COMMAND, *map(str, words)], check=True, env=env, stdout=subprocess.DEVNULL)

    def curl(self, *words: object) -> None:
        words = ("--fail", "--silent", "--show-error", "-H", f"Authorization: Bearer {self.ours.token}", *words)
        subprocess.run(["curl", *map(str, words)], check=True, stdout=subprocess.DEVNULL)

    def fresh(self) -> Path:
        return self.folder / f"down-{next(self.numbers)}"

    def name(self) -> str:
        return f"up-{next(self.numbers)}"


def rated(count: int, act: Callable[[], object]) -> Figures:
    began = time.perf_counter()
    act()
    return {"per_s": count / (time.perf_counter() - began)}


def small_files(
    bench: MeasuredClients, source: Path, count: int, rounds: int, copy: Callable[[str, str], None] | None
) -> str:
    """Up, then down; returns where they are."""
    place = f"{bench.mount}:{bench.name()}"
    bench.command("put", "-r", source, place)
    runs = {
        "filestore put": lambda: rated(
            count, lambda: bench.command("put", "-r", source, f"{bench.mount}:{bench.name()}")
        )
    }
    if copy:
        copy(str(source), f"bench:{BUCKET}/kept")
        runs["rclone copy"] = lambda: rated(count, lambda: copy(str(source), f"bench:{BUCKET}/{bench.name()}"))
    show(f"{count} files of {SMALL >> 10} KiB up", in_turns(runs, rounds))
    runs = {"filestore get": lambda: rated(count, lambda: bench.command("get", "-r", place, bench.fresh()))}
    if copy:
        runs["rclone copy"] = lambda: rated(count, lambda: copy(f"bench:{BUCKET}/kept", str(bench.fresh())))
    show(f"{count} files of {SMALL >> 10} KiB down", in_turns(runs, rounds))
    show(
        f"{count} files up again, none of them changed",
        in_turns(
            {"filestore put": lambda: rated(count, lambda: bench.command("put", "-r", f"{source}/", place))}, rounds
        ),
    )
    return place


def one_big_file(bench: MeasuredClients, mib: int, rounds: int) -> None:
    source = bench.folder / "big"
    with source.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))
    url = bench.ours.url

    def curl_up() -> None:
        parts = ("-F", f"backendMountId={bench.mount}", "-F", f"path={bench.name()}", "-F", f"file=@{source}")
        bench.curl(*parts, f"{url}/v1/files")

    def limit() -> None:
        target = bench.fresh()
        hashed_copy(source, target)
        target.unlink()

    def curl_checked() -> None:
        subprocess.run(["sha256sum", source], check=True, stdout=subprocess.DEVNULL)
        curl_up()

    runs = {
        "filestore put": lambda: rated(mib, lambda: bench.command("put", source, f"{bench.mount}:{bench.name()}")),
        "curl": lambda: rated(mib, curl_up),
        "sha256sum, curl": lambda: rated(mib, curl_checked),
        "sha256, write, fsync": lambda: rated(mib, limit),
    }
    show(f"one file of {mib} MiB up (MiB/s)", in_turns(runs, rounds))
    bench.command("put", source, f"{bench.mount}:big")
    node = bench.ours.call("GET", f"/v1/nodes/by-path?backendMountId={bench.mount}&path=big")["id"]

    def curl_down(*then: str) -> None:
        target = bench.fresh()
        bench.curl("-o", target, f"{url}/v1/files/{node}/content")
        if then:
            subprocess.run([*then, target], check=True, stdout=subprocess.DEVNULL)
        target.unlink()

    def ours_down() -> None:
        target = bench.fresh()
        bench.command("get", f"{bench.mount}:big", target)
        target.unlink()

    runs = {
        "filestore get": lambda: rated(mib, ours_down),
        "curl": lambda: rated(mib, curl_down),
        "curl, sha256sum": lambda: rated(mib, lambda: curl_down("sha256sum")),
    }
    show(f"one file of {mib} MiB down (MiB/s)", in_turns(runs, rounds))


def hashed_copy(source: Path, target: Path) -> None:
    """What every upload has to do at least, without any line between."""
    digest = hashlib.sha256()
    with source.open("rb", buffering=0) as here, target.open("wb", buffering=0) as there:
        while piece := here.read(1 << 20):
            digest.update(piece)
            there.write(piece)
        os.fsync(there)


def listing(bench: MeasuredClients, place: str, count: int, rounds: int) -> None:
    path = place.partition(":")[2]
    node = bench.ours.call("GET", f"/v1/nodes/by-path?backendMountId={bench.mount}&path={path}")["id"]
    pages = [
        f"{bench.ours.url}/v1/nodes/{node}/children?limit={PAGE}&offset={start}" for start in range(0, count, PAGE)
    ]
    runs = {
        "filestore ls": lambda: rated(count, lambda: bench.command("ls", place)),
        "curl, pages": lambda: rated(count, lambda: bench.curl(*pages)),
    }
    show(f"ls of {count} entries", in_turns(runs, rounds))


def start_up(bench: MeasuredClients, rounds: int) -> None:
    runs: dict[str, Callable[[], Figures]] = {
        "filestore": lambda: rated(1, lambda: bench.command("--help")),
        "python -c pass": lambda: rated(1, lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)),
    }
    show("starts a second", in_turns(runs, rounds * 5))


def ranges(bench: MeasuredClients, rounds: int) -> None:
    """The column chunks of 40 row groups, as a reader of one column asks for them."""
    local = bench.folder / "table.parquet"
    rows = 40 * 50_000
    pq.write_table(pa.table({"a": range(rows), "b": [str(one) for one in range(rows)]}), local, row_group_size=50_000)
    bench.command("put", local, f"{bench.mount}:table.parquet")
    groups = pq.ParquetFile(local).metadata
    chunks = [groups.row_group(number).column(1) for number in range(groups.num_row_groups)]
    starts = [chunk.dictionary_page_offset or chunk.data_page_offset for chunk in chunks]
    ends = [start + chunk.total_compressed_size for start, chunk in zip(starts, chunks, strict=True)]
    driver, disk = FilestoreFileSystem(url=bench.ours.url, token=bench.ours.token), fsspec.filesystem("file")
    mount = next(
        one["mountKey"]
        for one in bench.ours.call("GET", "/v1/backend-mounts")["mounts"]
        if str(one["id"]) == bench.mount
    )

    def taken(fs: fsspec.AbstractFileSystem, place: str) -> None:
        parts: Sequence[bytes] = fs.cat_ranges([place] * len(starts), starts, ends)
        assert [len(part) for part in parts] == [end - start for start, end in zip(starts, ends, strict=True)]

    mib = int(sum(ends) - sum(starts)) >> 20
    runs = {
        "filestore": lambda: rated(mib, partial(taken, driver, f"{mount}/table.parquet")),
        "local file": lambda: rated(mib, partial(taken, disk, str(local))),
    }
    show(f"cat_ranges of {len(starts)} column chunks, {mib} MiB (MiB/s)", in_turns(runs, rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int)
    parser.add_argument("--mib", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--without-rclone", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one round, few files: to see that it works")
    given = parser.parse_args()
    files, mib = given.files or (200 if given.quick else 10_000), given.mib or (64 if given.quick else 1024)
    rounds = given.rounds or (1 if given.quick else 3)
    program = None if given.without_rclone else rclone.installed()
    with (
        stack("s3") as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as made,
        service(running, Path(made)) as ours,
    ):
        folder = Path(made)
        bucket.boto(running.env, 1).close()  # the bucket is there now
        make_files(folder / "source", files, SMALL)
        bench = MeasuredClients(ours, ours.local_mount(folder / "mount"), folder)
        env = {**os.environ, **rclone.variables(running.env)}

        def copy(source: str, target: str) -> None:
            subprocess.run([str(program), "copy", source, target], check=True, env=env)

        place = small_files(bench, folder / "source", files, rounds, copy if program else None)
        one_big_file(bench, mib, rounds)
        listing(bench, place, files, rounds)
        start_up(bench, rounds)
        ranges(bench, rounds)


if __name__ == "__main__":
    main()
