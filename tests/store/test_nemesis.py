"""A nemesis at work on the disk while commands, looks and heals run: once it is quiet the record and the disk agree, or a finding
says what lies there; and no byte is lost that it has not destroyed itself."""

import asyncio
import hashlib
import os
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from activities.executors.contract.stage import Draft, Stage
from schema.commands.command import Command, CommandKind
from schema.ids import new_command_id
from schema.store.pool import Pool
from tests.store.drift import Drifting, make_drifting
from tests.store.healing import RealSteps, healed, steps_of, uploaded
from tests.store.helpers import Protocol
from tests.store.nemesis import NAMES, Nemesis, NemesisContents

IMPORTS = {"onNew": "import", "onChanged": "import", "onMissing": "mark"}
HEALS = {"onNew": "quarantine", "onChanged": "restore", "onMissing": "restore"}
_LEFT_UNSEEN = re.compile(r"^kept .*: Its content is not in the trash: [^/]+/[^/]+/.")
"""A tree is deleted by one rename, and nothing looks at what is in it: what another program took out of it after the last look is
promised in vain. No byte is lost by that."""
AUDITS = 6
"""More than two, or three where policy heals: what was written a moment ago has to rest first"""


@dataclass
class Clients:
    """Commands of clients, a few at once."""

    drifting: Drifting
    steps: RealSteps
    dice: random.Random
    tokens: NemesisContents

    def path(self) -> str:
        return "/".join(self.dice.choice(NAMES) for _ in range(self.dice.choice((1, 1, 2, 3))))

    async def run(self) -> None:
        await self.steps.run(self.drifting.mount, [self._command()])

    def _command(self) -> Command:
        kinds = [*[CommandKind.UPLOAD] * 3, CommandKind.CREATE_DIRECTORY, CommandKind.DELETE, CommandKind.MOVE]
        kind = self.dice.choice(kinds)
        command = Command(new_command_id(), kind, self.drifting.mount, self.path(), "main", "a client", 0)
        match kind:
            case CommandKind.UPLOAD:
                return uploaded(self.drifting, command.path, self.tokens.new(), overwrite=True)
            case CommandKind.CREATE_DIRECTORY:
                [made] = self.drifting.executor.seal([Draft(command.id, None)])
                assert isinstance(made, Stage)
                return replace(command, staged=made.identity.facts())
            case CommandKind.MOVE:
                return replace(command, target=self.path(), overwrite=True)
            case _:
                return replace(command, recursive=True)


@contextmanager
def at_work(nemesis: Nemesis, pause: float) -> Iterator[None]:
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(pause):
            nemesis.step()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def until_quiet(drifting: Drifting) -> int:
    """Audits, and heals after each, until one changes nothing. Returns how many have changed something."""
    for audits in range(AUDITS):
        await asyncio.sleep(0.06)  # the grain of times: what was written a moment ago is left alone
        end = await drifting.look()
        again = await healed(drifting)
        if not (set(end.counts) - {"unreadable"} or end.waiting or again) or (not again and await settled(drifting)):
            return audits
    raise AssertionError(f"after {AUDITS} audits there is still something to do: {end}")


async def settled(drifting: Drifting) -> bool:
    return not await differences(drifting) and (await drifting.look()).changes == 0


async def differences(drifting: Drifting) -> list[str]:
    """Where the record is not the disk, and no finding says so."""
    recorded = await drifting.rows(
        """SELECT path_text AS path, kind::text, state::text, sha256 FROM filestore.node_documents
            WHERE mount_id = %s AND state IN ('active', 'inconsistent') AND depth > 0""",
        drifting.mount,
    )
    believed = {row["path"]: (row["kind"], row["sha256"]) for row in recorded if row["state"] == "active"}
    there = {
        entry.path.text: (entry.kind, hashlib.sha256((drifting.root / entry.path.text).read_bytes()).digest()
                          if entry.kind == "file" else None)
        for entry in drifting.executor.walk()
    }  # fmt: skip
    told = set(await drifting.findings())
    differing = {path for path in {*believed, *there} if believed.get(path) != there.get(path)}
    return sorted(path for path in differing if not any(above in told for above in upwards(path)))


def upwards(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]


def contents(drifting: Drifting) -> set[bytes]:
    """All that lies on the mount, our own folder included."""
    found = set[bytes]()
    for folder, _, names in os.walk(drifting.root):
        for name in names:
            place = Path(folder, name)
            if not place.is_symlink():
                found.add(place.read_bytes())
    return found


async def a_day_with_a_nemesis(
    pool: Pool, tmp_path: Path, protocol: Protocol, seed: int, policy: dict[str, str], rounds: int
) -> Drifting:
    dice, tokens = random.Random(seed), NemesisContents()
    (tmp_path / "outside").write_bytes(b"outside")
    (tmp_path / "bag").mkdir()
    drifting = await make_drifting(pool, tmp_path / "root", protocol)
    await drifting.policy(**policy)
    steps = steps_of(drifting)
    nemesis = Nemesis(drifting.root, tmp_path / "bag", random.Random(seed + 1), tokens)
    clients = Clients(drifting, steps, dice, NemesisContents(b"clients"))
    with at_work(nemesis, 0.002):
        for number in range(rounds):
            await asyncio.gather(*(clients.run() for _ in range(3)), drifting.look(whole=number % 2 == 0))
            if number % 3 == 2:
                await healed(drifting, most=1)
    nemesis.leave()
    await until_quiet(drifting)
    assert nemesis.steps > rounds
    assert await differences(drifting) == []
    assert tokens.left - contents(drifting) == set(), "bytes are lost"
    assert (tmp_path / "outside").read_bytes() == b"outside"
    told = set(await drifting.findings())
    found = [one for one in await drifting.problems() if not _LEFT_UNSEEN.search(one)]
    problems = [one for one in found if not any(path in one for path in told)]
    assert problems == []
    return drifting


@pytest.mark.parametrize("policy", [IMPORTS, HEALS], ids=["imports", "heals"])
async def test_a_nemesis_loses_no_byte_and_once_quiet_the_record_is_the_disk(
    pool: Pool, tmp_path: Path, protocol: Protocol, policy: dict[str, str]
) -> None:
    await a_day_with_a_nemesis(pool, tmp_path, protocol, 7, policy, 6)


@pytest.mark.slow
@pytest.mark.parametrize("policy", [IMPORTS, HEALS], ids=["imports", "heals"])
@pytest.mark.parametrize("seed", range(10))
async def test_a_nemesis_loses_no_byte_for_long(
    pool: Pool, tmp_path: Path, protocol: Protocol, seed: int, policy: dict[str, str]
) -> None:
    await a_day_with_a_nemesis(pool, tmp_path, protocol, seed, policy, 60)
