"""Find the Temporal CLI: one that is named or installed, one from the cache, else one built from source."""

import hashlib
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from deploy.stack.folder import REPOSITORY
from deploy.stack.part import StartFailed
from deploy.stack.say import say
from deploy.stack.temporal_build import FLAGS, MODULE, VERSION, build, build_lock

HELP = f"""There is no Temporal server on this machine and no Go to build one. Any of these helps:
  - install Go (https://go.dev/dl) and run this again: it builds Temporal CLI {VERSION} once and keeps it
  - install the Temporal CLI {VERSION} (https://docs.temporal.io/cli), on PATH or named in TEMPORAL_CLI
  - name a running server in TEMPORAL_ADDRESS"""


@dataclass(frozen=True)
class Program:
    path: str
    origin: str  # where it came from, for a person


def find_program() -> Program:
    if named := os.environ.get("TEMPORAL_CLI"):
        if not os.access(named, os.X_OK):
            raise StartFailed(f"TEMPORAL_CLI names {named}, which is not a program")
        return Program(named, "from TEMPORAL_CLI")
    if installed := shutil.which("temporal"):
        return Program(installed, f"{installed} on PATH")
    cached = _cache_folder() / "temporal"
    if not _is_whole(cached):
        if shutil.which("go") is None:
            raise StartFailed(HELP)
        _build_into(cached)
    return Program(str(cached), f"{VERSION}, built from source")


def _build_into(program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    with build_lock(program.with_name("lock")):
        if _is_whole(program):  # another stack has built it while we waited
            return
        if program.exists():
            say(f"{program} is not what was built, so it is built again")
        unfinished = program.with_name("temporal-unfinished")
        build(unfinished)
        _sum_file(program).write_text(_sha256(unfinished) + "\n")
        os.replace(unfinished, program)


def _is_whole(program: Path) -> bool:
    """Whether the cache holds exactly what was built."""
    if not program.exists() or not _sum_file(program).exists():
        return False
    return _sha256(program) == _sum_file(program).read_text().strip()


def _cache_folder() -> Path:
    """Outside the repository, so that a second clone needs no second build; a new recipe gets a new folder."""
    recipe = hashlib.sha256(" ".join(FLAGS).encode())
    for name in ("go.mod", "go.sum"):
        recipe.update((MODULE / name).read_bytes())
    entry = f"temporal-{VERSION}-{platform.machine()}-{recipe.hexdigest()[:12]}"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    cache = Path(home) / "filestore"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written
        cache = REPOSITORY / ".tools" / "cache"
    return cache / entry


def _sum_file(program: Path) -> Path:
    return program.with_name("temporal.sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
