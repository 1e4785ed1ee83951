"""A long fill stops between two slices where something presses, and what came along is not asked for."""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any, cast

import pytest

from schema.sync.plan import StepKind, SyncStep
from schema.sync.trees import a_file
from tests.fix_service import until
from workers.syncing.folder import NodeFolder
from workers.syncing.placing import SLICE, Placing
from workers.syncing.watch import FolderWatch

MANY = 2 * SLICE + 10


class LinkOfTest:
    def __init__(self, contents: dict[str, bytes]) -> None:
        self._contents, self.asked = contents, list[str]()

    async def fetch(self, shas: list[str]) -> dict[str, bytes]:
        self.asked += shas
        return {sha: self._contents[sha] for sha in shas}


@pytest.fixture
def contents() -> dict[str, bytes]:
    made = (b"%d" % number for number in range(MANY))
    return {hashlib.sha256(one).hexdigest(): one for one in made}


def steps_of(contents: dict[str, bytes]) -> list[SyncStep]:
    return [
        SyncStep(StepKind.PUT, b"f%d" % number, None, a_file(sha, len(one)))
        for number, (sha, one) in enumerate(contents.items())
    ]


def test_what_presses_waits_for_one_slice_and_the_rest_is_done_later(
    tmp_path: Path, contents: dict[str, bytes]
) -> None:
    folder, link = NodeFolder(str(tmp_path)), LinkOfTest(contents)
    placing = Placing(folder, cast(Any, link), {}, cast(Any, None), lambda: None)
    steps = steps_of(contents)
    placing.held |= dict(list(contents.items())[:10])
    touched = asyncio.run(placing.take(steps, lambda ours: True))
    assert touched == {step.path for step in steps[:SLICE]} and placing.left and placing.placed == SLICE
    assert len(link.asked) == SLICE - 10, "those that came along are not asked for"
    asyncio.run(placing.take(steps, lambda ours: False))
    assert placing.placed == MANY and not placing.left
    assert {path.name: path.read_bytes() for path in tmp_path.glob("f*")} == {
        step.path.decode(): one for step, one in zip(steps, contents.values(), strict=True)
    }
    folder.close()


def test_what_an_agent_writes_itself_presses_nothing(tmp_path: Path) -> None:
    watch = FolderWatch(os.fsencode(tmp_path), lambda path, directory: False, 0.0, lambda: None).start()
    try:
        (tmp_path / "ours").write_bytes(b"1")
        assert until(lambda: watch.presses(()))
        assert not watch.presses({b"ours"})
        (tmp_path / "theirs").write_bytes(b"1")
        assert until(lambda: watch.presses({b"ours"}))
    finally:
        watch.stop()
