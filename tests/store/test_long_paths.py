"""No command brings a node to a path longer than any may be; and lists go on at nodes that lie there since earlier."""

import base64

import pytest

from api.nodes import cursors
from schema.commands.command import Command, CommandKind
from schema.commands.verdicts import Go, Refuse
from schema.errors import InvalidPath
from schema.ids import MountId
from schema.paths import PATH_MAX
from schema.store.nodes import PageEnd
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, mkdir, upload


class LongTree:
    """The directory `a`, and below it one file as far away as is asked for."""

    def __init__(self, protocol: Protocol, mount: MountId) -> None:
        self.protocol, self.mount = protocol, mount

    async def plant(self, relative: int, top: str = "a", *, file: bool = True) -> str:
        """`relative`: bytes in the path of the last node, counted from the directory. Returns its path."""
        await self.go(mkdir(self.mount, top))
        path, left = top, relative
        while left > 255:
            step = min(200, left - 2)
            path, left = f"{path}/{'n' * step}", left - step - 1
            await self.go(mkdir(self.mount, path))
        path += "/" + "l" * left
        await self.go(upload(self.mount, path) if file else mkdir(self.mount, path))
        assert len(path) == len(top) + 1 + relative
        return path

    async def directory(self, length: int) -> str:
        """A directory whose path has about so many bytes, for what is to lie below it."""
        path = "t"
        await self.go(mkdir(self.mount, path))
        while len(path) < length:
            path += "/" + "t" * 200
            await self.go(mkdir(self.mount, path))
        return path

    async def go(self, request: Command) -> None:
        verdict = (await self.protocol.run(self.mount, request))[request.id]
        assert isinstance(verdict, Go), verdict

    async def refused(self, request: Command) -> None:
        verdict = (await self.protocol.run(self.mount, request))[request.id]
        assert isinstance(verdict, Refuse), verdict
        assert isinstance(verdict.error, InvalidPath), verdict.error

    def to(self, kind: CommandKind, path: str, target: str) -> Command:
        return asked(kind, self.mount, path, target=target)

    async def restore(self, node: int, target: str) -> Command:
        return asked(CommandKind.RESTORE, self.mount, "a", node_id=node, target=target)


@pytest.fixture
def tree(protocol: Protocol, mount: MountId) -> LongTree:
    return LongTree(protocol, mount)


async def node_of(pool: Pool, mount: MountId, path: str) -> int:
    query = "SELECT id FROM filestore.nodes WHERE mount_id = %s AND directory_path = %s ORDER BY id DESC LIMIT 1"
    async with pool.connection() as connection:
        row = await (await connection.execute(query, (mount, path.encode() + b"/"))).fetchone()
    assert row is not None
    return int(row["id"])


@pytest.mark.parametrize("kind", [CommandKind.MOVE, CommandKind.COPY])
@pytest.mark.parametrize("file", [True, False], ids=["a file", "a directory"])
async def test_the_longest_path_below_decides_to_the_byte(tree: LongTree, kind: CommandKind, file: bool) -> None:
    await tree.plant(PATH_MAX - 3, file=file)  # at `aa` it would have exactly as many bytes as may be
    await tree.refused(tree.to(kind, "a", "aaa"))
    if kind is CommandKind.MOVE:  # what is copied would have to be staged
        await tree.go(tree.to(kind, "a", "aa"))
        await tree.refused(tree.to(kind, "aa", "aaa"))
        await tree.go(tree.to(kind, "aa", "b"))


async def test_a_directory_at_a_long_path_looks_at_all_that_lies_below(tree: LongTree) -> None:
    """Below it nothing may be deep, so no index of deep directories tells."""
    at = await tree.directory(3500)
    room = PATH_MAX - len(at) - len("/x/")
    await tree.plant(room, "fits")
    await tree.plant(room + 1, "not")
    await tree.refused(tree.to(CommandKind.MOVE, "not", f"{at}/x"))
    await tree.go(tree.to(CommandKind.MOVE, "fits", f"{at}/x"))


async def test_what_comes_back_counts_and_what_stays_deleted_does_not(
    pool: Pool, tree: LongTree, mount: MountId
) -> None:
    deepest = await tree.plant(PATH_MAX - 2)
    node = await node_of(pool, mount, "a")
    await tree.go(delete(mount, "a", recursive=True))
    await tree.refused(await tree.restore(node, "longer"))
    await tree.go(await tree.restore(node, "a"))
    await tree.go(delete(mount, deepest))
    await tree.go(delete(mount, "a", recursive=True))
    await tree.go(await tree.restore(node, "longer"))


async def test_trees_beside_it_do_not_count(tree: LongTree) -> None:
    await tree.plant(PATH_MAX - 3, "b0")
    await tree.plant(10, "b")
    await tree.plant(PATH_MAX - 5, "b-c")
    await tree.go(tree.to(CommandKind.MOVE, "b", "much-longer"))


@pytest.mark.parametrize("length", [1, PATH_MAX, PATH_MAX + 1, 2 * PATH_MAX, 4 * PATH_MAX])
def test_a_list_goes_on_at_a_node_that_lies_beyond_the_limit(length: int) -> None:
    place = PageEnd(PATH_MAX + 5, b"a" * length, 7)
    text = cursors.write(place, {"path": "a"})
    assert cursors.read(text, {"path": "a"}, cursors.KEY_MAX + 1) == place
    assert len(base64.urlsafe_b64decode(text + "==")) > length
