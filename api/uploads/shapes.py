"""Uploads and links to put them under, as clients read them."""

from datetime import datetime
from typing import Literal

from api.http.shapes import EXACT_PATH, Refusal, Shape, named


class UploadLink(Shape):
    """PUT the content to `url` with these `headers`, without a token; then POST to `completeUrl`."""

    upload_id: str
    url: str
    method: Literal["PUT"]
    headers: dict[str, str]
    expires_at: datetime
    complete_url: str
    complete_before: datetime


class Upload(Shape):
    """How an upload stands."""

    id: str
    state: Literal["open", "done", "refused"]
    kind: Literal["whole", "partial", "final", "direct"]
    offset: int
    length: int | None
    backend_mount_id: int | None
    path: str | None
    path_b64: str = EXACT_PATH
    parts: list[str]
    expires_at: datetime
    command_id: str | None
    outcome: named("CommandOutcome") | None  # type: ignore[valid-type]
    error: Refusal | None
