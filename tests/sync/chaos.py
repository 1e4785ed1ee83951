"""Five servers, programs that write on each of them, and whatever can be killed, cut and wiped."""

import hashlib
import os
import random
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tests.fix_service import Service, until
from tests.fix_stack import Stack
from tests.sync.agents import AgentOfTest, Tree, become_one
from tests.sync.line import LineOfTest
from tests.sync.test_projects import ProjectOfTest
from tests.sync.test_tiers_of_projects import wipe_hot

FAULTS = ["agent", "agent", "cut", "cut", "silence", "nats", "postgres", "temporal", "api", "worker", "wipe"]
SHARED = [f"shared/{number}" for number in range(4)]


def stamped(random_: random.Random) -> bytes:
    """A content that says itself whether it is whole."""
    body = os.urandom(random_.choice([0, 100, 5_000, 70_000, 500_000]))
    return hashlib.sha256(body).hexdigest().encode() + body


def is_whole(content: bytes) -> bool:
    return len(content) >= 64 and hashlib.sha256(content[64:]).hexdigest().encode() == content[:64]


class Watcher:
    """Reads what stands in the folders all the time."""

    def __init__(self, folders: list[Path]) -> None:
        self._folders, self._stop = folders, threading.Event()
        self.torn: list[str] = []
        self.looks = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            for folder in self._folders:
                for path in folder.glob("*/*"):
                    with suppress(OSError):
                        if not path.parts[-2].startswith(".") and path.is_file():
                            self.looks += 1
                            self.torn += [] if is_whole(path.read_bytes()) else [str(path)]

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


class ChaosOfTest:
    """`mine`: what a node wrote under names that no other touches, and which therefore has to be everywhere in the end."""

    def __init__(
        self,
        service: Service,
        project: ProjectOfTest,
        folder: Path,
        seed: int,
        bucket: Stack | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`bucket`: where the project is cold, and what may be killed, too. `settings`: of the service, whenever it starts."""
        self.settings = settings or {}
        self.service, self.project, self.random, self.bucket = service, project, random.Random(seed), bucket
        self.lines = [LineOfTest(service.url) for _ in range(5)]
        self.agents = [
            AgentOfTest(service, project.name, f"n{number}", folder / f"n{number}", url=line.url)
            for number, line in enumerate(self.lines)
        ]
        self.mine: dict[str, bytes] = {}
        self.of_all: dict[str, set[bytes]] = {}
        self.told: list[str] = []
        """All that was done, for people who ask how a tree came to be"""

    def step(self) -> None:
        agent = self.random.choice(self.agents)
        kind = self.random.choices(("write", "rename", "delete", "share"), (50, 15, 10, 25))[0]
        own = [path for path in self.mine if path.startswith(f"{agent.name}/")]
        if kind == "share":
            path, content = self.random.choice(SHARED), stamped(self.random)
            self.of_all.setdefault(path, set()).add(content)
            self.tell(f"{agent.name} writes {path} {content[:8]!r}")
            self.place(agent, path, content)
        elif kind == "write" or not own:
            path, content = f"{agent.name}/{self.random.randrange(12)}", stamped(self.random)
            self.mine[path] = content
            self.tell(f"{agent.name} writes {path} {content[:8]!r}")
            self.place(agent, path, content)
        elif kind == "delete":
            path = self.random.choice(own)
            del self.mine[path]
            self.tell(f"{agent.name} deletes {path}")
            (agent.folder / path).unlink()
        else:
            path, target = self.random.choice(own), f"{agent.name}/r{self.random.randrange(1000)}"
            self.mine[target] = self.mine.pop(path)
            self.tell(f"{agent.name} renames {path} to {target}")
            (agent.folder / path).rename(agent.folder / target)

    def place(self, agent: AgentOfTest, path: str, content: bytes) -> None:
        """As programs do that want no reader to see half of it."""
        target = agent.folder / path
        target.parent.mkdir(exist_ok=True)
        half = agent.folder / f".half-{self.random.randrange(10**9)}"
        half.write_bytes(content)
        half.rename(target)

    def fault(self) -> str:
        what = self.random.choice(FAULTS if self.bucket is None else [*FAULTS, "s3", "s3"])
        which = self.random.randrange(5)
        self.tell(f"{what} n{which}")
        if what == "agent":
            self.agents[which].kill()
            self.agents[which].start()
        elif what == "cut":
            self.lines[which].cut()
        elif what == "silence":
            self.lines[which].silence()
        elif what == "wipe":
            wipe_hot(self.service)
        elif what in ("api", "worker"):
            self.service.restart(**self.settings)
        elif what == "s3":
            assert self.bucket is not None
            kill_running(self.bucket, what)
        else:
            kill_running(self.service.stack, what)
        return what

    def mend(self) -> None:
        for line in self.lines:
            line.mend()

    def tell(self, what: str) -> None:
        self.told.append(f"{datetime.now(UTC):%H:%M:%S.%f} {what}")

    def is_right(self, tree: Tree) -> bool:
        return not self.wrong(tree)

    def wrong(self, tree: Tree) -> list[str]:
        """Paths that are not as they should be."""
        held = {path: content for path, (content, _) in tree.items() if content is not None}
        mine = {path: content for path, content in held.items() if not path.startswith("shared/")}
        wrong = [path for path in mine.keys() | self.mine.keys() if mine.get(path) != self.mine.get(path)]
        return wrong + [path for path, contents in self.of_all.items() if held.get(path) not in contents]

    def become_one(self) -> Tree:
        try:
            return become_one(self.agents, self.is_right)
        except AssertionError as error:
            tree = self.agents[0].tree()
            lines = [f"{path}: {(tree[path][0] or b'')[:8]!r}" for path in sorted(self.wrong(tree)) if path in tree]
            lines += [f"{path}: not there" for path in sorted(self.wrong(tree)) if path not in tree]
            lines += [one for one in self.told if one.count(" ") < 3 or any(path in one for path in self.wrong(tree))]
            raise AssertionError("\n".join(lines)) from error

    def close(self) -> None:
        for agent in self.agents:
            agent.kill()
        for line in self.lines:
            line.close()


def kill_running(stack: Stack, name: str) -> None:
    """What was killed a moment ago is killed again once it is back."""
    assert until(lambda: stack.pid(name) is not None)
    stack.kill(name)
