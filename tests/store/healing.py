"""Heals on a real disk and a real record, without Temporal: every activity of the way is the real one."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities import budgets
from activities.commands.apply import Apply
from activities.commands.begin import Begin
from activities.commands.commit import Commit
from activities.commands.finish import Finish
from activities.commands.fresh import FreshAttempts
from activities.commands.stage import StageCopies
from activities.drift.heal import Heal, HealStep
from activities.executors.contract.stage import Draft, Stage
from activities.ports import Executors
from schema.commands.command import Command, CommandKind
from schema.commands.payloads import AppliedList, Batch, Begun, CommandIds, Ended
from schema.ids import MountId, new_command_id
from schema.store.pool import Pool
from tests.store.drift import Drifting, OneMount


class Strangers:
    """An audience that holds no stage: `begin` looks at each."""

    def holds(self, request: object) -> bool:
        return False

    def begun(self, verdicts: object) -> None: ...

    def ended(self, outcomes: object) -> None: ...


@dataclass
class RealSteps:
    """The activities of a list, one after the other."""

    pool: Pool
    executors: Executors

    def __post_init__(self) -> None:
        threads, fresh = budgets.STEPS.build(), FreshAttempts()
        self.begin = Begin(self.pool, self.executors, threads, Strangers(), fresh)
        self.stage = StageCopies(self.pool, self.executors, threads)
        self.apply = Apply(self.pool, self.executors, threads, fresh, 60)
        self.commit = Commit(self.pool, self.executors, threads, Strangers(), lambda: None, 30)
        self.finish = Finish(self.pool, self.executors, threads)
        self.heal = Heal(self.pool, self.executors, threads)

    async def begun(self, mount: MountId, commands: list[Command]) -> Begun:
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, workflow_id=f"cmd/{mount}/{commands[0].id}")
        return await environment.run(self.begin.begin, Batch(mount, commands))

    async def run(self, mount: MountId, commands: list[Command]) -> None:
        await self.run_begun(mount, await self.begun(mount, commands))

    async def run_begun(self, mount: MountId, begun: Begun) -> None:
        ended = await self.committed(await self.applied(begun))
        await ActivityEnvironment().run(self.finish.finish, CommandIds(mount, [*begun.refused, *ended.leftovers]))

    async def applied(self, begun: Begun) -> AppliedList:
        if begun.unstaged:
            staged = await ActivityEnvironment().run(self.stage.stage, begun)
            begun = Begun(begun.mount_id, go=staged.go)
        return await ActivityEnvironment().run(self.apply.apply, begun)

    async def committed(self, applied: AppliedList) -> Ended:
        return await ActivityEnvironment().run(self.commit.commit, applied)

    async def prepare(self, mount: MountId) -> HealStep:
        return await ActivityEnvironment().run(self.heal.prepare, mount)

    async def end(self, step: HealStep) -> int:
        return await ActivityEnvironment().run(self.heal.end, step)


def uploaded(drifting: Drifting, path: str, content: bytes, **more: Any) -> Command:
    """An upload whose content is staged."""
    id = new_command_id()
    [made] = drifting.executor.seal([Draft(id, content)])
    assert isinstance(made, Stage)
    return Command(
        id, CommandKind.UPLOAD, drifting.mount, path, "main", "a client", 0,
        staged=made.identity.facts(), sha256=hashlib.sha256(content).hexdigest(), size=len(content), **more,
    )  # fmt: skip


async def ours(drifting: Drifting, code: str) -> int:
    """How many commands ended with this code."""
    [row] = await drifting.rows(
        "SELECT count(*) AS ended FROM filestore.commands WHERE mount_id = %s AND code = %s", drifting.mount, code
    )
    return int(row["ended"])


def steps_of(drifting: Drifting) -> RealSteps:
    return RealSteps(drifting.pool, OneMount(drifting.executor))


async def healed(drifting: Drifting, most: int = 10) -> int:
    """Heal until nothing is ready. Returns how many were."""
    steps, count = steps_of(drifting), 0
    for _ in range(most):
        step = await steps.prepare(drifting.mount)
        if not step.commands:
            break
        await steps.run(drifting.mount, step.commands)
        count += await steps.end(step)
    return count
