"""What overwrites and deletions have kept, as the record tells it."""

from typing import Any

import pytest

from schema.commands.command import Command, CommandKind
from schema.ids import MountId
from schema.paths import NodePath
from schema.store import past, trash
from schema.store.pool import Pool
from schema.store.trash import TrashEntry
from tests.store.helpers import Protocol, asked, delete, make_mount, mkdir, upload


class Bin:
    """A mount, and what its trash shows."""

    def __init__(self, pool: Pool, protocol: Protocol, mount: MountId) -> None:
        self.pool, self.protocol, self.mount = pool, protocol, mount

    async def run(self, *requests: Command) -> None:
        for request in requests:
            await self.protocol.run(self.mount, request)

    async def entries(self, path: str = "", limit: int = 100) -> list[TrashEntry]:
        found: list[TrashEntry] = []
        after = trash.LAST
        async with self.pool.connection() as connection:
            root = await past.root_of(connection, self.mount)
            assert root is not None
            while True:
                page = await trash.kept(connection, self.mount, root, NodePath(path.encode()), after=after, limit=limit)
                found += page.entries
                if page.end is None:
                    return found
                after = page.end

    async def shown(self, path: str = "", limit: int = 100) -> list[tuple[str, int, int]]:
        return [(one.path.text, one.version, one.size) for one in await self.entries(path, limit)]


@pytest.fixture
async def bin(pool: Pool, protocol: Protocol, mount: MountId) -> Bin:
    bin = Bin(pool, protocol, mount)
    await bin.run(mkdir(mount, "a"), mkdir(mount, "a/b"), upload(mount, "a/f", 3), upload(mount, "a/b/g", 5))
    return bin


def describe(mount: MountId, path: str) -> Command:
    return asked(CommandKind.DESCRIBE, mount, path)


async def test_an_overwrite_keeps_what_was_there(bin: Bin) -> None:
    mount = bin.mount
    assert await bin.entries() == []
    overwrite = upload(mount, "a/f", 4, overwrite=True, sha256="cd" * 32)
    await bin.run(overwrite)
    [one] = await bin.entries()
    assert (one.path.text, one.version, one.kind, one.size, one.sha256) == (
        "a/f",
        1,
        "file",
        3,
        bytes.fromhex("ab" * 32),
    )
    assert (one.command, one.kind_of_command, one.principal) == (overwrite.id, "uploadFile", overwrite.principal)
    assert (one.until - one.ended).days == 30 and one.lives and one.newest == 2 and one.entry
    assert (one.files, one.directories) == (None, None)


async def test_a_deleted_tree_is_one_entry_with_its_totals(bin: Bin) -> None:
    gone = delete(bin.mount, "a", recursive=True)
    await bin.run(gone)
    [one] = await bin.entries()
    assert (one.path.text, one.kind, one.size, one.files, one.directories) == ("a", "directory", 8, 2, 1)
    assert (one.command, one.went_with_it, one.lives) == (gone.id, True, False)


async def test_versions_of_the_same_content_are_one_entry_under_the_path_it_had_last(bin: Bin) -> None:
    mount = bin.mount
    move = asked(CommandKind.MOVE, mount, "a/f", target="a/b/f")
    await bin.run(move, delete(mount, "a/b/f"))
    assert await bin.shown() == [("a/b/f", 2, 3)]


async def test_a_path_stays_the_one_it_had_though_its_directory_moved(bin: Bin) -> None:
    mount = bin.mount
    await bin.run(upload(mount, "a/b/g", 1, overwrite=True, sha256="cd" * 32))
    await bin.run(asked(CommandKind.MOVE, mount, "a", target="z"), delete(mount, "z/b/g"))
    assert await bin.shown() == [("z/b/g", 2, 1), ("a/b/g", 1, 5)]
    assert await bin.shown("a") == [("a/b/g", 1, 5)] == await bin.shown("a/b/g")
    assert await bin.shown("z/b") == [("z/b/g", 2, 1)]
    assert await bin.shown("a/b/") == await bin.shown("a/") == []


async def test_what_a_move_took_the_name_of_is_kept(bin: Bin) -> None:
    move = asked(CommandKind.MOVE, bin.mount, "a/b/g", target="a/f", overwrite=True)
    await bin.run(move)
    [one] = await bin.entries()
    assert (one.path.text, one.version, one.size, one.command, one.went_with_it) == ("a/f", 1, 3, move.id, True)


async def test_what_came_back_or_is_kept_no_more_is_not_there(bin: Bin) -> None:
    mount = bin.mount
    await bin.run(delete(mount, "a/f"), delete(mount, "a/b/g"))
    file = next(one.node for one in await bin.entries() if one.path.text == "a/f")
    await bin.run(asked(CommandKind.RESTORE, mount, "a/f", node_id=file))
    assert await bin.shown() == [("a/b/g", 1, 5)]
    async with bin.pool.connection() as connection:
        await connection.execute("UPDATE filestore.versions SET content_until = now() WHERE content_until > now()")
    assert await bin.shown() == []


async def test_what_its_tree_took_along_later_is_an_entry_beside_it(bin: Bin) -> None:
    mount = bin.mount
    await bin.run(delete(mount, "a/b/g"), upload(mount, "a/f", 4, overwrite=True, sha256="cd" * 32))
    await bin.run(delete(mount, "a", recursive=True))
    entries = await bin.entries()
    assert [(one.path.text, one.version, one.size) for one in entries] == [("a", 1, 4), ("a/f", 1, 3), ("a/b/g", 1, 5)]
    assert [one.went_with_it for one in entries] == [True, False, True]


@pytest.mark.parametrize("scan", [1, 2, 100])
async def test_pages_show_each_entry_once_the_newest_first(
    bin: Bin, pool: Pool, monkeypatch: pytest.MonkeyPatch, scan: int
) -> None:
    monkeypatch.setattr(trash, "SCAN", scan)
    async with pool.connection() as connection:
        other: Any = await make_mount(connection)
    for number in range(5):
        await bin.run(upload(bin.mount, f"f{number}", number), delete(bin.mount, f"f{number}"))
        await bin.protocol.run(other, upload(other, f"x{number}"))
        await bin.protocol.run(other, delete(other, f"x{number}"))
    expected = [(f"f{number}", 1, number) for number in (4, 3, 2, 1, 0)]
    for limit in (1, 2, 100):
        assert await bin.shown(limit=limit) == expected
