"""Operations over a tree of small files beside what others do to the same tree, in turns, in one run.

    python -m tests.bench.trees [--files 50000] [--kib 4] [--rounds 3] [--flat] [--with-rclone] [--with-buckets FILES]
        [--only-buckets] [--quick]

The tree is made on the disk and imported. Then: the import beside `find -printf` into COPY; a recompute of all totals beside the
bare SQL; the move of the whole directory beside `mv` and the bare SQL; its copy and its deletion, with the undo of both, beside
`cp -a` (with `sha256sum` and `sync`), `rsync` where it is there, `rclone` where it is asked for, and `rm -rf`; and a plan of as
many items as there are files. `--with-buckets`: copies from the disk to a bucket and between two places of a bucket, and
deletions there, beside rclone; `--only-buckets` leaves out all else. A deletion puts into the trash what `rclone delete` removes:
`rclone move` asks the store for the same. Prints rates, ratios, what an item leaves in Postgres, and peak memory.
"""

import argparse
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.bench import bucket, peers, rclone
from tests.bench.figures import Figures, in_turns, median, show
from tests.bench.index import piped
from tests.bench.memory import MemoryOfProcess
from tests.bench.operations import carried_out, database_bytes, timed
from tests.bench.running import BUCKET, BenchService, servers, service, stack

IN_DIRECTORY = 100


def fill(top: Path, files: int, size: int, *, flat: bool, empty: bool = False) -> int:
    """How many names there are, with the directory itself."""
    top.mkdir()
    content, folders = os.urandom(size), 0
    for number in range(files):
        below = top if flat else top / f"{number // IN_DIRECTORY // 100:04}" / f"{number // IN_DIRECTORY % 100:02}"
        if not flat and number % IN_DIRECTORY == 0:
            folders += 1 + (not below.parent.exists())
            below.mkdir(parents=True)
        (below / f"file {number:07}.txt").write_bytes(b"" if empty else b"%d" % number + content)
    return files + folders + 1


@dataclass
class Trees:
    """One service, one mount, one tree called `tree`."""

    ours: BenchService
    mount: str
    root: Path
    files: int
    names: int
    made: list[dict[str, Any]] = field(default_factory=list)

    def operation(self, kind: str, count: int, **body: Any) -> Figures:
        def run() -> None:
            self.made.append(
                carried_out(self.ours, "/v1/operations", kind=kind, backendMountId=int(self.mount), **body)
            )

        return timed(run, count)

    def copy(self) -> Figures:
        return self.operation("copy", self.files, path="tree", targetPath=f"copy-{uuid.uuid4().hex[:8]}")

    def delete(self) -> Figures:
        return self.operation("delete", self.files, path="tree")

    def undo(self) -> Figures:
        last = self.made.pop()
        return timed(lambda: carried_out(self.ours, f"/v1/operations/{last['id']}/undo"), self.files)

    def move(self) -> Figures:
        """There and back."""

        def both() -> None:
            for source, target in (("tree", "elsewhere"), ("elsewhere", "tree")):
                self.operation("move", 1, path=source, targetPath=target)

        return timed(both, self.names)

    def plan(self) -> Figures:
        """One item per file. It is waited for, and never applied."""
        headers = {"Authorization": f"Bearer {self.ours.token}"}

        def run() -> None:
            with httpx2.Client(headers=headers, timeout=60, base_url=self.ours.url) as client:
                body = {"kind": "verify", "backendMountId": int(self.mount), "path": "tree", "planOnly": True}
                operation = client.post("/v1/operations", json=body).raise_for_status().json()["data"]
                while operation["state"] == "planning":
                    time.sleep(0.1)
                    operation = client.get(f"/v1/operations/{operation['id']}").json()["data"]
                assert operation["state"] == "planned", operation["state"]
                client.post(f"/v1/operations/{operation['id']}/cancel", json={}).raise_for_status()

        return timed(run, self.files)

    def recompute(self) -> Figures:
        headers = {"Authorization": f"Bearer {self.ours.token}"}

        def run() -> None:
            with httpx2.Client(headers=headers, timeout=60, base_url=self.ours.url) as client:
                body = {"backendMountId": int(self.mount)}
                asked = client.post("/v1/rollups/recomputes", json=body).raise_for_status().json()["data"]
                while asked["state"] in ("queued", "running"):
                    time.sleep(0.05)
                    asked = client.get(f"/v1/rollups/recomputes/{asked['id']}").json()["data"]
                assert asked["state"] == "succeeded", asked

        return timed(run, self.names)


def beside(title: str, rounds: int, **runs: Callable[[], Figures]) -> None:
    """`_` in a name stands for a space; the first one is ours."""
    show(title, in_turns({name.replace("_", " "): run for name, run in runs.items()}, rounds))


