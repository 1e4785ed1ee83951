"""Show what the service did, for a person at a terminal."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.demonstration.client import DemoClient

# How many children the tree shows at each of its levels, from the top.
SHOWN_MAX = (20, 4)
ROLLUPS_SETTLE_WITHIN_S = 5.0


@dataclass(frozen=True)
class DemoWork:
    """One kind of command, done many times."""

    name: str
    count: int
    bytes: int
    seconds: float


def work_table(works: list[DemoWork]) -> str:
    lines = [f"  {'':<18}{'commands':>10}{'bytes':>12}{'seconds':>10}{'per s':>10}{'MB/s':>10}"]
    for work in works:
        seconds = max(work.seconds, 1e-9)
        speed = f"{work.bytes / seconds / 1e6:.2f}" if work.bytes else "-"
        size = human(work.bytes) if work.bytes else "-"
        lines.append(
            f"  {work.name:<18}{work.count:>10}{size:>12}{work.seconds:>10.2f}{work.count / seconds:>10.0f}{speed:>10}"
        )
    return "\n".join(lines)


def tree(client: DemoClient, mount: int, path: str) -> str:
    """Two levels with their rollups: what lies below each directory, kept exact by the service itself."""
    root = _settled(client, mount, path)
    return "\n".join(f"  {line}" for line in _lines(client, root, SHOWN_MAX))


def journal_table(entries: list[dict[str, Any]]) -> str:
    lines = [f"  {'id':>8}  {'time':<8}  {'command':<18}{'outcome':<12}{'principal':<20}path"]
    for entry in entries:
        at = str(entry["recordedAt"])[11:19]
        who = str(entry["principal"])[:18]
        lines.append(
            f"  {entry['id']:>8}  {at:<8}  {entry['command']:<18}{entry['outcome']:<12}{who:<20}{entry['path']}"
        )
    return "\n".join(lines)


def human(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _settled(client: DemoClient, mount: int, path: str) -> dict[str, Any]:
    """The node once its rollup is up to date, or as it is when that takes long."""
    deadline = time.monotonic() + ROLLUPS_SETTLE_WITHIN_S
    while True:
        node = client.node(mount, path)
        if (node.get("rollup") or {}).get("state") == "up_to_date" or time.monotonic() > deadline:
            return node
        time.sleep(0.1)


def _lines(client: DemoClient, node: dict[str, Any], shown_max: Sequence[int]) -> Iterator[str]:
    yield _line(node)
    if not shown_max or node["kind"] != "directory":
        return
    children = client.children(node["id"])
    shown = children[: shown_max[0]]
    for child in shown:
        first, *others = _lines(client, child, shown_max[1:])
        last = child is children[-1]
        yield ("└─ " if last else "├─ ") + first
        yield from (("   " if last else "│  ") + line for line in others)
    if len(children) > len(shown):
        yield f"└─ … and {len(children) - len(shown)} more"


def _line(node: dict[str, Any]) -> str:
    if node["kind"] != "directory":
        return f"{node['name']}  {human(node['sizeBytes'])}"
    rollup = node.get("rollup") or {}
    files, directories = rollup.get("fileCount", 0), rollup.get("directoryCount", 0)
    counts = f"{files} file{'s' * (files != 1)}"
    counts += f", {directories} director{'ies' if directories != 1 else 'y'}" if directories else ""
    state = "" if rollup.get("state") == "up_to_date" else f"  [{rollup.get('state', 'no rollup')}]"
    return f"{node['name']}/  {human(rollup.get('sizeBytes', 0))} in {counts}{state}"
