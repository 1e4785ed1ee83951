"""Quotas as clients read them."""

from datetime import datetime

from api.http.shapes import EXACT_PATH, CursorPagination, Shape


class Quota(Shape):
    """`used`: what is there. `reserved`: what running commands may still add. `peak`: the most that was seen."""

    id: int
    tenant: str
    backend_mount_id: int | None
    path: str | None
    path_b64: str = EXACT_PATH
    principal: str | None
    max_bytes: int | None
    max_nodes: int | None
    soft_bytes: int | None
    soft_nodes: int | None
    trash: bool
    used_bytes: int
    used_nodes: int
    reserved_bytes: int
    reserved_nodes: int
    peak_bytes: int
    peak_nodes: int
    soft_since: datetime | None
    version: int
    created_by: str
    created_at: datetime
    updated_at: datetime


class QuotaPage(Shape):
    quotas: list[Quota]
    pagination: CursorPagination
