"""A look at a bucket of 50,000 keys: what did not change costs no memory that grows with it, and what did is found in it."""

import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from activities import budgets
from activities.drift.observe import LookOrder, Observe
from activities.executors.contract.executor import Executor
from activities.executors.contract.listing import ScanPage, Seen
from schema.errors import NodeNotFound
from schema.ids import MountId
from schema.paths import NodePath
from schema.store.pool import Pool
from tests.store.drift import OneMount

pytestmark = pytest.mark.slow

KEYS, PAGE = 50_000, 1000
NODES = """WITH top AS (SELECT id FROM filestore.nodes WHERE mount_id = %(mount)s AND depth = 0), made AS (
    INSERT INTO filestore.nodes (mount_id, parent_id, name, name_text, directory_path, directory_text, depth, kind, device, inode,
           birth_ns, observed_size, observed_mtime_ns, observed_ctime_ns, observed_mode, observed_links, s3_etag)
    SELECT %(mount)s, top.id, d.name::bytea, d.name, (d.name || '/')::bytea, d.name || '/', 1, 'directory', 0, 0, 0, 0, 0, 0, 0, 1,
           'd'
      FROM top, (SELECT 'd' || to_char(i, 'FM000') AS name FROM generate_series(0, %(prefixes)s - 1) i) d
    RETURNING id)
    INSERT INTO filestore.nodes (mount_id, parent_id, name, name_text, depth, kind, size_bytes, device, inode, birth_ns,
           observed_size, observed_mtime_ns, observed_ctime_ns, observed_mode, observed_links, s3_etag)
    SELECT %(mount)s, made.id, k.name::bytea, k.name, 2, 'file', 1, 0, 0, 0, 1, 5, 5, 0, 1, 'e'
      FROM made, (SELECT to_char(i, 'FM00000') AS name FROM generate_series(0, %(keys)s - 1) i) k"""


class ListedBucket:
    """What a store tells of its keys, in their order, a page at a time."""

    def __init__(self, prefixes: int, keys: int, changed: frozenset[bytes] = frozenset()) -> None:
        self._prefixes, self._keys, self._changed = prefixes, keys, changed
        self.asked = 0

    def check(self) -> None: ...

    def scan(self, path: NodePath, after: bytes = b"", most: int = PAGE) -> Iterator[ScanPage]:
        for prefix in range(self._prefixes):
            above = b"d%03d" % prefix
            yield ScanPage([Seen(above, "directory", (0, 0, 0, 0, 0, 0, 1, 0, 1, "d", ""))], above)
            for start in range(0, keys := self._keys // self._prefixes, most):
                page = [self._seen(above + b"/%05d" % key) for key in range(start, min(keys, start + most))]
                yield ScanPage(page, page[-1].path)

    def _seen(self, path: bytes) -> Seen:
        return Seen(path, "file", (0, 0, 0, 1, 5, 5, 0, 0, 1, "other" if path in self._changed else "e", ""))

    def open(self, path: NodePath) -> Any:
        raise NodeNotFound()

    def kinds_at(self, path: NodePath) -> Sequence[str]:
        self.asked += 1
        return []


async def looked(pool: Pool, mount: MountId, bucket: ListedBucket) -> tuple[dict[str, int], int]:
    """What a look at all of it counts, and the most memory that it took while it read."""
    observe = Observe(pool, OneMount(cast("Executor", bucket)), budgets.STEPS.build(), lambda: None)
    look = await observe.begin(LookOrder(mount, "audit", whole=True, paths=[""], subtree=True))
    assert look is not None
    tracemalloc.start()
    try:
        assert await observe.read(look)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return dict((await observe.conclude(look)).counts), most


@pytest.mark.parametrize("prefixes", [50, 1])
async def test_a_look_at_fifty_thousand_keys_holds_some_of_them_at_a_time(
    pool: Pool, mount: MountId, prefixes: int
) -> None:
    async with pool.connection() as connection:
        values = {"mount": mount, "prefixes": prefixes, "keys": KEYS // prefixes}
        await connection.execute(NODES.encode(), values)
    first, _ = await looked(pool, mount, ListedBucket(prefixes, KEYS))
    assert first == {}
    again, most = await looked(pool, mount, ListedBucket(prefixes, KEYS))
    assert again == {}
    assert most < 10 << 20, f"{most} bytes"
    shorter = ListedBucket(prefixes, KEYS - prefixes, frozenset([b"d000/00003"]))
    counts, most = await looked(pool, mount, shorter)
    assert counts["missing"] == prefixes, "of each prefix the last key is gone; it only observes"
    assert shorter.asked == prefixes, "a page is no snapshot: what it does not tell is asked for"
    assert most < 10 << 20, f"{most} bytes"
