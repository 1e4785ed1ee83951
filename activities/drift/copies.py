"""Our copy of what a finding misses: staged for the command that puts it back, and proven by its hash."""

from __future__ import annotations

import stat
from dataclasses import replace
from typing import TYPE_CHECKING

from activities.executors.contract.abilities import Links
from activities.executors.contract.executor import Content, Executor
from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Draft, Source, Stage
from activities.executors.drafts import pour
from schema import errors
from schema.nodes import NodeKind
from schema.paths import NodePath

if TYPE_CHECKING:
    from schema.ids import CommandId
    from schema.store.heals import KeptCopy


def staged_copy(
    executor: Executor, origin: Executor, stage: CommandId, at: NodePath, copy: KeptCopy, sha256: bytes
) -> Stage:
    """In a thread. On the same mount mode and times come along; from another one its bytes do. Raises FilestoreError, OSError."""
    if origin is executor:
        made = next(iter(list(executor.stage_copy(stage, [_source(copy, sha256)]))), None)
        found = None if made is None else Stage(stage, made.identity, made.sha256)
    else:
        found = _poured(executor, origin, stage, at, copy)
    if found is None or found.sha256 != sha256:
        executor.discard_stage(stage, None)
        raise errors.VersionConflict("This copy is not what the record says of it.")
    executor.seal([], [stage])
    sealed = executor.find_stage(stage)
    if sealed is None:
        raise errors.StageLost()
    return Stage(stage, sealed, sha256)


def staged_directory(executor: Executor, stage: CommandId) -> Stage:
    """In a thread. Raises FilestoreError, OSError."""
    [made] = executor.seal([Draft(stage, None)])
    if isinstance(made, Exception):
        raise made
    return made


def staged_other(executor: Executor, stage: CommandId, kind: str | None, target: bytes | None, mode: int) -> Stage:
    """A link, or a pipe, as the record knows it. In a thread. Raises FilestoreError, OSError."""
    if not isinstance(executor, Links):
        raise errors.NotSupported(f"The storage of this mount can not hold a {kind}. Accept that it is gone.")
    if kind == NodeKind.SYMLINK and target is not None:
        return executor.stage_link(stage, target)
    if kind == NodeKind.SPECIAL and stat.S_ISFIFO(mode):
        return executor.stage_pipe(stage, stat.S_IMODE(mode))
    raise errors.NotSupported(
        "The record does not know enough of it to put it back. Accept that it is gone, or have its program make it again."
    )


def _source(copy: KeptCopy, sha256: bytes) -> Source:
    identity = Identity.of_facts(copy.identity)
    if copy.place is not None:
        # On its way into the trash a file's change time moved: it says nothing there.
        identity = replace(identity, ctime=0)
    path = None if copy.path is None else NodePath(copy.path)
    return Source(b"", NodeKind.FILE, identity, path, copy.place, sha256)


def _poured(executor: Executor, origin: Executor, stage: CommandId, at: NodePath, copy: KeptCopy) -> Stage:
    content = _opened(origin, copy)
    try:
        return pour(content, executor.open_stage(stage, at))
    finally:
        content.close()


def _opened(origin: Executor, copy: KeptCopy) -> Content:
    if copy.place is not None:
        return origin.open_kept(copy.place)
    assert copy.path is not None, "a copy lies at a path, or in a trash"
    return origin.open(NodePath(copy.path))
