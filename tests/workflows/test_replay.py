"""Every stored history replays on today's code, in the sandbox: a change that would break a workflow under way is found here."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from workflows.access.approvals import WaitForApproval
from workflows.access.carry_out import CarryOutApproval
from workflows.access.object_locks import KeepObjectLocks
from workflows.commands.resume import ResumeCommands
from workflows.commands.run import RunCommands
from workflows.converter import data_converter
from workflows.drift.audit import AuditMount
from workflows.drift.heal import HealFindings
from workflows.drift.look_at import LookAt
from workflows.drift.reconcile import ReconcilePlace
from workflows.drift.scrub import ScrubMount
from workflows.events.publish import PublishEvents
from workflows.operations.plan import PlanOperation
from workflows.operations.run import RunOperation
from workflows.sync.commit import SyncCommit
from workflows.sync.tiers import ProjectWork
from workflows.upkeep.archive_journal import ArchiveJournal
from workflows.upkeep.prove_rollups import ProveRollups
from workflows.upkeep.prune_record import PruneRecord
from workflows.upkeep.purge_trash import PurgeTrash
from workflows.upkeep.recompute_rollups import RecomputeRollups
from workflows.upkeep.sweep_mount import SweepMount

WORKFLOWS = [
    RunCommands, ResumeCommands, SweepMount, PublishEvents, PruneRecord, ArchiveJournal, RecomputeRollups, ProveRollups,
    PlanOperation, RunOperation, LookAt, AuditMount, ReconcilePlace, PurgeTrash, HealFindings, ScrubMount,
    SyncCommit, ProjectWork, KeepObjectLocks, WaitForApproval, CarryOutApproval,
]  # fmt: skip
HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_stored_history_replays(path: Path) -> None:
    history = WorkflowHistory.from_json(path.stem, path.read_text())  # noqa: ASYNC240
    replayer = Replayer(workflows=WORKFLOWS, workflow_runner=SandboxedWorkflowRunner(), data_converter=data_converter)
    await replayer.replay_workflow(history)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.__name__)
def test_every_workflow_has_a_stored_history(workflow: type) -> None:
    assert any(path.stem.startswith(f"{workflow.__name__}-") for path in HISTORIES)
