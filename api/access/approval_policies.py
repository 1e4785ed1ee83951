"""The operator's file of acts that wait for other people. It is read again when it has changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import structlog

from schema.access.approvals import ApprovalAct, ApprovalPolicy, BadPolicy, policies_of, policy_for
from schema.errors import Unavailable

log = structlog.get_logger(__name__)


class Policies:
    """Used by the HTTP loop alone."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        self._read: tuple[tuple[int, int], Sequence[ApprovalPolicy]] | None = None

    def policy(self, tenant: str, act: ApprovalAct) -> ApprovalPolicy | None:
        """None: one person does it alone. Raises Unavailable where the file does not say: then nobody does it."""
        return None if self._path is None else policy_for(self._policies(self._path), tenant, act)

    def _policies(self, path: Path) -> Sequence[ApprovalPolicy]:
        try:
            found = path.stat()
            stamp = found.st_mtime_ns, found.st_size
            if self._read is None or self._read[0] != stamp:
                self._read = stamp, policies_of(json.loads(path.read_bytes()))
            return self._read[1]
        except (OSError, ValueError, BadPolicy) as error:
            log.error("the approval policies can not be read", path=str(path), error=repr(error))
            raise Unavailable(
                "Whether this waits for other people can not be read: FILESTORE_APPROVALS_PATH names no file that says so. "
                "Nothing was changed."
            ) from error
