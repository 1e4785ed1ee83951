"""PublishEvents: on a schedule, publish what a crash or an outage of Redis left in the feed."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.events.publish import Publish
    from workflows.policies import BRIEF


@workflow.defn(name="PublishEvents", failure_exception_types=[Exception])
class PublishEvents:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(Publish.publish, summary="positions, then Redis", **BRIEF)
