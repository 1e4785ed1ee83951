"""Links to files, as clients read them."""

from datetime import datetime
from typing import Literal

from api.http.shapes import Shape


class FileLink(Shape):
    """GET `url` with these `headers`, without a token."""

    url: str
    expires_at: datetime
    headers: dict[str, str]
    method: Literal["GET"]
