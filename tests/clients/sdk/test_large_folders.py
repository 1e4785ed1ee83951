"""A folder of 50,000 files goes up and down; what carries it is killed at random moments, on both sides."""

import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.sdk.command import COMMAND, Shell
from tests.fix_service import MountOfTest, Service, check_mount, make_mount
from tests.sampling import SEED

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]

FILES, DIRECTORIES = 50_000, 250
DEATHS = 3


@pytest.fixture
def mount(service: Service, tmp_path: Path) -> Iterator[MountOfTest]:
    """Its record is compared with the disk at the end as everywhere: that takes longer for so many files."""
    large = make_mount(service, tmp_path / "mount")
    yield large
    check_mount(service, large, seconds=1200)


def folder_of(top: Path, chance: random.Random) -> None:
    for number in range(DIRECTORIES):
        (top / f"d{number % 50}/e{number}").mkdir(parents=True)
    for number in range(FILES):
        place = number % DIRECTORIES
        content = chance.randbytes(chance.choice((0, 20, 300, 5000)))
        (top / f"d{place % 50}/e{place}/{number}").write_bytes(content)


def changed(top: Path, chance: random.Random) -> tuple[set[str], set[str]]:
    """A hundred files have other bytes, a hundred are new, a hundred are gone: what has to travel, and to go."""
    files = sorted(str(file.relative_to(top)) for file in top.rglob("*") if file.is_file())
    several = chance.sample(files, 200)
    written, gone = set(several[:100]), set(several[100:])
    written |= {f"{os.path.dirname(name)}/new" for name in gone}
    for name in written:
        (top / name).write_bytes(chance.randbytes(40))
    for name in gone:
        (top / name).unlink()
    return written, gone


def run_and_kill(shell: Shell, chance: random.Random, *words: str) -> None:
    """SIGKILL after any number of files, those that were there already among them."""
    running = subprocess.Popen(
        [*COMMAND, *words], cwd=shell.folder, env=shell.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert running.stdout is not None
    for _ in range(chance.randrange(FILES)):
        running.stdout.readline()
    running.kill()
    running.wait()
    running.stdout.close()


def equal(here: Path, there: Path) -> bool:
    """Nothing else is there either: what a killed process had half written beside a file is gone."""
    return subprocess.run(["diff", "-r", "-q", here, there], check=False).returncode == 0


def test_fifty_thousand_files_arrive_through_every_death(shell: Shell, service: Service, mount: MountOfTest) -> None:
    chance, tree, at = random.Random(SEED), shell.folder / "tree", f"{mount.key}:tree"
    shell.patience = 1800
    folder_of(tree, chance)
    for _ in range(DEATHS):
        run_and_kill(shell, chance, "put", "-r", "tree", f"{mount.key}:")
    service.kill("worker")
    service.start("worker")
    assert shell.run("put", "-r", "tree", f"{mount.key}:").returncode == 0
    assert equal(tree, mount.root / "tree")

    assert json.loads(shell.text("sync", "tree", at, "--json")), "a step is told for each name"
    travelled, doomed = changed(tree, chance)
    steps = json.loads(shell.text("sync", "tree", at, "--delete", "--json"))
    assert {row["path"] for row in steps if row["action"] == "send"} == travelled, "only what has changed travels"
    assert {row["path"] for row in steps if row["action"] == "delete"} == doomed
    assert equal(tree, mount.root / "tree")

    for _ in range(DEATHS):
        run_and_kill(shell, chance, "get", "-r", f"{at}/", "back")
    shell.text("sync", at, "back")
    assert equal(tree, shell.folder / "back")
