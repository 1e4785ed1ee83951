"""Hints: of a place there is one, it covers all that was said of it, and a look takes it once."""

from schema.ids import MountId
from schema.store import drift_hints as store
from schema.store.drift_hints import Hint
from tests.store.helpers import Connection


async def test_a_place_has_one_hint_that_covers_what_was_said_of_it(connection: Connection, mount: MountId) -> None:
    deep = b"d/" * 3000 + b"f\xff"
    await store.hint(connection, mount, [Hint(b"a"), Hint(deep), Hint(b"a", subtree=True)])
    first = (await store.waiting(connection))[mount].since
    await store.hint(connection, mount, [Hint(b"a", reason="s3")])
    taken = {hint.path: hint for hint in await store.take(connection, mount, 10)}
    assert set(taken) == {b"a", deep}
    assert taken[b"a"].subtree and not taken[deep].subtree
    assert (taken[b"a"].reason, taken[b"a"].noticed_at) == ("s3", first)


async def test_a_look_takes_the_hints_of_its_mount_once(connection: Connection, mount: MountId) -> None:
    await store.hint(connection, mount, [Hint(b"%d" % n) for n in range(5)])
    await store.hint(connection, MountId(mount + 1), [Hint(b"other")])
    first, rest = await store.take(connection, mount, 3), await store.take(connection, mount, 10)
    assert sorted(hint.path for hint in [*first, *rest]) == [b"0", b"1", b"2", b"3", b"4"]
    assert mount not in await store.waiting(connection)
    assert (await store.waiting(connection))[MountId(mount + 1)].hints == 1
