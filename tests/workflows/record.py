"""Store histories of every workflow for the replay tests: `python -m tests.workflows.record`, addresses in the environment.

`RECORD_HISTORIES=1 pytest tests/e2e` runs it on the stack of that run, after a change of a workflow was made replay-safe. Old
histories of released workflows stay: one that is under way while a new release starts is replayed on today's code.
"""

import asyncio
import sys
from pathlib import Path

from temporalio.client import WorkflowHistory

from schema.settings import Settings
from workflows.client import connect

HISTORIES = Path(__file__).parent / "histories"
WANTED = {
    "RunCommands": 18,
    "ResumeCommands": 11,
    "SweepMount": 2,
    "PublishEvents": 2,
    "PruneRecord": 2,
    "ArchiveJournal": 2,
    "RecomputeRollups": 3,
    "ProveRollups": 3,
    "PlanOperation": 2,
    "RunOperation": 8,
    "PurgeTrash": 2,
    "LookAt": 2,
    "AuditMount": 2,
    "ReconcilePlace": 3,
    "HealFindings": 2,
    "ScrubMount": 2,
    "SyncCommit": 2,
    "ProjectWork": 6,
    "KeepObjectLocks": 2,
    "WaitForApproval": 3,
    "CarryOutApproval": 2,
}
"""How many different shapes of each to keep: a shape is its sequence of event types and activities. Those that are there stay."""


def _shape(history: WorkflowHistory) -> tuple[tuple[int, str], ...]:
    return tuple(
        (event.event_type, event.activity_task_scheduled_event_attributes.activity_type.name)
        for event in history.events
    )


def _next(kind: str) -> Path:
    """A name that no stored history has."""
    numbers = [int(kept.stem.rpartition("-")[2]) for kept in HISTORIES.glob(f"{kind}-*.json")]
    return HISTORIES / f"{kind}-{max(numbers, default=0) + 1}.json"


async def main() -> int:
    settings = Settings()  # type: ignore[call-arg]
    client = await connect(settings.temporal_address, settings.temporal_namespace)
    HISTORIES.mkdir(exist_ok=True)
    for kind, most in WANTED.items():
        shapes = {
            _shape(WorkflowHistory.from_json(kept.stem, kept.read_text())) for kept in HISTORIES.glob(f"{kind}-*.json")
        }
        async for found in client.list_workflows(
            f"WorkflowType = '{kind}' AND ExecutionStatus = 'Completed'", limit=400
        ):
            if len(shapes) >= most:
                break
            history = await client.get_workflow_handle(found.id, run_id=found.run_id).fetch_history()
            if _shape(history) not in shapes:
                shapes.add(_shape(history))
                _next(kind).write_text(history.to_json() + "\n")
        print(f"{kind}: {len(shapes)} shapes")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
