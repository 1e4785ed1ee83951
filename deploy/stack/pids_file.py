"""The stack's processes as a file: `name pid`, one line each."""

from collections.abc import Mapping
from pathlib import Path

from deploy.stack.whole_file import write_whole


def write_pids(path: Path, pids: Mapping[str, int]) -> None:
    write_whole(path, "".join(f"{name} {pid}\n" for name, pid in pids.items()))


def read_pids(path: Path) -> dict[str, int]:
    """Empty when there is no file."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {name: int(pid) for name, pid in (line.split() for line in lines)}
