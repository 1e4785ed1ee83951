"""Rates and latencies: taken in a closed loop, repeated in turns, shown with their ratios."""

import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence

Figures = dict[str, float]


def figures(latencies: Sequence[float], seconds: float) -> Figures:
    """Of requests that took so many seconds each, and so many all together."""
    ordered = sorted(latencies)
    count = len(ordered)
    return {
        "per_s": count / seconds,
        "p50_ms": ordered[count // 2] * 1e3,
        "p99_ms": ordered[min(count - 1, int(count * 0.99))] * 1e3,
    }


def in_threads(one: Callable[[str], object], names: Sequence[str], clients: int) -> Figures:
    """Every client takes the next name when it is done with the one before. The first error ends all."""
    rest, guard = iter(names), threading.Lock()
    latencies: list[float] = []
    broken: list[Exception] = []

    def client() -> None:
        while not broken:
            with guard:
                name = next(rest, None)
            if name is None:
                return
            began = time.perf_counter()
            try:
                one(name)
            except Exception as error:
                broken.append(error)
            latencies.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]
    return figures(latencies, time.perf_counter() - began)


def in_turns(runs: Mapping[str, Callable[[], Figures]], rounds: int) -> dict[str, list[Figures]]:
    """One after the other in each round, so that what else the machine does hits all of them alike."""
    taken: dict[str, list[Figures]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(run())
    return taken


def median(rows: Sequence[Figures], label: str) -> float:
    return statistics.median(row[label] for row in rows)


def show(title: str, taken: Mapping[str, Sequence[Figures]]) -> None:
    """The first one is ours; the others are what it is compared with."""
    (_, ours), *others = taken.items()
    print(title)
    for name, rows in taken.items():
        shown = "  ".join(
            f"{label} min {min(row[label] for row in rows):8.1f} median {median(rows, label):8.1f}" for label in rows[0]
        )
        print(f"    {name:14s} {shown}")
    for name, rows in others:
        rate = statistics.median(o["per_s"] / f["per_s"] for o, f in zip(ours, rows, strict=True))
        line = f"    against {name}: ratio of rates {rate:.2f}"
        if "p50_ms" in rows[0]:
            line += f", of p50 {median(ours, 'p50_ms') / median(rows, 'p50_ms'):.2f}"
        print(line)
    print(end="", flush=True)
