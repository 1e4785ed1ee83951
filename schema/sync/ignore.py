"""`.fsignore`: which names of a project's folder stay on their server. The patterns are those of `.gitignore`.

A line is a pattern; `#` opens a comment, `!` takes a name in again, `/` at the end means directories alone, any other `/` ties the
pattern to the top. `*`, `?` and `[...]` stay within a name, `**` does not. What lies in a directory that is left out is left out.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from schema.paths import RESERVED
from schema.sync.trees import ancestors

NAME = b".fsignore"
_LINES_MAX = 1000
_META = re.compile(rb"\*\*|[*?]|\[[!^]?\]?[^\]/]*\]|\\.|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class IgnoreLine:
    expression: re.Pattern[bytes]
    directories: bool
    takes_in: bool


class Ignore:
    """Our own folder at the top is left out whatever the lines say, and the file with the lines is not."""

    def __init__(self, text: bytes = b"") -> None:
        lines = (_line(line) for line in text.splitlines()[:_LINES_MAX])
        self._lines = [line for line in lines if line is not None]

    def leaves_out(self, path: bytes, *, directory: bool) -> bool:
        if path == RESERVED or path.startswith(RESERVED + b"/"):
            return True
        if not self._lines or path == NAME:
            return False
        return any(self._matches(above, True) for above in ancestors(path)) or self._matches(path, directory)

    def _matches(self, path: bytes, directory: bool) -> bool:
        """The last line that speaks of it decides."""
        for line in reversed(self._lines):
            if (directory or not line.directories) and line.expression.fullmatch(path):
                return not line.takes_in
        return False


def _line(text: bytes) -> IgnoreLine | None:
    """None: nothing is meant."""
    text = text.rstrip(b" \t\r") if not text.endswith(b"\\ ") else text
    if not text or text.startswith(b"#"):
        return None
    takes_in = text.startswith(b"!")
    text = text[1:] if takes_in else text
    directories = text.endswith(b"/")
    text = text.rstrip(b"/")
    if not text:
        return None
    tied = b"/" in text
    try:
        return IgnoreLine(_expression(text.lstrip(b"/"), tied), directories, takes_in)
    except re.error:
        return None


def _expression(pattern: bytes, tied: bool) -> re.Pattern[bytes]:
    parts: Iterable[bytes] = pattern.split(b"/")
    pieces = [] if tied else [b"(?:.*/)?"]
    names = list(parts)
    for index, name in enumerate(names):
        last = index + 1 == len(names)
        if name == b"**":
            pieces.append(b".+" if last else b"(?:.*/)?")
        else:
            pieces.append(_name(name) + (b"" if last else b"/"))
    return re.compile(b"".join(pieces), re.DOTALL)


def _name(name: bytes) -> bytes:
    return b"".join(_piece(found[0]) for found in _META.finditer(name))


def _piece(piece: bytes) -> bytes:
    if piece in (b"*", b"**"):
        return b"[^/]*"
    if piece == b"?":
        return b"[^/]"
    if piece.startswith(b"[") and len(piece) > 1:
        return b"[^" + piece[2:] if piece[1:2] in (b"!", b"^") else piece
    return re.escape(piece[1:] if piece.startswith(b"\\") and len(piece) > 1 else piece)
