"""The types of events, by the names clients know: one list for filters, the OpenAPI document, the docs and all code that
writes events."""

from enum import StrEnum


class EventType(StrEnum):
    NODE_CREATED = "filestore.node.created"
    NODE_UPDATED = "filestore.node.updated"
    NODE_DELETED = "filestore.node.deleted"
    NODE_UPLOADED = "filestore.node.uploaded"
    NODE_MOVED = "filestore.node.moved"
    NODE_COPIED = "filestore.node.copied"
    NODE_RECONCILED = "filestore.node.reconciled"
    NODE_MISSING = "filestore.node.missing"
    NODE_DOWNLOADED = "filestore.node.downloaded"
    COMMAND_COMPLETED = "filestore.command.completed"
    DRIFT_DETECTED = "filestore.drift.detected"
    JOB_QUEUED = "filestore.reconciliation.job.queued"
    JOB_STARTED = "filestore.reconciliation.job.started"
    JOB_COMPLETED = "filestore.reconciliation.job.completed"
    JOB_FAILED = "filestore.reconciliation.job.failed"
    JOB_CANCELLED = "filestore.reconciliation.job.cancelled"
    APPROVAL_REQUESTED = "filestore.approval.requested"
    APPROVAL_REMINDED = "filestore.approval.reminded"
    APPROVAL_APPROVED = "filestore.approval.approved"
    APPROVAL_REJECTED = "filestore.approval.rejected"
    APPROVAL_EXPIRED = "filestore.approval.expired"
    QUOTA_SOFT = "filestore.quota.soft"
    ROLLUP_RECOMPUTED = "filestore.rollup.recomputed"


STREAM_RESET = "filestore.stream.reset"
"""Never in the feed: a stream says it to a reader for whom events are gone that it has not seen."""
STREAM_POSITION = "filestore.stream.position"
"""Neither: a WebSocket says how far it has looked when there was nothing to show for a while."""
