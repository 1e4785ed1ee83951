"""The watches of a host: begun and ended as mounts come and go, and in doubt after Postgres began anew."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest

from activities.executors.local.registration import make_mount
from schema.ids import MountId
from schema.settings import Settings
from schema.store import drift_hints, mounts, watchers
from schema.store.pool import Pool
from workers.watching.looks import LookStarts
from workers.watching.watches import Watches

HOST = f"host-{uuid.uuid4().hex[:8]}"


async def placed(pool: Pool, mount: MountId, root: Path) -> None:
    """The mount of the record gets a root of this disk."""
    await asyncio.to_thread(root.mkdir)
    async with pool.connection() as connection:
        found = await mounts.find(connection, mount, "main")
        assert found is not None
        make_mount(str(root), found.mount_uuid)
        query = "UPDATE filestore.backend_mounts SET root_path = %s, host_id = %s WHERE id = %s"
        await connection.execute(query, (str(root), HOST, mount))


async def phase(pool: Pool, mount: MountId) -> str | None:
    async with pool.connection() as connection:
        row = await watchers.of_mount(connection, mount)
        return row.state if row else None


async def hinted(pool: Pool, mount: MountId) -> dict[bytes, str]:
    async with pool.connection() as connection:
        return {hint.path: hint.reason for hint in await drift_hints.take(connection, mount, 100)}


async def eventually(hints: Any, mount: MountId, pool: Pool) -> None:
    seen: dict[bytes, str] = {}
    for _ in range(600):
        seen |= await hinted(pool, mount)
        if hints.items() <= seen.items():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(seen)


async def test_a_mount_is_watched_while_it_is_active_and_looked_at_as_a_whole_after_postgres_began_anew(
    pool: Pool, mount: MountId, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await placed(pool, mount, tmp_path / "mount")
    wanted = LookStarts(Settings())  # type: ignore[call-arg]
    watches = Watches(Settings(host_id=HOST, watch_quiet_seconds=0.1), pool, wanted)  # type: ignore[call-arg]
    await watches._once()
    await eventually({b"": "started"}, mount, pool)
    (tmp_path / "mount" / "by hand").write_bytes(b"x")
    await eventually({b"by hand": "changed"}, mount, pool)
    assert wanted._due == {mount}
    await watches._once()
    assert await phase(pool, mount) == "watching"
    assert await hinted(pool, mount) == {}

    real = watchers.beat

    async def later(*arguments: Any) -> float:
        return await real(*arguments) + 1

    monkeypatch.setattr(watchers, "beat", later)
    await watches._once()
    await eventually({b"": "lost"}, mount, pool)

    async with pool.connection() as connection:
        await mounts.update(connection, mount, {"state": "inactive", "state_reason": None})
    await watches._once()
    assert await phase(pool, mount) is None
    (tmp_path / "mount" / "unwatched").write_bytes(b"x")
    async with pool.connection() as connection:
        await mounts.update(connection, mount, {"state": "active", "state_reason": None})
    await watches._once()
    await eventually({b"": "started"}, mount, pool)
    async with pool.connection() as connection:
        await mounts.update(connection, mount, {"state": "inactive", "state_reason": None})
    await watches._once()
