"""Digest fields of RFC 9530: of the whole file always, of the bytes of one answer where a client wishes for it."""

import base64
import re

SHA256 = "sha-256"

_WISH = re.compile(r"[ \t]*([a-z*][a-z0-9_.*-]*)[ \t]*=[ \t]*([0-9]{1,2})[ \t]*", re.ASCII)


def field(digest: bytes) -> str:
    """The value of Repr-Digest and Content-Digest."""
    return f"{SHA256}=:{base64.b64encode(digest).decode()}:"


def wishes(text: str) -> dict[str, int]:
    """Want-Repr-Digest or Want-Content-Digest: how much each algorithm is liked, 0 to 10; 0: it is not wanted.
    What is malformed says nothing at all."""
    found: dict[str, int] = {}
    for part in text.split(",") if text.strip(" \t") else ():
        wish = _WISH.fullmatch(part)
        if wish is None or int(wish[2]) > 10:
            return {}
        found[wish[1]] = int(wish[2])
    return found


def unwanted(text: str) -> bool:
    """Want-Repr-Digest rules out the one algorithm we have. Who wishes for others alone gets it none the less."""
    return wishes(text).get(SHA256) == 0


def wanted(text: str) -> bool:
    """Want-Content-Digest asks for the one algorithm we have."""
    return wishes(text).get(SHA256, 0) > 0
