"""Requests of schemathesis are about a mount that is there: without it nearly every one of them would end at 404."""

import os
from typing import Any

import schemathesis

MOUNT = int(os.environ.get("FILESTORE_FUZZED_MOUNT", "1"))


def _here(held: Any) -> Any:
    if isinstance(held, dict):
        values = {name: _here(value) for name, value in held.items()}
        if _is_id(values.get("backendMountId")):
            values["backendMountId"] = MOUNT
        return values
    return [_here(value) for value in held] if isinstance(held, list) else held


def _is_id(value: Any) -> bool:
    """Only a value that could name a mount is replaced: a wrong one stays as wrong as it is."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**63


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    return _here(body)


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    return _here(query)


# A chunk of a resumable upload is bytes like any others.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
