"""How an upload ends: as a file, refused, or given up. First its row says so, then its bytes go: what a crash leaves of them is
found by the sweep. Resumable uploads and those that go straight to a bucket end alike."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

from api.commands.answer import error_of
from api.services import Front
from schema.commands.command import Command, Status
from schema.commands.payloads import Outcome
from schema.errors import ExecutorNotFound, FilestoreError, MissingScope, MountReadOnly, from_code
from schema.ids import CommandId
from schema.store import outcomes as outcome_store
from schema.store import uploads as store
from schema.store.uploads import State, Upload
from schema.uploads import UploadEnd

FORGET_SECONDS = 7 * 86400.0
"""How long it is told that an upload has ended, and how."""
PASSING = (MissingScope, ExecutorNotFound, MountReadOnly)
"""Refusals that do not end the upload: its client can go on with it when their cause is gone."""

Clear = Callable[[State], Awaitable[None]]
"""Removes the bytes of an upload that has ended so, where nothing needs them any longer"""


async def known(front: Front, command: Command) -> Outcome | None:
    """How the command of an upload stands, if an earlier request opened it. None: another attempt may follow."""
    async with front.services.pool.connection() as connection:
        found = (await outcome_store.by_key(connection, [command])).get(command.id)
    if found is None or (found.status is Status.FAILED and from_code(found.code or "").retryable):
        return None
    return found


async def settle(front: Front, upload: Upload, outcome: Outcome, clear: Clear) -> Upload:
    """Its command has ended. After a failure that can pass the upload stays open."""
    if outcome.status is Status.SUCCEEDED:
        return await end(front, upload, "done", _file_of(outcome), clear)
    return await refuse(front, upload, error_of(outcome), outcome.id, clear, passing=())


async def refuse(
    front: Front,
    upload: Upload,
    error: FilestoreError,
    command: CommandId,
    clear: Clear,
    passing: tuple[type[FilestoreError], ...] = PASSING,
) -> Upload:
    """With this error, unless it can pass."""
    if error.retryable or isinstance(error, passing):
        return upload
    return await end(front, upload, "refused", _refusal(error, command), clear)


async def end(front: Front, upload: Upload, state: State, ended: UploadEnd | None, clear: Clear) -> Upload:
    """The parts of what became a file end with it; those of what was refused stay: they can be put together otherwise."""
    ids = [upload.id, *upload.parts] if state == "done" else [upload.id]
    async with front.services.pool.connection() as connection:
        await store.end(connection, ids, state, ended, FORGET_SECONDS)
    await clear(state)
    return replace(upload, state=state, request=replace(upload.request, ended=ended))


def _file_of(outcome: Outcome) -> UploadEnd:
    recorded = json.loads(outcome.body) if outcome.body else {}
    node = (recorded.get("result") or {}).get("nodeId") or (recorded.get("node") or {}).get("id")
    return UploadEnd(command=outcome.id, node=node, outcome=recorded)


def _refusal(error: FilestoreError, command: CommandId) -> UploadEnd:
    return UploadEnd(command=command, code=error.code, message=error.message, details=dict(error.details or {}) or None)
