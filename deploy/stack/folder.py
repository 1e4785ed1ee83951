"""Where everything of one running stack lies, so that removing the folder removes the stack."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Folder:
    """One stack's folder. Tests give their own; a person's is `.dev` in the repository."""

    path: Path

    @property
    def is_default(self) -> bool:
        return self.path == REPOSITORY / ".dev"

    @property
    def env(self) -> Path:
        """The variables of the stack, for shells and tests."""
        return self.path / "env"

    @property
    def pids(self) -> Path:
        """`name pid` for every process of the stack, true at any moment."""
        return self.path / "pids"

    @property
    def lock(self) -> Path:
        """Held by the supervisor while it lives."""
        return self.path / "lock"

    @property
    def remembered(self) -> Path:
        """Ports and secrets that stay the same across restarts."""
        return self.path / "remembered.json"

    @property
    def backends(self) -> Path:
        """The demo mounts, as the API reads them."""
        return self.path / "backends.yaml"

    @property
    def demo_done(self) -> Path:
        """Exists once the demo has run here."""
        return self.path / "demo-done"

    @property
    def local_mount(self) -> Path:
        return self.data("mounts") / "demo-local"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def data(self, name: str) -> Path:
        return self.path / "data" / name

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def make(self) -> None:
        # Private: the folder holds passwords, a token and files.
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)
        (self.path / "data").mkdir(mode=0o700, exist_ok=True)

    def remove(self) -> None:
        """Removes what `make` and the stack put here and nothing else: the folder may have been named by mistake."""
        for tree in (self.path / "data", self.logs, self.path / "run"):
            shutil.rmtree(tree, ignore_errors=True)
        for file in (self.env, self.pids, self.remembered, self.backends, self.demo_done, self.lock):
            file.unlink(missing_ok=True)
        if self.path.is_dir() and not os.listdir(self.path):
            self.path.rmdir()
