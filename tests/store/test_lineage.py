"""The journal finds a file by the name it has, by every name it had, and by the commands on directories that took it along."""

import json
from dataclasses import replace
from typing import Any

import pytest

from schema.commands.command import Command, CommandKind
from schema.commands.verdicts import Go
from schema.ids import MountId, NodeId
from schema.paths import NodePath
from schema.store import journal, lineage, trees
from schema.store.journal import JournalFilter
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, make_mount, mkdir, settle_journal, upload

Entry = tuple[str, str]


def move(mount: MountId, path: str, target: str, **changes: Any) -> Command:
    return asked(CommandKind.MOVE, mount, path, target=target, **changes)


class JournaledMount:
    """A mount, commands in it, and what the journal says of them: kind and path of each entry, oldest first."""

    def __init__(self, pool: Pool, protocol: Protocol, mount: MountId) -> None:
        self.pool, self.protocol, self.mount = pool, protocol, mount

    async def run(self, *commands: Command) -> None:
        for command in commands:
            (verdict,) = (await self.protocol.run(self.mount, command)).values()
            assert isinstance(verdict, Go), verdict

    async def node(self, path: str) -> NodeId:
        query = b"SELECT id FROM filestore.node_documents WHERE mount_id = %s AND path = %s ORDER BY id DESC LIMIT 1"
        async with self.pool.connection() as connection:
            row = await (await connection.execute(query, (self.mount, path.encode()))).fetchone()
        assert row is not None, path
        return NodeId(row["id"])

    async def found(self, asked: JournalFilter) -> list[Entry]:
        """In both orders, and page by page: always the same."""
        async with self.pool.connection() as connection:
            await settle_journal(connection)
            back = await journal.entries(connection, "main", asked, limit=200)
            ids = await self._followed(connection, asked)
        entries = _read(back.items)[::-1]
        assert [entry["id"] for entry in entries] == ids
        return [(entry["command"], entry["path"]) for entry in entries]

    async def _followed(self, connection: Any, asked: JournalFilter) -> list[int]:
        ids: list[int] = []
        more = True
        while more:
            after = replace(asked, after=ids[-1] if ids else 0)
            page = await journal.entries(connection, "main", after, limit=2, oldest_first=True)
            ids += [entry["id"] for entry in _read(page.items)]
            more = page.more
        return ids

    async def at(self, path: str) -> list[Entry]:
        return await self.found(JournalFilter(mount=self.mount, path=NodePath(path.encode())))

    async def below(self, path: str) -> list[Entry]:
        return await self.found(JournalFilter(mount=self.mount, prefix=NodePath(path.encode())))

    async def of(self, node: NodeId) -> list[Entry]:
        return await self.found(JournalFilter(node=node))


def _read(items: str) -> list[dict[str, Any]]:
    return list(json.loads(f"[{items}]"))


@pytest.fixture
def here(pool: Pool, protocol: Protocol, mount: MountId) -> JournaledMount:
    return JournaledMount(pool, protocol, mount)


MADE_A, MADE_F = ("createDirectory", "a"), ("uploadFile", "a/f")


async def test_a_file_is_found_by_the_name_it_has_and_by_every_name_it_had(here: JournaledMount) -> None:
    m = here.mount
    await here.run(
        mkdir(m, "a"), upload(m, "a/f"), move(m, "a/f", "g"), move(m, "g", "h"), upload(m, "h", overwrite=True)
    )
    history = [MADE_F, ("moveNode", "a/f"), ("moveNode", "g"), ("uploadFile", "h")]
    for name in ("a/f", "g", "h"):
        assert await here.at(name) == history, name
    assert await here.of(await here.node("h")) == history
    assert await here.at("a/g") == []


async def test_the_moves_of_directories_above_are_part_of_a_history(here: JournaledMount) -> None:
    m = here.mount
    await here.run(mkdir(m, "a"), mkdir(m, "a/b"), upload(m, "a/b/f"), upload(m, "a/other"))
    await here.run(move(m, "a/b", "a/c"), move(m, "a", "z"), upload(m, "z/c/f", overwrite=True))
    history = [("uploadFile", "a/b/f"), ("moveNode", "a/b"), ("moveNode", "a"), ("uploadFile", "z/c/f")]
    for name in ("z/c/f", "a/c/f", "a/b/f"):
        assert await here.at(name) == history, name
    assert await here.of(await here.node("z/c/f")) == history
    assert await here.at("z/b/f") == [], "it never had this name"


