"""What was: a random walk of commands, and the record asked afterwards about each moment of it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from schema.commands.command import Command, CommandKind
from schema.ids import MountId, NodeId
from schema.paths import NodePath
from schema.store import past, past_trees
from schema.store.past import Compared, Difference, PastNode
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, mkdir, upload

Picture = Mapping[str, tuple[int, int, int, str | None, str]]
"""By path: node, version, size, hash and metadata"""
LIVING = """SELECT convert_from(rtrim(a.canonical_path, '/'), 'UTF8') AS path, n.id, n.version, n.size_bytes,
       encode(n.sha256, 'hex') AS sha256, n.metadata::text AS metadata
  FROM filestore.active_nodes a JOIN filestore.nodes n ON n.id = a.id WHERE a.mount_id = %s AND a.depth > 0"""


@dataclass
class RandomWalk:
    """Commands at random, and the listing after each of them with its time."""

    pool: Pool
    protocol: Protocol
    mount: MountId
    random: random.Random
    seen: list[tuple[datetime, Picture]] = field(default_factory=list)

    async def look(self) -> Picture:
        async with self.pool.connection() as connection:
            rows = await (await connection.execute(LIVING, (self.mount,))).fetchall()
            picture = {
                row["path"]: (row["id"], row["version"], row["size_bytes"], row["sha256"], row["metadata"])
                for row in rows
            }
            self.seen.append((await past.now(connection), picture))
        return picture

    def request(self, picture: Picture) -> Command:
        """Names are few, so that they are used again; most commands are of use, some are refused."""
        pick = self.random
        directories = ["", *sorted(path for path, entry in picture.items() if entry[3] is None)]

        def fresh() -> str:
            return f"{pick.choice(directories)}/{pick.choice('abcd')}".lstrip("/")

        some = pick.choice(sorted(picture)) if picture else "a"
        kind = pick.randrange(12)
        if kind < 4:
            return mkdir(self.mount, fresh())
        if kind < 7:
            digest = f"{pick.randrange(256):02x}" * 32
            return upload(self.mount, fresh(), pick.randrange(9), overwrite=True, sha256=digest)
        if kind == 7:
            return delete(self.mount, some, recursive=True)
        if kind < 11:
            return asked(CommandKind.MOVE, self.mount, some, target=fresh(), overwrite=True)
        living = {entry[0] for entry in picture.values()}
        gone = {entry[0]: path for _, was in self.seen for path, entry in was.items() if entry[0] not in living}
        node = pick.choice(sorted(gone) or [0])
        return asked(CommandKind.RESTORE, self.mount, gone.get(node, "a"), node_id=node, target=fresh())

    async def go(self, steps: int) -> None:
        picture = await self.look()
        for _ in range(steps):
            await self.protocol.run(self.mount, self.request(picture))
            picture = await self.look()


@pytest.fixture(params=range(4))
async def walk(pool: Pool, protocol: Protocol, mount: MountId, request: pytest.FixtureRequest) -> RandomWalk:
    walk = RandomWalk(pool, protocol, mount, random.Random(request.param))
    await walk.go(60)
    return walk


def shown(node: PastNode) -> tuple[Any, ...]:
    return (node.id, node.version, node.size, node.sha256.hex() if node.sha256 else None, node.metadata)


async def everything(walk: RandomWalk, at: datetime) -> dict[str, tuple[Any, ...]]:
    """The whole picture of a moment, directory by directory, in pages of two."""
    found: dict[str, tuple[Any, ...]] = {}
    async with walk.pool.connection() as connection:
        root = await past.at_path(connection, walk.mount, NodePath(b""), at)
        assert root is not None
        waiting: list[tuple[NodeId, str]] = [(root, "")]
        while waiting:
            directory, path = waiting.pop()
            after, held = past.FIRST, 0
            while page := await past.children(connection, directory, at, after=after, limit=2):
                for node in page:
                    here = f"{path}/{node.name.decode()}".lstrip("/")
                    found[here], held = shown(node), held + 1
                    if node.kind == "directory":
                        waiting.append((node.id, here))
                after = past.After(page[-1].kind, page[-1].name, page[-1].id)
            assert held == await past.count_children(connection, directory, at)
    return found


async def test_every_listing_of_a_walk_is_found_again(walk: RandomWalk) -> None:
    assert len({str(picture) for _, picture in walk.seen}) > 25, "the walk went nowhere"
    for at, picture in walk.seen:
        assert await everything(walk, at) == picture


async def test_every_node_is_found_where_it_lay_by_its_path_and_by_its_id(walk: RandomWalk) -> None:
    every = {path for _, picture in walk.seen for path in picture}
    async with walk.pool.connection() as connection:
        for at, picture in walk.seen[::4]:
            for path in every:
                there = await past.at_path(connection, walk.mount, NodePath(path.encode()), at)
                assert there == (picture[path][0] if path in picture else None)
            for id in {entry[0] for _, other in walk.seen for entry in other.values()}:
                found = await past.node(connection, NodeId(id), "main", at)
                assert (found and found[1].text) == next(
                    (path for path, entry in picture.items() if entry[0] == id), None
                )


async def in_pages(
    walk: RandomWalk, top: PastNode, at: datetime, depth: int | None, limit: int
) -> tuple[dict[str, tuple[Any, ...]], list[str]]:
    found: dict[str, tuple[Any, ...]] = {}
    order: list[str] = []
    place: past_trees.TreePlace | None = None
    async with walk.pool.connection() as connection:
        while True:
            page = await past_trees.page(connection, top, at, after=place, depth=depth, limit=limit)
            assert len(page.nodes) == limit if page.more else len(page.nodes) <= limit
            found |= {path.decode(): shown(node) for path, node in page.nodes}
            order += [path.decode() for path, _ in page.nodes]
            if not page.more:
                return found, order
            path, last = page.nodes[-1]
            place = past_trees.TreePlace(path, last.kind, last.id)


async def test_trees_come_in_pages_a_directory_before_what_it_holds(walk: RandomWalk) -> None:
    pick = random.Random(3)
    for at, picture in walk.seen[::3]:
        tops = ["", *(path for path, entry in picture.items() if entry[3] is None)]
        path, depth, limit = pick.choice(tops), pick.choice([None, 1, 2]), pick.choice([1, 2, 3, 100])
        async with walk.pool.connection() as connection:
            id = await past.at_path(connection, walk.mount, NodePath(path.encode()), at)
            top = id and await past.node(connection, id, "main", at)
        assert top
        found, order = await in_pages(walk, top[0], at, depth, limit)
        beneath = f"{path}/" if path else ""
        assert found == {
            here.removeprefix(beneath): entry
            for here, entry in picture.items()
            if here.startswith(beneath) and (depth is None or here.removeprefix(beneath).count("/") < depth)
        }
        assert len(order) == len(found)
        assert all("/" not in here or here.rpartition("/")[0] in order[:index] for index, here in enumerate(order))


Side = Mapping[str, tuple[Any, ...]]
"""Of a picture what lies at and below a path: node, size, hash and metadata"""


def below(picture: Picture, path: str) -> Side:
    if not path:
        return {"": (0,), **{here: (entry[0], *entry[2:]) for here, entry in picture.items()}}
    return {
        here[len(path) :].lstrip("/"): (entry[0], *entry[2:])
        for here, entry in picture.items()
        if here == path or here.startswith(path + "/")
    }


def expected(before: Side, after: Side) -> set[tuple[str, int, Any, Any]]:
    """By comparing two listings: what came or went with its directory is not told."""
    old, new = ({entry[0]: path for path, entry in side.items()} for side in (before, after))
    found: set[tuple[str, int, Any, Any]] = set()
    for id in old.keys() | new.keys():
        was, now = old.get(id), new.get(id)
        if was is None:
            if _above(after, str(now)) in {None, *old}:
                found.add(("added", id, None, now))
        elif now is None:
            if _above(before, was) in {None, *new}:
                found.add(("removed", id, was, None))
        elif _name_and_directory(before, was) != _name_and_directory(after, now):
            found.add(("moved", id, was, now))
        elif before[was][1:] != after[now][1:]:
            found.add(("changed", id, was, now))
    return found


def _above(side: Side, path: str) -> int | None:
    """The directory that it is in; None: it is the path itself."""
    return int(side[path.rpartition("/")[0]][0]) if path else None


def _name_and_directory(side: Side, path: str) -> tuple[str, int | None]:
    return path.rpartition("/")[2], _above(side, path)


async def told(
    walk: RandomWalk, path: str, since: datetime, until: datetime, limit: int
) -> set[tuple[str, int, Any, Any]] | None:
    async with walk.pool.connection() as connection:
        ends = [await past.at_path(connection, walk.mount, NodePath(path.encode()), at) for at in (since, until)]
        if ends == [None, None]:
            return None
        compared = Compared(walk.mount, ends[0], ends[1], since, until)
        found: list[Difference] = list(await past.bases(connection, compared))
        after = past.UNSCANNED
        while True:
            look = await past.differences(connection, compared, after=after, limit=limit)
            found += look.found
            if look.end is None:
                break
            after = look.end
    listed = [
        (one.change, int(one.node), one.before and one.before.path.decode(), one.after and one.after.path.decode())
        for one in found
    ]
    assert len(listed) == len(set(listed))
    return set(listed)


async def test_the_differences_are_those_between_the_listings(
    walk: RandomWalk, monkeypatch: pytest.MonkeyPatch
) -> None:
    pick = random.Random(7)
    changes: set[str] = set()
    for round in range(60):
        monkeypatch.setattr(past, "SCAN", pick.choice([1, 7, 500]))
        first, last = sorted(pick.sample(range(len(walk.seen)), 2))
        (since, before), (until, after) = walk.seen[first], walk.seen[last]
        path = "" if round % 2 else pick.choice(["a", "b", *before, *after])
        sides = below(before, path), below(after, path)
        found = await told(walk, path, since, until, pick.choice([1, 3, 100]))
        if found is None:
            assert sides == ({}, {}), round
            continue
        assert found == expected(*sides), (round, path)
        changes |= {one[0] for one in found}
    assert {"added", "removed", "moved"} <= changes
