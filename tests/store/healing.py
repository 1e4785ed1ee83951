"""Heals on a real disk and a real record, without Temporal: every activity of the way is the real one."""

from dataclasses import dataclass, replace

from temporalio.testing import ActivityEnvironment

from activities import budgets
from activities.commands.apply import Apply
from activities.commands.begin import Begin
from activities.commands.commit import Commit
from activities.commands.finish import Finish
from activities.commands.fresh import FreshAttempts
from activities.drift.heal import Heal, HealStep
from activities.ports import Executors
from schema.commands.command import Command
from schema.commands.payloads import Batch, Begun, CommandIds
from schema.ids import MountId
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
        environment = ActivityEnvironment()
        applied = await environment.run(self.apply.apply, begun)
        ended = await environment.run(self.commit.commit, applied)
        await environment.run(self.finish.finish, CommandIds(mount, [*begun.refused, *ended.leftovers]))

    async def prepare(self, mount: MountId) -> HealStep:
        return await ActivityEnvironment().run(self.heal.prepare, mount)

    async def end(self, step: HealStep) -> int:
        return await ActivityEnvironment().run(self.heal.end, step)


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
