"""What of an address may stand in a log."""

import re

_LINK = re.compile(r"^/s/(\d{1,18}-)?[^/]*")


def loggable(path: str) -> str:
    """The address of a share link is all that one needs to follow it: its number is enough."""
    return _LINK.sub(lambda found: f"/s/{found[1] or ''}...", path)