async def test_a_directory_takes_along_only_what_lies_below_it_at_that_time(here: JournaledMount) -> None:
    m = here.mount
    await here.run(mkdir(m, "a"), upload(m, "f"), move(m, "a", "b"), move(m, "f", "b/f"), move(m, "b", "c"))
    await here.run(move(m, "c/f", "f"), move(m, "c", "d"), move(m, "f", "d/f"), move(m, "d", "e"))
    history = [
        ("uploadFile", "f"), ("moveNode", "f"), ("moveNode", "b"), ("moveNode", "c/f"), ("moveNode", "f"), ("moveNode", "d"),
    ]  # fmt: skip
    assert await here.of(await here.node("e/f")) == history
    assert await here.at("e/f") == history == await here.at("c/f")
    assert await here.at("a/f") == []


async def test_a_whole_tree_that_is_deleted_and_restored_is_part_of_the_history_of_what_is_in_it(
    here: JournaledMount,
) -> None:
    m = here.mount
    await here.run(mkdir(m, "a"), upload(m, "a/f"), upload(m, "a/g"), delete(m, "a/g"), delete(m, "a", recursive=True))
    gone = await here.node("a/f")
    assert await here.of(gone) == [MADE_F, ("deleteNode", "a")] == await here.at("a/f")
    tree = await here.node("a")
    await here.run(asked(CommandKind.RESTORE, m, "a", node_id=tree, target="b"))
    assert await here.of(gone) == [MADE_F, ("deleteNode", "a"), ("restoreNode", "a")] == await here.at("b/f")
    deleted = [("uploadFile", "a/g"), ("deleteNode", "a/g")]
    assert await here.at("a/g") == deleted, "it was deleted before, and stays so"


async def test_another_file_under_an_old_name_has_a_history_of_its_own(here: JournaledMount) -> None:
    m = here.mount
    await here.run(upload(m, "f"), move(m, "f", "g"), upload(m, "f"))
    assert await here.of(await here.node("f")) == [("uploadFile", "f")]
    assert await here.of(await here.node("g")) == [("uploadFile", "f"), ("moveNode", "f")] == await here.at("g")
    assert await here.at("f") == [("uploadFile", "f"), ("moveNode", "f"), ("uploadFile", "f")]


async def test_a_file_whose_name_a_move_takes_is_told_of_it(here: JournaledMount) -> None:
    m = here.mount
    await here.run(upload(m, "f"), upload(m, "g"))
    taken = await here.node("g")
    await here.run(move(m, "f", "g", overwrite=True))
    assert await here.of(taken) == [("uploadFile", "g"), ("moveNode", "f")]


async def test_a_prefix_finds_what_comes_and_goes_and_the_directories_above(
    here: JournaledMount,
) -> None:
    m = here.mount
    await here.run(mkdir(m, "a"), mkdir(m, "a/b"), upload(m, "x"), upload(m, "y"))
    await here.run(move(m, "x", "a/b/x"), move(m, "y", "a/y"), mkdir(m, "ab"), move(m, "ab", "ac"), move(m, "a", "z"))
    assert await here.below("a/b") == [("createDirectory", "a/b"), ("moveNode", "x"), ("moveNode", "a")]
    assert await here.below("z/b") == [("createDirectory", "a/b"), ("moveNode", "a")], (
        "the directory itself, by its new name"
    )
    await here.run(delete(m, "z", recursive=True))
    assert (await here.below("z/nothing")) == [("moveNode", "a"), ("deleteNode", "z")]


async def test_what_was_asked_of_one_mount_is_not_told_of_another(here: JournaledMount) -> None:
    async with here.pool.connection() as connection:
        other = await make_mount(connection)
    await here.run(upload(here.mount, "f"))
    there = JournaledMount(here.pool, here.protocol, other)
    await there.run(upload(other, "f"), move(other, "f", "g"))
    assert await here.at("f") == [("uploadFile", "f")]
    node = await there.node("g")
    assert await here.found(JournalFilter(mount=here.mount, node=node)) == []
    async with here.pool.connection() as connection:
        page = await journal.entries(connection, "strangers", JournalFilter(node=node), limit=10)
    assert page.items == ""


