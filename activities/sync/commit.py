"""`sync_commit`: a batch of a node becomes a revision. `sync_publish`: the hot store is told of it, as far as it was not yet."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from temporalio import activity

from activities.sync.cold_keys import new_cold_key
from activities.sync.hot import HotMissing, HotUnavailable
from schema.faults import areach
from schema.ids import MountId
from schema.store import objects, projects, revisions
from schema.store.revisions import CommitRefused
from schema.sync.tiers import TierMove

if TYPE_CHECKING:
    from activities.sync.contents import Contents
    from schema.store.projects import Project

_TRIES = 3


@dataclass(frozen=True, slots=True)
class CommitRef:
    """A batch that waits in the record. `tenant`, `uuid`: of the project, so that its bell can ring at once."""

    mount: MountId
    project: int
    batch: str
    tenant: str = ""
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class CommitEnd:
    """`code`: why it was refused; "" where it was committed."""

    code: str = ""
    outcome: dict[str, Any] = field(default_factory=dict)


class SyncCommits:
    def __init__(self, contents: Contents, announce: Callable[[], None]) -> None:
        """`announce`: called when there are new events in the feed."""
        self._contents, self._pool, self._announce = contents, contents.pool, announce

    @activity.defn(name="sync_commit")
    async def commit(self, ref: CommitRef) -> CommitEnd:
        """One transaction; the same batch once more gets the same answer."""
        for _ in range(_TRIES):
            try:
                async with self._pool.connection() as connection:
                    outcome = await revisions.commit(connection, ref.project, ref.batch)
                await areach("sync.committed")
                self._announce()
                await self._ring(ref)
                return CommitEnd("", outcome)
            except CommitRefused as refused:
                if refused.code != "not_cold":
                    return await self._refused(ref, refused)
                await self._make_cold(ref.project, refused.details["shas"])
        return await self._refused(ref, CommitRefused("not_cold"))

    async def _ring(self, ref: CommitRef) -> None:
        """Nodes read the commit from the record: they need not wait until the hot store has its pointer."""
        if ref.uuid:
            with suppress(HotUnavailable):
                await self._contents.hots.of(ref.tenant).bell(ref.uuid)

    async def _refused(self, ref: CommitRef, refused: CommitRefused) -> CommitEnd:
        async with self._pool.connection() as connection:
            await revisions.withdraw(connection, ref.project, ref.batch)
        return CommitEnd(refused.code, refused.details)

    async def _make_cold(self, project: int, shas: list[str]) -> None:
        """A strict project takes what was hot alone once it is cold, too."""
        async with self._pool.connection() as connection:
            found = await projects.of_id(connection, project)
            rows = await objects.known(connection, project, shas)
        assert found is not None
        for sha, row in rows.items():
            await self._archive(found, sha, row.size)

    async def _archive(self, project: Project, sha: str, size: int) -> None:
        try:
            content = await self._contents.hot(project).get(project.uuid, sha, size)
        except (HotMissing, HotUnavailable):
            return
        key = new_cold_key(project, sha)
        await self._contents.put_cold(project, key, io.BytesIO(content), sha, size)
        async with self._pool.connection() as connection:
            moved = await objects.move(connection, project.id, TierMove.ARCHIVED, [sha], cold_keys=[key], verified=True)
        if not moved:
            await self._contents.delete_cold(project, key)

    @activity.defn(name="sync_publish")
    async def publish(self, project: int) -> bool:
        """Whether the hot store knows the head. It is told again from time to time: what it knows is a copy of the record."""
        async with self._pool.connection() as connection:
            found = await projects.of_id(connection, project)
        if found is None:
            return True
        try:
            await self._contents.hot(found).point(found.tenant, found.name, found.uuid, found.revision, found.manifest)
        except HotUnavailable:
            return False
        async with self._pool.connection() as connection:
            await projects.published(connection, project, found.revision)
        return True
