"""Regular activities say that their process lives, and how far they are. Temporal notices a death by silence, not by a time limit
for long work."""

import asyncio
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.progress import PROGRESS, Progress, beat_once

EVERY_SECONDS = 2.0


class Beats(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Beating(next)


class _Beating(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        if activity.info().is_local:
            # It belongs to a workflow task, whose own timeout tells.
            return await super().execute_activity(input)
        PROGRESS.set(Progress())
        beating = asyncio.create_task(_beat())
        try:
            return await super().execute_activity(input)
        finally:
            beating.cancel()


async def _beat() -> None:
    while True:
        beat_once()
        await asyncio.sleep(EVERY_SECONDS)
