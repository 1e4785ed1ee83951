"""Patterns of paths. Without a wildcard: a path, and all below it. With one: each path that fits, and all below that.

Paths are bytes. A pattern is matched on them as Latin-1 text, one character for each byte, so that Python and Postgres read
one regular expression alike.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from schema.errors import InvalidRequest
from schema.paths import NodePath, check

WILDCARDS_MAX = 8
"""In one pattern: matching takes longer with each of them."""
PATTERN_MAX = 1024
"""Bytes of one pattern"""
_ONE = "(?:[^/\x80-\xff]|[\xc0-\xff][\x80-\xbf]*|[\x80-\xbf])"
"""One character of UTF-8, or one byte of what is none"""


@dataclass(frozen=True, slots=True)
class Pattern:
    """`expression`: None where it is a path. `start`: the path itself, or the directory above the first name with a wildcard."""

    text: str
    start: NodePath
    expression: str | None = None
    _compiled: re.Pattern[str] | None = field(default=None, compare=False, repr=False)

    def holds(self, path: NodePath) -> bool:
        if self._compiled is None:
            return path == self.start or path.is_below(self.start)
        return self._compiled.fullmatch(path.raw.decode("latin-1")) is not None

    def may_meet_below(self, path: NodePath) -> bool:
        """Whether something at the path or below it can fit. It says yes where it can not be told from the pattern alone."""
        return path == self.start or path.is_below(self.start) or self.start.is_below(path)


@lru_cache(8192)
def pattern(text: str) -> Pattern:
    """Raises InvalidRequest, InvalidPath, Forbidden."""
    if len(text.encode("utf-8", "surrogatepass")) > PATTERN_MAX:
        raise _unusable(text, f"it has more than {PATTERN_MAX} bytes")
    if not any(sign in text for sign in "*?["):
        return Pattern(text, check(text.encode(), allow_root=True))
    if len(re.findall(r"\*+|\?", text)) > WILDCARDS_MAX:
        raise _unusable(text, f"it has more than {WILDCARDS_MAX} wildcards")
    names = [name for name in text.split("/") if name]
    fixed = next(number for number, name in enumerate(names) if any(sign in name for sign in "*?["))
    start = check("/".join(names[:fixed]).encode(), allow_root=True)
    expression = _expression("/".join(names)) + "(?:/.*)?"
    try:
        return Pattern(text, start, expression, re.compile(expression, re.DOTALL))
    except re.error as error:
        raise _unusable(text, str(error)) from error


def _expression(glob: str) -> str:
    """`*` and `?` stay within a name, `**` does not, `[abc]` is one of these characters."""
    text = glob.encode().decode("latin-1")
    out, at = "", 0
    while at < len(text):
        if text.startswith("**/", at):
            out, at = out + "(?:.*/)?", at + 3
        elif text.startswith("**", at):
            out, at = out + ".*", at + 2
        elif text[at] == "*":
            out, at = out + "[^/]*", at + 1
        elif text[at] == "?":
            out, at = out + _ONE, at + 1
        elif text[at] == "[":
            part, at = _one_of(glob, text, at)
            out += part
        else:
            out, at = out + _literal(text[at]), at + 1
    return out


def _one_of(glob: str, text: str, at: int) -> tuple[str, int]:
    end = text.find("]", at + 2)
    inside = text[at + 1 : end]
    if end < 0 or not re.fullmatch(r"[!^]?[A-Za-z0-9_.,~-]+", inside):
        raise _unusable(
            glob, "between [ and ] stand letters, digits and . _ , ~ - of ASCII, after ! all others are meant"
        )
    if inside[0] in "!^":
        return f"[^/{_members(inside[1:])}]", end + 1
    return f"[{_members(inside)}]", end + 1


def _members(inside: str) -> str:
    """A range stays one; a `-` at an end is itself, and goes last."""
    rest = inside.strip("-")
    return rest + ("-" if rest != inside else "")


def _literal(sign: str) -> str:
    return sign if sign.isalnum() or ord(sign) > 127 or sign == "/" else "\\" + sign


def _unusable(text: str, why: str) -> InvalidRequest:
    message = f"The pattern {text[:100]!r} can not be used: {why}."
    return InvalidRequest(message, fields=[{"field": "pattern", "message": why}])
