"""ArchiveJournal: on a schedule, write what the journal has and its archive has not."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.upkeep.archive import Archive, Archived
    from workflows.policies import BACKGROUND


@workflow.defn(name="ArchiveJournal", failure_exception_types=[Exception])
class ArchiveJournal:
    @workflow.run
    async def run(self) -> Archived:
        archived: Archived = await workflow.execute_activity_method(
            Archive.archive, summary="entries that are settled, segment by segment", **BACKGROUND
        )
        if archived.more:
            workflow.continue_as_new()
        return archived
