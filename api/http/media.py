"""Media types and names as clients tell them, made fit to be stored."""

import re

from schema.errors import InvalidRequest

NAME_MAX = 1024
OCTETS = "application/octet-stream"
_SHOWN = re.compile(
    r"(?:image/(?:avif|bmp|gif|heic|heif|jpeg|png|tiff|webp|x-icon)|audio/[\w.+-]+|video/[\w.+-]+|text/(?:plain|csv)"
    r"|application/(?:pdf|json))(?: *;.*)?",
    re.IGNORECASE | re.ASCII,
)
"""What a browser shows without running anything of it, and does not take for something else by its bytes."""
_MIME = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}( *; *[\w.+-]{1,50}=[\w.+\"-]{1,100})*", re.ASCII)


def shown_name(text: str) -> str | None:
    """What the file was called on the client's side, for people: never a path. Raises InvalidRequest."""
    name = text.replace("\\", "/").rpartition("/")[2]
    if "\0" in name or len(name) > NAME_MAX:
        raise InvalidRequest(f"A filename has at most {NAME_MAX} characters, and no NUL.")
    return name or None


def served_type(recorded: str | None) -> str:
    """The type that goes out with content: the recorded one, where it is one."""
    return recorded if recorded and _MIME.fullmatch(recorded) else OCTETS


def may_be_shown(media: str) -> bool:
    """A stranger's content of this type can be opened in a browser on an origin that forbids it nothing."""
    return _SHOWN.fullmatch(media) is not None


def mime(text: str) -> str | None:
    """A media type, or nothing: whatever else clients send there says nothing about the content."""
    kind = text.strip()
    return kind if _MIME.fullmatch(kind) else None
