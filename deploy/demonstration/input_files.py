"""Which files the demo puts through the service, and which it leaves out."""

import os
import subprocess
from collections import Counter
from dataclasses import dataclass, field
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


@dataclass
class Input:
    """What lies in a folder. `skipped` says what was left out, and how many of each."""

    files: list[InputFile] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def said(self) -> str:
        """One line, empty when nothing is left out."""
        return ", ".join(f"{count} {why}" for why, count in sorted(self.skipped.items()))


def find_files(folder: Path) -> Input:
    """The tracked files of a git repository, else all files but hidden ones; only regular files with names in UTF-8."""
    found = Input()
    names = _tracked(folder)
    for relative in sorted(_walk(folder, found.skipped) if names is None else names):
        source = folder / relative
        if why := _unfit(source, relative):
            found.skipped[why] += 1
        else:
            found.files.append(InputFile(source, relative, source.stat().st_size))
    return found


def _unfit(source: Path, relative: str) -> str:
    """Why a file is left out; empty when it is not."""
    if source.is_symlink():
        return "symbolic links"
    if not source.exists():
        return "tracked, but not there"
    if not source.is_file():
        return "neither file nor directory"
    if not _is_text(relative):
        return "with a name that is not UTF-8"
    return "" if os.access(source, os.R_OK) else "that this user may not read"


def _tracked(folder: Path) -> list[str] | None:
    """None when this is no repository, or one without files."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=folder, capture_output=True)
    except FileNotFoundError:  # no git
        return None
    names = [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    return names if listed.returncode == 0 and names else None


def _walk(folder: Path, skipped: Counter[str]) -> list[str]:
    found: list[str] = []

    def unreadable(_: OSError) -> None:
        skipped["directories that this user may not read"] += 1

    for place, directories, files in os.walk(folder, onerror=unreadable):
        kept = [name for name in directories if not name.startswith(".") and name not in SKIPPED]
        skipped["hidden or generated directories"] += len(directories) - len(kept)
        directories[:] = kept
        shown = [name for name in files if not name.startswith(".")]
        skipped["hidden files"] += len(files) - len(shown)
        found += [os.path.relpath(os.path.join(place, name), folder) for name in shown]
    for why in [why for why, count in skipped.items() if not count]:
        del skipped[why]
    return found


def _is_text(name: str) -> bool:
    """JSON carries names as text, so the few that are not UTF-8 stay at home here."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
