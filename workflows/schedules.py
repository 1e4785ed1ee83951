"""The schedules of a mount, as Temporal keeps them: which there are, how they stand, and what a person does with them."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleDescription,
    WorkflowExecutionDescription,
    WorkflowFailureError,
)
from temporalio.service import RPCError, RPCStatusCode

from schema.drift.policy import AuditTarget, Policy
from schema.ids import MountId

_AT_ONCE = 16


class ScheduleKind(StrEnum):
    SWEEP = "sweep"
    PROOF = "proof"
    PURGE = "purge"
    AUDIT = "audit"
    SCRUB = "scrub"
    PUBLISH = "publish"
    PRUNE = "prune"
    ARCHIVE = "archive"


class ScheduleAct(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class NamedSchedule:
    """`shared`: it serves all mounts, and no one of them can steer it."""

    id: str
    kind: ScheduleKind
    path: str | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class ScheduleRun:
    workflow: str
    started_at: datetime
    outcome: str
    """running, completed, failed, canceled, terminated, timed_out; unknown where Temporal keeps it no longer"""
    ended_at: datetime | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduleStanding:
    """`exists` false: a mount at rest has none, and a new one gets it within a sweep."""

    schedule: NamedSchedule
    exists: bool = False
    every_seconds: float | None = None
    paused: bool = False
    note: str | None = None
    next_at: datetime | None = None
    last: ScheduleRun | None = None


def sweep_of(mount: MountId) -> str:
    return f"sweep/{mount}"


def proof_of(mount: MountId) -> str:
    return f"rollups/proof/{mount}"


def purge_of(mount: MountId) -> str:
    return f"trash/{mount}"


def scrub_of(mount: MountId) -> str:
    return f"drift-scrub/{mount}"


def audits_of(mount: MountId) -> str:
    """What the names of all audits of a mount begin with."""
    return f"drift-audit/{mount}/"


def audit_at(mount: MountId, target: AuditTarget) -> str:
    return audits_of(mount) + hashlib.sha256(target.path.encode()).hexdigest()[:12]


def of_mount(mount: MountId, policy: Policy) -> list[NamedSchedule]:
    """All that there are to be while the mount is active, and those of the service."""
    named = [
        NamedSchedule(sweep_of(mount), ScheduleKind.SWEEP),
        NamedSchedule(proof_of(mount), ScheduleKind.PROOF),
        NamedSchedule(purge_of(mount), ScheduleKind.PURGE),
    ]
    audits = {audit_at(mount, target): target.path for target in policy.audits}
    named += [NamedSchedule(id, ScheduleKind.AUDIT, path) for id, path in audits.items()]
    if policy.scrub_seconds is not None:
        named.append(NamedSchedule(scrub_of(mount), ScheduleKind.SCRUB))
    return [*named, *(NamedSchedule(kind.value, kind, shared=True) for kind in _OF_SERVICE)]


_OF_SERVICE = (ScheduleKind.PUBLISH, ScheduleKind.PRUNE, ScheduleKind.ARCHIVE)


async def standings(client: Client, schedules: Sequence[NamedSchedule]) -> list[ScheduleStanding]:
    """How each stands, in the order in which they were asked for."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(schedule: NamedSchedule) -> ScheduleStanding:
        async with turns:
            return await standing(client, schedule)

    return list(await asyncio.gather(*map(one, schedules)))


async def standing(client: Client, schedule: NamedSchedule) -> ScheduleStanding:
    try:
        there = await client.get_schedule_handle(schedule.id).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return ScheduleStanding(schedule)
    state, every = there.schedule.state, there.schedule.spec.intervals
    return ScheduleStanding(
        schedule,
        exists=True,
        every_seconds=every[0].every.total_seconds() if every else None,
        paused=state.paused,
        note=state.note or None,
        next_at=None if state.paused else next(iter(there.info.next_action_times), None),
        last=await _last_run(client, there),
    )


async def _last_run(client: Client, there: ScheduleDescription) -> ScheduleRun | None:
    if not there.info.recent_actions:
        return None
    recent = there.info.recent_actions[-1]
    assert isinstance(recent.action, ScheduleActionExecutionStartWorkflow), "our schedules start workflows"
    workflow = recent.action.workflow_id
    try:
        found = await client.get_workflow_handle(workflow).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return ScheduleRun(workflow, recent.started_at, "unknown")
    outcome = found.status.name.lower() if found.status is not None else "unknown"
    return ScheduleRun(workflow, recent.started_at, outcome, found.close_time, await _problem(client, found, outcome))


async def _problem(client: Client, found: WorkflowExecutionDescription, outcome: str) -> str | None:
    if outcome != "failed":
        return None
    try:
        await client.get_workflow_handle(found.id, run_id=found.run_id).result(follow_runs=False)
    except WorkflowFailureError as error:
        return str(error.cause)
    return None


async def steer(client: Client, schedule: NamedSchedule, act: ScheduleAct, note: str) -> ScheduleStanding:
    """How it stands afterwards. What is done to a schedule that does not exist changes nothing."""
    handle = client.get_schedule_handle(schedule.id)
    try:
        if act is ScheduleAct.PAUSE:
            await handle.pause(note=note)
        elif act is ScheduleAct.RESUME:
            await handle.unpause(note=note)
        else:
            await handle.trigger()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    return await standing(client, schedule)
