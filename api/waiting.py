"""A command that was answered with 202 while it waited in the queue of this process, as its principal reads it."""

import json

from api.http.errors import envelope
from api.submission import Queued
from schema.commands.command import Status
from schema.errors import OutcomeUnknown
from schema.store.journal import Standing


def standing_of(queued: Queued) -> Standing:
    """In the shape of a command that has a row. Raises OutcomeUnknown: whether it has begun is not known then."""
    request, error = queued.request, queued.error
    if isinstance(error, OutcomeUnknown):
        raise error
    status = None if error is None else Status.FAILED
    document = {
        "id": request.id,
        "href": f"/v1/commands/{request.id}",
        "command": request.kind,
        "status": status or "queued",
        "path": request.path,
        "pathB64": request.path_b64,
        "targetPath": request.target,
        "targetPathB64": request.target_b64,
        "backendMountId": request.runs_on,
        "code": error and error.code,
        "retryable": error is not None and error.retryable,
        "outcome": json.loads(envelope(error)) if error else None,
        "attempt": 0,
        "createdAt": queued.since.isoformat(),
        "startedAt": None,
        "endedAt": None,
    }
    return Standing(request.principal, status, json.dumps(document))