async def test_a_move_to_another_mount_is_part_of_both_histories(here: JournaledMount) -> None:
    async with here.pool.connection() as connection:
        other = await make_mount(connection)
    await here.run(mkdir(here.mount, "a"), upload(here.mount, "a/f"))
    left = await here.node("a/f")
    there = JournaledMount(here.pool, here.protocol, other)
    await there.run(mkdir(other, "x"))
    leaving = move(here.mount, "a/f", "x/y", target_mount_id=other)
    assert (await here.protocol.begin(other, [leaving])).long == [leaving.id]
    async with here.pool.connection() as connection:
        await trees.record_stage(connection, leaving.id, 1, [0, 998, 1, 5, 0, 0, 0, 0o644, 1], tree=False)
    await here.protocol.commit(other, [here.protocol.applied(leaving.id, size=5)])
    departure = ("moveNode", "a/f")
    assert await here.of(left) == [MADE_F, departure] == await here.at("a/f")
    assert await here.below("a") == [MADE_A, MADE_F, departure]
    assert await there.below("x") == [("createDirectory", "x"), departure]
    assert await there.at("x/y") == [departure] == await there.of(await there.node("x/y"))


async def test_what_is_in_a_copied_tree_has_the_copy_in_its_history(here: JournaledMount) -> None:
    m = here.mount
    await here.run(mkdir(m, "a"), upload(m, "a/f"))
    copy = asked(CommandKind.COPY, m, "a", target="c")
    await here.protocol.begin(m, [copy])
    async with here.pool.connection() as connection:
        await trees.plan(connection, copy.id, await here.node("a"))
        await trees.keep(connection, copy.id, [(b"f", [0, 1000, 1, 5, 0, 0, 0, 0o644, 1])])
        await trees.record_stage(connection, copy.id, 1, [0, 999, 1, 0, 0, 0, 1, 0o755, 2], tree=True)
    await here.protocol.commit(m, [here.protocol.applied(copy.id)])
    await here.run(move(m, "c", "d"), upload(m, "d/f", overwrite=True))
    history = [("copyNode", "a"), ("moveNode", "c"), ("uploadFile", "d/f")]
    assert await here.at("d/f") == history == await here.at("c/f")
    assert await here.of(await here.node("d/f")) == history
    assert await here.at("a/f") == [MADE_F]
    assert await here.below("c/none") == history[:2], "the copy brought a whole tree there"


async def test_with_a_node_a_path_asks_for_what_an_entry_says_itself(here: JournaledMount) -> None:
    m = here.mount
    await here.run(upload(m, "f"), move(m, "f", "g"), move(m, "g", "h"))
    node = await here.node("h")
    assert await here.found(JournalFilter(node=node, path=NodePath(b"g"))) == [("moveNode", "g")]


async def test_a_history_can_be_read_within_a_transaction(here: JournaledMount) -> None:
    """As the lane for long reads does it, after a statement of its own."""
    await here.run(upload(here.mount, "f"), move(here.mount, "f", "g"))
    async with here.pool.connection() as connection:
        await settle_journal(connection)
        async with connection.transaction():
            await connection.execute("SELECT 1")
            asked_for = JournalFilter(mount=here.mount, path=NodePath(b"g"), after=0)
            page = await journal.entries(connection, "main", asked_for, limit=10, oldest_first=True)
    assert [entry["command"] for entry in _read(page.items)] == ["uploadFile", "moveNode"]


async def test_a_node_that_takes_the_name_while_a_client_reads_is_not_missed(
    here: JournaledMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    m, of_place = here.mount, lineage.of_place
    await here.run(mkdir(m, "a"), mkdir(m, "d"), upload(m, "d/f"))

    async def slow(connection: Any, *place: Any) -> lineage.Lineage:
        found = await of_place(connection, *place)
        await here.run(move(m, "d", "a/d"), upload(m, "a/d/f", overwrite=True))
        await settle_journal(connection)
        return found

    asked_for = JournalFilter(mount=m, path=NodePath(b"a/d/f"))
    async with here.pool.connection() as connection:
        await settle_journal(connection)
        with monkeypatch.context() as patch:
            patch.setattr(lineage, "of_place", slow)
            first = await journal.entries(connection, "main", replace(asked_for, after=0), limit=10, oldest_first=True)
        after = first.last or 0
        second = await journal.entries(connection, "main", replace(asked_for, after=after), limit=10, oldest_first=True)
    assert (first.items, [entry["path"] for entry in _read(second.items)]) == ("", ["d/f", "d", "a/d/f"])
