"""Reads that stand in the journal: of content, and of the journal itself. All of them, a share, or none, by setting."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import structlog
from starlette.requests import Request

from schema.access.acts import ActKind, AdministrativeAct
from schema.errors import Unavailable
from schema.ids import MountId
from schema.store import acts

if TYPE_CHECKING:
    from schema.principals import Principal
    from schema.store.pool import Pool

log = structlog.get_logger(__name__)

WAITING_MAX = 10_000
"""The most reads of a share that are noted and not written; further ones are left out, and the log says so."""
PART = 500
WRITE_SECONDS = 5.0
"""Where all are audited, a read whose entry is not written by then is refused."""

Waiting = tuple[AdministrativeAct, "asyncio.Future[None] | None"]


class AuditedReads:
    """On the HTTP loop alone. Where all reads are audited, each waits until its entry is written, together with those that came
    meanwhile; of a share none waits."""

    def __init__(self, pool: Pool, share: float) -> None:
        self._pool, self._share = pool, share
        self._waiting: list[Waiting] = []
        self._lost = 0
        self._writing: asyncio.Task[None] | None = None

    async def note(self, act: AdministrativeAct) -> None:
        """Raises Unavailable."""
        if self._share < 1:
            if random.random() < self._share and not self._is_full():  # noqa: S311
                self._add(act, None)
            return
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._add(act, written)
        try:
            await asyncio.wait_for(written, WRITE_SECONDS)
        except Exception as error:
            raise Unavailable(
                "The read can not be written down, and every read is audited. Try again shortly."
            ) from error

    def _is_full(self) -> bool:
        self._lost += len(self._waiting) >= WAITING_MAX
        return len(self._waiting) >= WAITING_MAX

    def _add(self, act: AdministrativeAct, written: asyncio.Future[None] | None) -> None:
        self._waiting.append((act, written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while self._waiting:
            part, self._waiting = self._waiting[:PART], self._waiting[PART:]
            try:
                async with self._pool.connection() as connection, connection.transaction():
                    await acts.record_all(connection, [act for act, _ in part])
            except Exception as error:
                self._lost += len(part)
                log.warning("reads are not audited", lost=self._lost, error=repr(error))
                _tell(part, error)
            else:
                _tell(part, None)


def _tell(part: Sequence[Waiting], error: Exception | None) -> None:
    for _, written in part:
        if written is None or written.done():
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)


async def note_read(
    request: Request, principal: Principal, kind: ActKind, mount: MountId | None, told: Mapping[str, Any]
) -> None:
    """A read of this request, if reads are audited. Raises Unavailable."""
    act = AdministrativeAct(
        kind=kind, tenant=principal.tenant, by=principal, mount=mount, payload=dict(told),
        request_id=request.scope.get("request_id"),
    )  # fmt: skip
    await cast(AuditedReads, request.scope["app"].state.audited).note(act)
