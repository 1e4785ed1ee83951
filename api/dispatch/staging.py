"""Make the stages of a list durable, together: small bodies and directories are written here, big ones were streamed before.
Blocking: for a thread."""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from activities.executors.contract.executor import Executor, Locks
from activities.executors.contract.stage import Draft, Stage
from activities.ports import Executors
from api.dispatch.queue import WaitingCommand
from schema import errors
from schema.commands.command import Command, CommandKind
from schema.ids import CommandId, MountId

log = structlog.get_logger("sealing")


_STAGED = (CommandKind.CREATE_DIRECTORY, CommandKind.UPLOAD)
"""What these make visible comes with the request. (What a copy makes visible is staged after `begin`.)"""


class SharedLocks:
    """The locks of a whole list, through one open handle that closes with the last of them."""

    def __init__(self, locks: Locks, count: int) -> None:
        self._locks, self._count = locks, count

    def take(self, command: CommandId) -> bool:
        return self._locks.take(command)

    def release(self, command: CommandId) -> None:
        self._locks.release(command)

    def close(self) -> None:
        self._count -= 1
        if self._count == 0:
            self._locks.close()


def seal(executors: Executors, mount: MountId, batch: Sequence[WaitingCommand]) -> None:
    """Every waiting command gets its request with the identity of its stage, or with the failure that staging met."""
    staged = [w for w in batch if w.request.failure is None and w.request.kind in _STAGED]
    if not staged:
        return
    drafts = [w for w in staged if w.submission.written is None and w.request.staged is None]
    written = [w for w in staged if w.submission.written is not None]
    try:
        executor = executors.of(mount)
        executor.check()
        _lock(executor, drafts)
        answers = executor.seal(
            [Draft(w.request.id, w.submission.content) for w in drafts], [w.request.id for w in written]
        )
    except errors.FilestoreError as error:
        for waiting in staged:
            waiting.sealed = _failed(waiting.request, error)
        return
    for waiting, answer in zip(drafts, answers, strict=True):
        waiting.sealed = _with_stage(waiting.request, answer)
    for waiting in written:
        if waiting.submission.written is not None:
            waiting.sealed = _with_stage(waiting.request, waiting.submission.written)


def _lock(executor: Executor, drafts: Sequence[WaitingCommand]) -> None:
    if not drafts:
        return
    locks = SharedLocks(executor.locks(), len(drafts))
    for waiting in drafts:
        locks.take(waiting.request.id)
        waiting.locks = locks


def _with_stage(request: Command, answer: Stage | Exception) -> Command:
    if isinstance(answer, Stage):
        digest = answer.sha256.hex() if answer.sha256 is not None else None
        size = 0 if answer.identity.directory else answer.identity.size
        return replace(request, staged=answer.identity.facts(), sha256=digest, size=size)
    if isinstance(answer, errors.FilestoreError):
        return _failed(request, answer)
    log.error("staging failed", command=request.id, error=repr(answer))
    return _failed(request, errors.Unavailable("The storage refused the content. Nothing was changed."))


def _failed(request: Command, error: errors.FilestoreError) -> Command:
    return replace(request, failure=error.code, failure_message=error.message)
