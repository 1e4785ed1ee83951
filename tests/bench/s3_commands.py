"""Commands on a mount in a bucket with 1 and 64 clients, beside the bare requests of the same change.

    python -m tests.bench.s3_commands [--rounds 3] [--clients 1,64] [--kinds mkdir,upload,...] [--peers boto3,obstore] [--quick]

The bare loops (s3_plain.py) make the requests that cannot be left out, with nothing looked at before or after: a move is a
copy and a delete, a delete is a copy to a trash and a delete, metadata is none. The server is the stack's SeaweedFS, on this
machine like everything else. In turns, in one run; prints min, median and ratios, and the peak memory of all processes.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench import bucket, s3_plain
from tests.bench.commands import KINDS
from tests.bench.figures import Figures, in_turns, show
from tests.bench.memory import MemoryOfProcess
from tests.bench.running import measure, servers, service, stack

REQUESTS = {1: 100, 64: 1500}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--clients", default="1,64")
    parser.add_argument("--kinds", default=KINDS)
    parser.add_argument("--peers", default="boto3,obstore")
    parser.add_argument("--quick", action="store_true", help="one round with few requests: to see that it works")
    given = parser.parse_args()
    rounds = given.rounds or (1 if given.quick else 3)
    with (
        stack("s3") as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as folder,
        service(running, Path(folder)) as ours,
    ):
        bucket.boto(running.env, 1).close()  # the bucket is there now
        mount = ours.s3_mount(running.env, "filestore")

        def runs(kind: str, count: int, requests: int) -> dict[str, Callable[[], Figures]]:
            taken: dict[str, Callable[[], Figures]] = {
                "filestore": partial(measure, "load", kind, ours.url, count, requests, *ours.arguments(mount))
            }
            for peer in given.peers.split(",") if kind in s3_plain.KINDS else []:
                arguments = (kind, count, requests, "--client", peer)
                taken[peer] = partial(measure, "s3_plain", *arguments, env=running.env)
            return taken

        with MemoryOfProcess({**servers(running), **ours.pids}) as memory:
            for kind in given.kinds.split(","):
                for warm in runs(kind, 16, 32 if given.quick else 200).values():
                    warm()
                for count in (int(count) for count in given.clients.split(",")):
                    requests = count * 2 + 20 if given.quick else REQUESTS.get(count, 1500)
                    show(f"{kind} in a bucket, {count} clients", in_turns(runs(kind, count, requests), rounds))
        print("peak memory:", memory.shown())


if __name__ == "__main__":
    main()
