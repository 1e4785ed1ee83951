"""Media types and names as clients tell them, made fit to be stored."""

import re

from schema.errors import InvalidRequest

NAME_MAX = 1024
_MIME = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}( *; *[\w.+-]{1,50}=[\w.+\"-]{1,100})*", re.ASCII)


def shown_name(text: str) -> str | None:
    """What the file was called on the client's side, for people: never a path. Raises InvalidRequest."""
    name = text.replace("\\", "/").rpartition("/")[2]
    if "\0" in name or len(name) > NAME_MAX:
        raise InvalidRequest(f"A filename has at most {NAME_MAX} characters, and no NUL.")
    return name or None


def mime(text: str) -> str | None:
    """A media type, or nothing: whatever else clients send there says nothing about the content."""
    told = text.strip()
    return told if _MIME.fullmatch(told) else None
