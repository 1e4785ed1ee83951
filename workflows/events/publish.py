"""PublishEvents: publish what a crash or an outage of Redis left in the feed: once, or for the schedule an hour long in one run."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.events.publish import Publish
    from workflows.policies import BRIEF, kept

RUN_SECONDS = 3600.0


@workflow.defn(name="PublishEvents", failure_exception_types=[Exception])
class PublishEvents:
    @workflow.run
    async def run(self, seconds: float = 0.0) -> int:
        """How many events Redis got. `seconds` 0: of one look."""
        if seconds:
            return await workflow.execute_activity_method(
                Publish.keep_publishing,
                seconds,
                summary="every 10 s: positions, then Redis",
                **kept(timedelta(seconds=seconds)),
            )
        return await workflow.execute_activity_method(Publish.publish, summary="positions, then Redis", **BRIEF)
