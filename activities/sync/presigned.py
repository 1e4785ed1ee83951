"""Contents that a node puts straight into the bucket: it gets a link for one content and one key, and never sees what signs it.

The key is made here, and the row is written only after what lies there was proven to be the content. Where nobody comes back for it
the copy is one that no row names: a collection sweeps it after the grace time. So one that is older than half of that is not taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.executors.contract.cold import LinksCold
from activities.sync.cold_keys import cold_key, new_cold_key
from schema.errors import InvalidRequest, NotFound, NotSupported

if TYPE_CHECKING:
    from activities.executors.contract.cold import ColdCopies
    from activities.executors.contract.stage import UploadLink
    from activities.sync.contents import Contents
    from activities.threads import MountThreads
    from schema.store.projects import Project

LINK_SECONDS = 900
_TICKET = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class ColdLink:
    """`ticket`: names the key when the content is there."""

    ticket: str
    link: UploadLink


class PresignedContents:
    def __init__(self, contents: Contents, threads: MountThreads, grace: float) -> None:
        self._contents, self._threads, self._grace = contents, threads, grace

    async def link(self, project: Project, sha: str, size: int) -> ColdLink | None:
        """None: it is there already, and stays for an hour. Raises NotSupported, PayloadTooLarge."""
        cold = self._linked(self._contents.cold(project))
        if sha in await self._contents.leased(project, [sha]):
            return None
        key = new_cold_key(project, sha)
        link = await self._threads.run(project.mount, cold.link, key, sha, size, LINK_SECONDS)
        return ColdLink(key.rpartition(".")[2], link)

    async def take(self, project: Project, sha: str, size: int, ticket: str) -> bool:
        """Whether it is new. Raises NotFound, ChecksumMismatch, NotSupported."""
        if not _TICKET.fullmatch(ticket):
            raise InvalidRequest("A ticket is what the answer with the link had.", field="ticket")
        cold, key = self._contents.cold(project), cold_key(project, sha, ticket)
        if await self._contents.lies_at(project, sha, key):
            return False
        age = await self._threads.run(project.mount, self._linked(cold).proven, key, sha, size)
        if age is None or age > self._grace / 2:
            raise NotFound("Nothing lies there, or it has lain there for too long. Ask for another link.", sha=sha)
        return await self._contents.record_cold(project, sha, size, key)

    def _linked(self, cold: ColdCopies) -> LinksCold:
        if not isinstance(cold, LinksCold):
            raise NotSupported("Contents of this project are cold on a disk: put them through the service.")
        return cold
