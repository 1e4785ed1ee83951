"""`prepare_heals`, `end_heals`: findings that wait for a heal become commands, and learn how these ended.

A heal is an ordinary command, so that claims, holds, freezes, the journal and undo bind it. Before it begins its place is looked at
again: it is only for what the finding has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from temporalio import activity

from activities.drift.copies import staged_copy, staged_directory, staged_other
from activities.drift.hashing import sighted
from activities.drift.observe import OWN
from activities.progress import current
from schema import errors
from schema.commands.command import Command, CommandKind, spell
from schema.drift.acts import DriftKind, observed
from schema.drift.looks import LookPlace
from schema.drift.policy import Policy
from schema.drift.sightings import Sighting
from schema.faults import areach
from schema.ids import CommandId, MountId, NodeId, new_command_id
from schema.nodes import NodeKind
from schema.paths import NodePath
from schema.store import conclude, drift_hints, heals, looks
from schema.store.drift_hints import Hint
from schema.store.heals import DueFinding, HealProblem

if TYPE_CHECKING:
    from activities.executors.contract.executor import Executor
    from activities.ports import Executors
    from activities.threads import MountThreads
    from schema.store.connection import Connection
    from schema.store.pool import Pool

_AT_ONCE = 32
_BYTES = 256 * 1024 * 1024
"""The most that is staged for one list, so that what is ready is not kept waiting"""
_WEIGHED = 100_000
_EXAMPLES = 20
_LONGEST = 30.0
_MOVED_ON = frozenset(
    error.code
    for error in (
        errors.StaleFinding, errors.VersionConflict, errors.NodeNotFound, errors.NodeExists, errors.ParentNotFound,
        errors.NotADirectory, errors.ChildrenExist,
    )
)  # fmt: skip
"""Another thing lies there than the finding has seen, or the record has moved on"""


@dataclass(frozen=True, slots=True)
class HealTry:
    """The command that is to heal a finding."""

    command: CommandId
    finding: int
    version: int


@dataclass(frozen=True, slots=True)
class HealStep:
    """What `HealFindings` does next."""

    mount: MountId
    commands: list[Command] = field(default_factory=list)
    tries: list[HealTry] = field(default_factory=list)
    wait_seconds: float | None = None
    """Nothing can go now: look again after this time. None: nothing waits"""
    held: int = 0
    """So many findings wait for the answer to a brake"""


class Heal:
    def __init__(self, pool: Pool, executors: Executors, threads: MountThreads) -> None:
        self._pool, self._executors, self._threads = pool, executors, threads

    @activity.defn(name="prepare_heals")
    async def prepare(self, mount: MountId) -> HealStep:
        try:
            await self._threads.run(mount, self._executors.of(mount).check)
        except errors.FilestoreError as error:
            activity.logger.info("heals wait for their mount: %s", error.message)
            return HealStep(mount)  # the sweep begins again
        async with self._pool.connection() as connection, connection.transaction():
            policy = (await looks.policy(connection, mount)).policy
            held = await _weigh(connection, mount, policy)
            found = await _unignored(connection, mount, policy, await heals.due(connection, mount, _AT_ONCE))
            seconds = None if found else await heals.next_due(connection, mount)
        if not found:
            return HealStep(mount, wait_seconds=None if seconds is None else min(_LONGEST, seconds + 0.2), held=held)
        look = await self._begin_look(mount, found)
        step, problems, size = HealStep(mount, held=held, wait_seconds=0.0), list[HealProblem](), 0
        current().expect(len(found))
        for one in found:
            if size > _BYTES:
                break
            try:
                command = await self._command(mount, one, look)
            except errors.FilestoreError as error:
                problems.append(_problem(one, error.code, error.message, final=not error.retryable))
                continue
            except OSError as error:
                problems.append(_problem(one, "UNAVAILABLE", error.strerror or "The storage did not answer."))
                continue
            step.commands.append(command)
            step.tries.append(HealTry(command.id, one.id, one.version))
            size += command.size
            current().done(1, command.size)
        await self._tried(mount, problems, found)
        await areach("drift.staged")
        return step

    async def _begin_look(self, mount: MountId, found: Sequence[DueFinding]) -> int:
        async with self._pool.connection() as connection, connection.transaction():
            places = [LookPlace(one.path) for one in found]
            return await looks.begin(
                connection, mount, places, reason=heals.HEAL, principal=found[0].by or OWN, whole=False, by_hand=True
            )

    async def _command(self, mount: MountId, finding: DueFinding, look: int) -> Command:
        """Raises FilestoreError, OSError."""
        path = NodePath(finding.path)
        current().at(path.text)
        executor = self._executors.of(mount)
        now = await self._threads.run(mount, sighted, executor, finding.path)
        if not _as_seen(now, finding.observed):
            raise errors.StaleFinding("Another thing lies there now.")
        if finding.kind is DriftKind.NEW and now.kind == NodeKind.DIRECTORY:
            await self._check_below(mount, finding)
        text, exact = spell(path)
        command = Command(
            new_command_id(), CommandKind.DELETE, mount, text, finding.tenant, finding.by or OWN, 0, path_b64=exact,
            recursive=True, finding=finding.id, finding_version=finding.version, finding_look=look,
        )  # fmt: skip
        return command if finding.kind is DriftKind.NEW else await self._restored(mount, finding, command)

    async def _check_below(self, mount: MountId, finding: DueFinding) -> None:
        """A directory leaves with all it holds, and an ignored place is not touched. Raises NotSupported."""
        async with self._pool.connection() as connection:
            policy = (await looks.policy(connection, mount)).policy
            left_alone = await conclude.ignored(connection, mount)
        below = next((path for path in left_alone if path.startswith(finding.path + b"/")), None)
        if below is None and policy.ignore:
            below = await self._threads.run(mount, _ignored_below, self._executors.of(mount), finding.path, policy)
        if below is not None:
            shown = below.decode("utf-8", "replace")
            raise errors.NotSupported(
                f"It holds {shown}, which is ignored. Accept it, or move what is to stay elsewhere."
            )

    async def _restored(self, mount: MountId, finding: DueFinding, command: Command) -> Command:
        """With our copy, staged."""
        executor, path = self._executors.of(mount), command.node_path
        if finding.node_kind == NodeKind.DIRECTORY:
            stage = await self._threads.run(mount, staged_directory, executor, command.id)
            return restoring(command, finding, stage.identity.facts())
        if finding.node_kind in (NodeKind.SYMLINK, NodeKind.SPECIAL):
            stage = await self._threads.run(
                mount, staged_other, executor, command.id, finding.node_kind, finding.target, finding.mode or 0
            )
            return restoring(command, finding, stage.identity.facts())
        if finding.node_kind != NodeKind.FILE or finding.sha256 is None:
            raise errors.NotSupported("The record has no content of this node that could be put back.")
        async with self._pool.connection() as connection:
            copies = await heals.copies(connection, mount, finding)
        for copy in copies:
            try:
                origin = self._executors.of(copy.mount)
                stage = await self._threads.run(
                    mount, staged_copy, executor, origin, command.id, path, copy, finding.sha256
                )
            except (errors.FilestoreError, OSError) as error:
                activity.logger.info("a copy for %s can not be used: %r", path.text, error)
                continue
            return restoring(command, finding, stage.identity.facts())
        raise errors.ContentExpired(
            "No copy of this content is kept anywhere. Accept what lies there, or upload the file."
        )

    async def _tried(self, mount: MountId, problems: Sequence[HealProblem], found: Sequence[DueFinding]) -> None:
        """A place where another thing lies is looked at anew; that renews the finding."""
        paths = {one.id: one.path for one in found}
        stale = [Hint(paths[one.finding], True, "heal") for one in problems if one.code == errors.StaleFinding.code]
        async with self._pool.connection() as connection, connection.transaction():
            await heals.tried(connection, problems)
            if stale:
                await drift_hints.hint(connection, mount, stale)

    @activity.defn(name="end_heals")
    async def end(self, step: HealStep) -> int:
        """How many were healed. What a failed one staged is cleared with its command; here only what never began."""
        await areach("drift.healed")
        async with self._pool.connection() as connection, connection.transaction():
            ends = await heals.ends(connection, [one.command for one in step.tries])
            problems = [problem for one in step.tries if (problem := _ended(one, ends.get(one.command)))]
            await heals.tried(connection, problems)
            await self._look_again(connection, step, problems)
            healed = [one.finding for one in step.tries if _has_healed(ends.get(one.command))]
            await heals.open_below(connection, healed)
        executor = self._executors.of(step.mount)
        for command in step.commands:
            if command.id not in ends and command.staged:
                await self._threads.run(step.mount, executor.discard_stage, command.id, None)
        return len(healed)

    async def _look_again(self, connection: Connection, step: HealStep, problems: Sequence[HealProblem]) -> None:
        """Where it was not as the finding says: the look there renews it."""
        moved_on = {one.finding for one in problems if one.code in _MOVED_ON}
        paths = [command.node_path.raw for command in step.commands if command.finding in moved_on]
        if paths:
            await drift_hints.hint(connection, step.mount, [Hint(path, reason=heals.HEAL) for path in paths])


async def _weigh(connection: Connection, mount: MountId, policy: Policy) -> int:
    """The brake, for what policy alone decided: under it the heals may go; beyond it they wait for a yes, and their plan is shown.
    Returns how many have to wait."""
    found = await heals.unweighed(connection, mount, _WEIGHED)
    if not found:
        return 0
    changes, nodes = sum(one.nodes for one in found), await conclude.size(connection, mount)
    if not policy.brake.holds(changes, nodes):
        await heals.plan(connection, [one.id for one in found], 0)
        return 0
    look = await looks.begin(
        connection, mount, [LookPlace(b"", subtree=True)], reason=heals.HEAL, principal=OWN, whole=False
    )
    counts = {
        action: sum(one.nodes for one in found if one.action == action) for action in {one.action for one in found}
    }
    told: Mapping[str, Any] = {
        "changes": changes, "nodes": nodes, "counts": counts, "examples": [one.shown for one in found[:_EXAMPLES]],
    }  # fmt: skip
    await looks.hold(connection, look, told)
    await heals.plan(connection, [one.id for one in found], look)
    return len(found)


async def _unignored(
    connection: Connection, mount: MountId, policy: Policy, found: Sequence[DueFinding]
) -> list[DueFinding]:
    """An ignored place is not touched: its finding says so from now on."""
    now, left_alone = datetime.now(UTC), await conclude.ignored(connection, mount) if found else set[bytes]()
    left = [
        one
        for one in found
        if policy.ignores(one.path, now) or any(path in left_alone for path in conclude.upwards(one.path))
    ]
    await heals.leave(connection, [one.id for one in left])
    return [one for one in found if one not in left]


def _ignored_below(executor: Executor, path: bytes, policy: Policy) -> bytes | None:
    """In a thread."""
    now = datetime.now(UTC)
    for page in executor.scan(NodePath(path)):
        for entry in page.entries:
            if entry.path != path and policy.ignores(entry.path, now):
                return entry.path
    return None


def _as_seen(now: Sighting, was: Mapping[str, Any]) -> bool:
    """Of a directory, which one it is: what it holds goes on changing."""
    seen = observed(now)
    if seen.get("kind") == NodeKind.DIRECTORY and was.get("kind") == NodeKind.DIRECTORY:
        return list(seen["identity"][:3]) == list(was["identity"][:3])
    return dict(seen) == dict(was)


def restoring(command: Command, finding: DueFinding, staged: list[int | str]) -> Command:
    """The command with what it puts back. Content goes on from the version that the record believes in."""
    content = finding.node_kind == NodeKind.FILE
    return replace(
        command,
        kind=CommandKind.RESTORE,
        recursive=False,
        node_id=None if finding.node is None else NodeId(finding.node),
        staged=staged,
        sha256=finding.sha256.hex() if content and finding.sha256 else None,
        size=finding.size if content else 0,
        content_version=finding.node_version if finding.observed else None,
    )


def _problem(finding: DueFinding, code: str, message: str, *, final: bool = False) -> HealProblem:
    stale = code == errors.StaleFinding.code
    return HealProblem(finding.id, finding.version, code, message, final and not stale)


def _has_healed(end: heals.HealEnd | None) -> bool:
    return end is not None and end.status == "succeeded"


def _ended(one: HealTry, end: heals.HealEnd | None) -> HealProblem | None:
    if end is None or end.status == "running":
        return HealProblem(one.finding, one.version, "PATH_BUSY", "A command works there. It is tried again.", False)
    if _has_healed(end):
        return None
    code = end.code or "INCONSISTENT"
    return HealProblem(one.finding, one.version, code, end.message, not (end.retryable or code in _MOVED_ON))
