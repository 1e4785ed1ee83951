"""Whatever a stranger does to a tree: two looks bring the record there, and a node follows its file all the way."""

import random

import pytest

from schema.drift.sightings import key_of
from tests.unit.drift.world import ENFORCED, settled, wander

TREE = (b"a", b"b", b"d/", b"d/a", b"d/d/", b"d/d/b", b"e/", b"e/c")


@pytest.mark.parametrize("seed", range(150))
def test_two_looks_bring_record_and_disk_together(seed: int) -> None:
    dice = random.Random(seed)
    world = settled(*TREE)
    for _ in range(dice.randint(1, 4)):
        owner = {node.key: node.id for node in world.believed}
        for _ in range(dice.randint(1, 7)):
            wander(world, dice)
        world.look()
        world.look()
        assert world.differences == []
        now = {node.key: node.id for node in world.believed}
        followed = [file for file in world.disk.values() if key_of(file.facts) in owner]
        assert [f for f in followed if owner[key_of(f.facts)] != now.get(key_of(f.facts))] == [], "I4"
        assert not world.look(ENFORCED).acts, "a third look has nothing to do"
