"""What quotas cost a client: uploads by 64 writers to a mount without any, and to mounts that some hold, in turns.

    python -m tests.bench.quotas [--quick] [--requests N] [--rounds N] [--clients N]

On servers, a database and folders of its own. Each round sends the same uploads of 1 KiB, through HTTP to the disk, once to each
mount; the ratios are of the rounds: minimum and median. What is counted is compared with what was sent, at the end.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench import running
from tests.bench.load import BODY
from tests.bench.running import BenchService

FREE, HELD, ALL = "no quota", "of the mount, a subtree, a principal", "the same with the trash"


def mounts(service: BenchService, folder: Path) -> dict[str, str]:
    """By what holds them. A quota of the whole tenant would hold all of them."""
    made = {name: service.local_mount(folder / f"m{n}") for n, name in enumerate((FREE, HELD, ALL))}
    for name in (HELD, ALL):
        here = {"backendMountId": int(made[name]), "maxBytes": 10**15, "maxNodes": 10**12, "trash": name == ALL}
        for scope in ({}, {"path": "d"}, {"principal": "admin"}):
            service.call("POST", "/v1/quotas", **here, **scope)
    return made


def rounds(service: BenchService, places: Mapping[str, str], asked: argparse.Namespace) -> dict[str, list[float]]:
    """Requests a second, by what holds the mount."""
    taken: dict[str, list[float]] = {name: [] for name in places}
    for number in range(asked.rounds + 1):
        names = list(places) if number % 2 else list(places)[::-1]
        for name in names:
            load = (
                "upload",
                service.url,
                asked.clients,
                asked.requests,
                *service.arguments(places[name]),
                "--below",
                "d",
            )
            figures = running.measure("load", *load)
            if number:  # the first round warms up
                taken[name].append(figures["per_s"])
    return taken


def show(taken: Mapping[str, list[float]]) -> None:
    for name, rates in taken.items():
        costs = [of / one for one, of in zip(rates, taken[FREE], strict=True)]
        print(
            f"  {name:40} median {statistics.median(rates):8.1f}/s   time of a request, to that without:"
            f" min {min(costs):.3f} median {statistics.median(costs):.3f}"
        )


def check(service: BenchService, sent: int) -> None:
    for quota in service.call("GET", "/v1/quotas?limit=100")["quotas"]:
        seen: tuple[Any, ...] = quota["usedBytes"], quota["reservedBytes"], quota["reservedNodes"]
        if seen != (sent * len(BODY), 0, 0):
            raise SystemExit(f"quota {quota['id']} counts {seen}, and {sent} files were sent")
    print(f"  every quota counts the {sent} files that were sent, and has nothing reserved")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--quick", action="store_true", help="a small size that only shows that it works")
    asked = parser.parse_args()
    if asked.quick:
        asked.requests, asked.rounds = 64, 1
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        running.stack() as stack,
        running.service(stack, Path(name)) as service,
    ):
        places = mounts(service, Path(name))
        print(f"uploads of 1 KiB by {asked.clients} clients, {asked.rounds} rounds; load", os.getloadavg())
        show(rounds(service, places, asked))
        check(service, asked.requests * (asked.rounds + 1))
        print("load", os.getloadavg())


if __name__ == "__main__":
    main()
