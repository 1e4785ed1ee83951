"""Recomputes as clients read them."""

from datetime import datetime
from typing import Literal

from api.http.shapes import EXACT_PATH, Shape
from schema.recomputes import RecomputeState


class RollupRecompute(Shape):
    """`differences`: directories whose totals were wrong, and are right now."""

    id: int
    state: RecomputeState
    code: str | None
    reason: Literal["request", "proof"]
    backend_mount_id: int
    node_id: int
    path: str
    path_b64: str = EXACT_PATH
    principal: str
    directories: int
    differences: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