def of_a_disk(trees: Trees, rounds: int, *, with_rclone: bool) -> None:
    tree, url, names, files = trees.root / "tree", trees.ours.database, trees.names, trees.files
    find = timed(lambda: piped(url, tree), names)
    first = trees.operation("import", names, path="tree")
    show(f"first index, {names} names, per second", {"import": [first], "find | COPY": [find]})
    peers.make_plain(url, trees.mount)
    beside(
        f"totals, {names} names, per second", rounds,
        recompute=trees.recompute, bare_SQL=lambda: timed(lambda: peers.rolled_up(url), names),
    )  # fmt: skip
    beside(
        f"move of {names} names and back, names per second", rounds,
        move=trees.move, mv_and_bare_SQL=lambda: timed(lambda: peers.moved(url, tree), names),
    )  # fmt: skip

    def peer(copy: peers.Peer) -> Figures:
        target = trees.root.parent / uuid.uuid4().hex
        taken = timed(lambda: copy(tree, target), files)
        shutil.rmtree(target)
        return taken

    before = database_bytes(url)
    others = {name: lambda copy=copy: peer(copy) for name, copy in peers.copiers(with_rclone=with_rclone).items()}
    taken = in_turns({"copy": trees.copy, "undo": trees.undo, **others}, rounds)
    kept = database_bytes(url) - before
    rows = {name: taken[name] for name in others}
    show(f"copy of {files} files, per second", {"copy": taken["copy"], **rows})
    show(f"undo of it, {files} files, per second", {"undo": taken["undo"], **rows})
    print(f"Postgres keeps {kept / (2 * files * rounds):.0f} bytes for each file of a copy and of its undo")

    def rm() -> Figures:
        gone = trees.root.parent / uuid.uuid4().hex
        shutil.copytree(tree, gone)
        return timed(lambda: peers.removed(gone), files)

    taken = in_turns({"delete": trees.delete, "undo": trees.undo, "rm -rf, sync": rm}, rounds)
    for name in ("delete", "undo"):
        show(f"{name}, {files} files, per second", {name: taken[name], "rm -rf, sync": taken["rm -rf, sync"]})
    planned = in_turns({"plan": trees.plan}, 1)["plan"]
    print(f"a plan of {files} items: {median(planned, 'per_s'):.0f} items per second")


def of_buckets(trees: Trees, env: dict[str, str], rounds: int, count: int) -> None:
    """`count` files of the tree: from the disk to the bucket, and from one mount in it to another."""
    bucket.boto(env, 8)
    part = trees.root / "part"
    fill(part, count, 4096, flat=False)
    carried_out(trees.ours, "/v1/operations", kind="import", backendMountId=int(trees.mount), path="part")
    first, second = (trees.ours.s3_mount(env, f"trees-{uuid.uuid4().hex[:8]}/") for _ in range(2))
    remote, settings = f"bench:{BUCKET}/{uuid.uuid4().hex}", rclone.variables(env)

    def up() -> Figures:
        target = f"up-{uuid.uuid4().hex[:8]}"
        return trees.operation("copy", count, path="part", targetPath=target, targetBackendMountId=int(first))

    def across() -> Figures:
        source = trees.made[-1]["targetPath"]
        body = {"kind": "copy", "path": source, "targetPath": f"x-{source}", "targetBackendMountId": int(second)}
        return timed(lambda: carried_out(trees.ours, "/v1/operations", backendMountId=int(first), **body), count)

    def rclone_up() -> Figures:
        words = ("copy", "--checksum", "--transfers", "8", part, remote)
        return timed(lambda: peers.run_rclone(*words, env=settings), count)

    def rclone_across() -> Figures:
        words = ("copy", "--checksum", "--transfers", "8", remote, f"{remote}-{uuid.uuid4().hex[:8]}")
        return timed(lambda: peers.run_rclone(*words, env=settings), count)

    def delete() -> Figures:
        source = trees.made[-1]["targetPath"]
        body = {"kind": "delete", "path": f"x-{source}"}
        return timed(lambda: carried_out(trees.ours, "/v1/operations", backendMountId=int(second), **body), count)

    def rclone_on_a_copy(*words: str) -> Figures:
        copied = f"{remote}-{uuid.uuid4().hex[:8]}"
        peers.run_rclone("copy", "--transfers", "8", remote, copied, env=settings)
        more = (f"{copied}-gone",) if words[0] == "move" else ()
        return timed(lambda: peers.run_rclone(*words, copied, *more, env=settings), count)

    taken = in_turns({
        "up": up, "rclone up": rclone_up, "across": across, "rclone across": rclone_across, "delete": delete,
        "rclone delete": lambda: rclone_on_a_copy("delete", "--checkers", "8"),
        "rclone move": lambda: rclone_on_a_copy("move", "--checksum", "--transfers", "8"),
    }, rounds)  # fmt: skip
    show(f"from disk to bucket, {count} files, per second", {"copy": taken["up"], "rclone": taken["rclone up"]})
    show(f"within a bucket, {count} files, per second", {"copy": taken["across"], "rclone": taken["rclone across"]})
    gone = {name: taken[name] for name in ("delete", "rclone delete", "rclone move")}
    show(f"deletion in a bucket, {count} files, per second", gone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int)
    parser.add_argument("--kib", type=int, default=4)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--flat", action="store_true", help="all in one directory, instead of 100 to a directory")
    parser.add_argument("--with-rclone", action="store_true", help="built by Go when it is first asked for: minutes")
    parser.add_argument("--with-buckets", type=int, metavar="FILES", default=0, help="so many, beside rclone")
    parser.add_argument("--only-buckets", action="store_true", help="with --with-buckets: nothing else")
    parser.add_argument("--quick", action="store_true", help="one round with 2,000 files: to see that it works")
    given = parser.parse_args()
    files, rounds = given.files or (2000 if given.quick else 50_000), given.rounds or (1 if given.quick else 3)
    print(f"load {os.getloadavg()[0]:.1f} at the beginning, {time.strftime('%Y-%m-%d %H:%M')}")
    more = ("s3",) if given.with_buckets else ()
    with (
        stack(*more) as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as folder,
        service(running, Path(folder)) as ours,
    ):
        root = Path(folder) / "mount"
        mount = ours.local_mount(root)
        disk = not (given.only_buckets and given.with_buckets)
        names = fill(root / "tree", files, given.kib << 10, flat=given.flat) if disk else 0
        trees = Trees(ours, mount, root, files, names)
        with MemoryOfProcess({**ours.pids, **servers(running)}) as memory:
            if disk:
                of_a_disk(trees, rounds, with_rclone=given.with_rclone)
            if given.with_buckets:
                of_buckets(trees, dict(running.env), rounds, given.with_buckets)
        print(memory.shown())
        print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
