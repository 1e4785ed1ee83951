"""Paths as programs have them, and as the wire has them.

A name is bytes. In Python it is a str as `os.fsdecode` makes it: what is not UTF-8 becomes surrogate escapes, and goes back to
the same bytes. The wire takes text, or `<field>B64` for bytes that are not UTF-8.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath
from typing import Any

from filestore_sdk.errors import InvalidPath

AnyPath = str | bytes | PurePosixPath


def exact(path: AnyPath) -> bytes:
    """The bytes of a path. Raises InvalidPath for a path of another system, and for text that no bytes stand behind."""
    if isinstance(path, PurePath) and not isinstance(path, PurePosixPath):
        raise InvalidPath(f"{path!r} is a path of another system. Give a str, bytes or a PurePosixPath.")
    if isinstance(path, bytes):
        return path
    try:
        return str(path).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidPath(f"{path!r} contains a lone surrogate, which no file name can hold.") from error


def text(path: AnyPath) -> str:
    """As a str that keeps every byte, without slashes at its ends."""
    return exact(path).strip(b"/").decode("utf-8", "surrogateescape")


def wire(path: AnyPath, field: str = "path") -> dict[str, str]:
    """The field of a request: `{"path": ...}`, or `{"pathB64": ...}` where the bytes are no text."""
    name = exact(path)
    try:
        return {field: name.decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{field}B64": base64.b64encode(name).decode()}


def from_wire(document: Mapping[str, Any], field: str = "path") -> str | None:
    """The path in an answer, with every byte of it."""
    if isinstance(encoded := document.get(f"{field}B64"), str):
        return base64.b64decode(encoded).decode("utf-8", "surrogateescape")
    value = document.get(field)
    return value if isinstance(value, str) else None


def join(*parts: AnyPath) -> str:
    return "/".join(part for part in map(text, parts) if part)


def parent(path: AnyPath) -> str:
    return text(path).rpartition("/")[0]


def name(path: AnyPath) -> str:
    return text(path).rpartition("/")[2]


def shown(path: AnyPath) -> str:
    """For people: never a control character, never two lines; bytes that are no text as `\\xNN`."""
    raw = exact(path).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in raw)
