"""What is told of the chain of seals."""

from datetime import datetime

from api.http.shapes import Shape
from schema.audit.chain import TamperKind


class AuditFinding(Shape):
    """A place where the journal or the chain is not what it was."""

    kind: TamperKind
    seal: int
    entry: int | None
    message: str


class AuditProof(Shape):
    """`ok`: nothing was found in what was looked at. `nextCursor`: there was no time for all; null: the end was reached."""

    ok: bool
    seals: int
    entries: int
    in_archive: int
    unsealed: int
    unsealed_since: datetime | None
    copies: int
    last_seal: int
    last_hash: str
    findings: list[AuditFinding]
    next_cursor: str | None
