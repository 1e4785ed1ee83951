"""Commands on a local mount with 1, 16, 64 and 128 clients, beside the floor of the same shape and beside plain calls.

    python -m tests.bench.commands [--rounds 3] [--clients 1,16,64,128] [--kinds mkdir,upload,...] [--quick]

The floor (floor.py) is a service of the same shape without logic; a delete stands beside its move, which takes the same
calls: one rename, two flushes. The plain loop (plain.py) makes and flushes each change by itself, as `mv` and `cp` with a
`sync` would. Load and servers share this machine. In turns, in one run; prints min, median and ratios.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench import plain
from tests.bench.figures import Figures, in_turns, show
from tests.bench.running import floor, measure, service, stack

REQUESTS = {1: 150, 16: 1200, 64: 2500, 128: 3000}
KINDS = "mkdir,upload,move,copy,metadata,delete"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--clients")
    parser.add_argument("--kinds", default=KINDS)
    parser.add_argument("--quick", action="store_true", help="one round with few requests: to see that it works")
    given = parser.parse_args()
    rounds = given.rounds or (1 if given.quick else 3)
    clients = [int(count) for count in (given.clients or ("1,64" if given.quick else "1,16,64,128")).split(",")]
    with (
        stack() as running,
        tempfile.TemporaryDirectory(prefix="bench-root-") as folder,
        service(running, Path(folder)) as ours,
        floor(running, Path(folder) / "floor") as floor_url,
    ):
        mount = ours.local_mount(Path(folder) / "filestore")
        for kind in given.kinds.split(","):

            def runs(
                kind: str, count: int, requests: int, root: Path = Path(folder)
            ) -> dict[str, Callable[[], Figures]]:
                taken: dict[str, Callable[[], Figures]] = {
                    "filestore": partial(measure, "load", kind, ours.url, count, requests, *ours.arguments(mount)),
                    "floor": partial(measure, "load", floor_of(kind), floor_url, count, requests),
                }
                if kind in plain.KINDS:
                    taken["plain"] = partial(measure, "plain", kind, root / "plain" / kind, count, requests)
                return taken

            for warm in runs(kind, 16, 50 if given.quick else 400).values():
                warm()
            for count in clients:
                requests = count * 5 + 20 if given.quick else REQUESTS.get(count, 2000)
                show(f"{kind}, {count} clients", in_turns(runs(kind, count, requests), rounds))


def floor_of(kind: str) -> str:
    return "floor-move" if kind == "delete" else f"floor-{kind}"


if __name__ == "__main__":
    main()
