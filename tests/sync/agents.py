"""Node agents as processes of their own, each with a folder."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.files import paths_in
from tests.fix_service import PATIENCE, Service
from tests.fix_stack import REPOSITORY

Tree = dict[str, tuple[bytes | None, int]]


def tree_of(folder: Path) -> Tree:
    """Path -> content (None for a directory) and permissions, without our own folder."""
    found: Tree = {}
    for path in sorted(paths_in(folder)):
        shown = str(path.relative_to(folder))
        if shown.split("/")[0] == ".filestore":
            continue
        try:
            found[shown] = (None if path.is_dir() else path.read_bytes(), path.stat().st_mode & 0o777)
        except FileNotFoundError:
            continue
    return found


class AgentOfTest:
    def __init__(self, service: Service, project: str, name: str, folder: Path, url: str = "") -> None:
        """`url`: where it reaches the service, unless that is where everybody does."""
        self._service, self._project, self.name, self.folder = service, project, name, folder
        self._url = url or service.url
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)
        self.log = folder.with_suffix(".log")

    def start(self) -> "AgentOfTest":
        words = [self._project, str(self.folder), "--node", self.name, "--url", self._url]
        environment = {**os.environ, "FILESTORE_TOKEN": self._service.token, "PYTHONDONTWRITEBYTECODE": ""}
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workers.sync_node", *words],
                cwd=REPOSITORY,
                env=environment,
                stdout=log,
                stderr=log,
            )
        return self

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(PATIENCE)
        self._process = None
        return code

    def write(self, path: str, content: bytes) -> None:
        """As editors do: whole, or not at all."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def tree(self) -> Tree:
        return tree_of(self.folder)


def become_one(agents: Sequence[AgentOfTest], also: Callable[[Tree], bool] = lambda tree: True) -> Tree:
    """Wait until all folders are the same, and as they should be, and stay so for a moment."""
    end = time.monotonic() + PATIENCE
    while True:
        trees = [agent.tree() for agent in agents]
        if all(tree == trees[0] for tree in trees) and also(trees[0]):
            return trees[0]
        if time.monotonic() > end:
            told = "\n".join(f"{agent.name}: {agent.log.read_text()[-1500:]}" for agent in agents)
            shown = [{path: (one and one[:30], mode) for path, (one, mode) in tree.items()} for tree in trees]
            raise AssertionError(f"the folders do not become one: {shown}\n{told}")
        time.sleep(0.05)
