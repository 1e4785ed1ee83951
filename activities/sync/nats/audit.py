"""The audit stream of a tenant: what was done to its projects, as the journal has it, entry by entry.

The stream refuses to delete and to purge; what could shorten it all the same (another configuration, its end) is denied to every
user but one that is made for that, for a short time, by an operator. It holds nothing that the journal does not: where it was
shortened or changed all the same, comparing them says so (`python -m workers.project_audit verify`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any

from activities.sync.hot import HotUnavailable
from activities.sync.nats.link import NatsLink, Refusal
from activities.sync.nats.streams import NatsStreams, all_there

STREAM = "FS_AUDIT"
SHORTENS = tuple(f"$JS.API.STREAM.{what}.{STREAM}" for what in ("DELETE", "UPDATE", "PURGE", "MSG.DELETE", "RESTORE"))
"""What could take entries out of it"""
INFO = f"$JS.API.STREAM.INFO.{STREAM}"
_BATCH = 500


class NatsAudit:
    def __init__(self, link: NatsLink, streams: NatsStreams) -> None:
        self._link, self._streams = link, streams

    async def add(self, entries: Sequence[tuple[str, str, bytes]]) -> None:
        """Subject below `fs.audit`, id, content: in this order, once for each id within ten minutes. Raises HotUnavailable."""
        await self._streams.make(
            STREAM, ["fs.audit.>"], deny_delete=True, deny_purge=True, discard="new", duplicate_window=600 * 10**9
        )
        await self._streams.once_more(STREAM, lambda: self._add(entries))

    async def _add(self, entries: Sequence[tuple[str, str, bytes]]) -> None:
        waiting: deque[Awaitable[Any]] = deque()
        for subject, id, content in entries:
            waiting.append(await self._link.send(f"fs.audit.{subject}", content, {"Nats-Msg-Id": id}))
        await all_there(waiting)

    async def read(self) -> AsyncIterator[list[bytes]]:
        """All of it, in pages. Raises HotUnavailable."""
        try:
            state = (await self._link.api(f"STREAM.INFO.{STREAM}"))["state"]
        except Refusal:
            return  # there is none
        following, last = int(state["first_seq"]), int(state["last_seq"])
        while following <= last:
            page: list[bytes] = []
            asked = {"seq": following, "batch": _BATCH}
            async for message in self._streams.asked(STREAM, asked):
                following = int((message.headers or {})["Nats-Sequence"]) + 1
                page.append(message.data)
            if not page:
                raise HotUnavailable
            yield page
