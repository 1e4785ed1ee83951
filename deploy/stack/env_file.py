"""The stack's variables as a file that a shell can source and a program can read."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from deploy.stack.whole_file import write_whole


def write_env(path: Path, variables: Mapping[str, str]) -> None:
    write_whole(path, "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items()))


def read_env(path: Path) -> dict[str, str]:
    """Empty when there is no file."""
    if not path.exists():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return {name: "".join(shlex.split(value)) for name, value in pairs}
