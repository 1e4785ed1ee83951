"""Reconciliations, policies and decisions as clients ask for them."""

from typing import Annotated, Literal

from pydantic import Field

from api.http.fields import Conditions, Count, Id, JsonBody, Moment, Short, Text
from schema.drift.acts import DriftKind
from schema.drift.decisions import DriftDecision
from schema.drift.policy import DriftAction, Phase, Policy
from workflows.schedules import ScheduleAct

Seconds = Annotated[int, Field(ge=1, le=10**9)]
AtMost = Annotated[int, Field(ge=1, le=10_000)]


class NewReconciliation(JsonBody):
    """`detectChildren`: with everything below the path."""

    backend_mount_id: Id
    path: Text = ""
    path_b64: Text | None = Field(None, alias="pathB64")
    node_id: Id | None = None
    reason: Literal["drift", "audit", "manual"] = "manual"
    detect_children: bool = False
    requested_hash: bool | Text = False


class BrakeBody(JsonBody):
    """A look at more than one place that would change more than this waits for a yes."""

    share: Annotated[float, Field(gt=0, le=1, strict=False)] = 0.5
    count: Count = 10_000


class AuditBody(JsonBody):
    path: Text = ""
    every_seconds: Seconds


class ScrubBody(JsonBody):
    """`bytesPerSecond`: how fast contents are read; without it, as slow as the time allows."""

    every_seconds: Seconds
    bytes_per_second: Annotated[int, Field(ge=1, le=10**12)] | None = None


class IgnoreBody(JsonBody):
    pattern: Short
    until: Moment | None = None


class PolicyBody(JsonBody):
    """What is left out is as where nothing was ever said."""

    phase: Annotated[Phase, Field(strict=False)] = Phase.OBSERVE
    on_new: Annotated[DriftAction, Field(strict=False)] = DriftAction.IMPORT
    on_changed: Annotated[DriftAction, Field(strict=False)] = DriftAction.IMPORT
    on_missing: Annotated[DriftAction, Field(strict=False)] = DriftAction.MARK
    on_unreadable: Annotated[DriftAction, Field(strict=False)] = DriftAction.MARK
    brake: BrakeBody = BrakeBody()
    audits: Annotated[list[AuditBody], Field(max_length=100)] = Field(default_factory=list)
    scrub: ScrubBody | None = None
    ignore: Annotated[list[Short | IgnoreBody], Field(max_length=1000)] = Field(default_factory=list)

    def meant(self) -> Policy:
        return Policy.of_json(self.model_dump(mode="json", by_alias=True))


class ScheduleBody(JsonBody):
    """`id`: as the list of the mount's schedules has it."""

    id: Short
    action: Annotated[ScheduleAct, Field(strict=False)]
    note: Short | None = None


class NamedFinding(JsonBody):
    """A finding at the version that was shown."""

    id: Id
    version: Id


class FindingSelection(Conditions):
    """All that stands and meets every condition."""

    backend_mount_id: Id
    path: Text | None = None
    kinds: Annotated[list[Annotated[DriftKind, Field(strict=False)]], Field(min_length=1, max_length=10)] | None = None


class DecisionBody(JsonBody):
    """`until`: how long a place is ignored; without it, until that is decided otherwise."""

    ids: Annotated[list[NamedFinding], Field(min_length=1, max_length=1000)] | None = None
    selection: FindingSelection | None = None
    decision: Annotated[DriftDecision, Field(strict=False)]
    until: Moment | None = None
    plan_only: bool = False
