"""Which files the demo puts through the service."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

SKIPPED = {"node_modules", "__pycache__"}


@dataclass(frozen=True)
class InputFile:
    source: Path
    relative: str  # with slashes, as the service names it
    size: int

    @property
    def directory(self) -> str:
        return self.relative.rpartition("/")[0]


def find_files(folder: Path) -> list[InputFile]:
    """The tracked files of a git repository, else all files but hidden ones; only regular files with names in UTF-8."""
    names = _tracked(folder)
    found = []
    for relative in sorted(_walk(folder) if names is None else names):
        source = folder / relative
        if source.is_file() and not source.is_symlink() and _is_text(relative):
            found.append(InputFile(source, relative, source.stat().st_size))
    return found


def _tracked(folder: Path) -> list[str] | None:
    """None when this is no repository, or one without files."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=folder, capture_output=True)
    except FileNotFoundError:  # no git
        return None
    names = [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    return names if listed.returncode == 0 and names else None


def _walk(folder: Path) -> list[str]:
    found = []
    for place, directories, files in os.walk(folder):
        directories[:] = [name for name in directories if not name.startswith(".") and name not in SKIPPED]
        found += [os.path.relpath(os.path.join(place, name), folder) for name in files if not name.startswith(".")]
    return found


def _is_text(name: str) -> bool:
    """JSON carries names as text, so the few that are not UTF-8 stay at home here."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
