"""Share links as clients read them."""

from datetime import datetime
from typing import Literal

from api.http.shapes import EXACT_PATH, CursorPagination, Shape
from schema.links.link import LinkKind


class Link(Shape):
    """`url`: shown to its maker alone; null for others."""

    id: int
    backend_mount_id: int
    project: str | None
    """Of a project's file; the path is there"""
    path: str
    path_b64: str = EXACT_PATH
    kind: LinkKind
    description: str | None
    expires_at: datetime | None
    max_uses: int | None
    uses: int
    has_password: bool
    requests_per_second: float
    principal: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    url: str | None


class LinkPage(Shape):
    links: list[Link]
    pagination: CursorPagination


class LinkedEntry(Shape):
    name: str
    kind: Literal["directory", "file", "symlink", "special"]
    size_bytes: int | None
    last_modified_at: datetime | None


class Listing(Shape):
    path: str
    entries: list[LinkedEntry]
    pagination: CursorPagination
