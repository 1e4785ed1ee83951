"""What is printed: results on stdout, everything else on stderr; JSON where it is asked for, never with decoration."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from filestore_sdk import paths

Row = Mapping[str, Any]


class Output:
    """`form`: `text`, `json` (one value) or `jsonl` (a line for each result). `zero`: names end with NUL, not a new line."""

    def __init__(self, form: str = "text", *, quiet: bool = False, zero: bool = False) -> None:
        self.form = form
        self.quiet = quiet
        self.zero = zero

    @property
    def on_terminal(self) -> bool:
        return self.form == "text" and sys.stdout.isatty()

    @property
    def bars(self) -> bool:
        return not self.quiet and self.form == "text" and sys.stderr.isatty()

    @property
    def colour(self) -> bool:
        return self.on_terminal and not os.environ.get("NO_COLOR")

    def rows(self, rows: Iterable[Row], line: Callable[[Row], str]) -> int:
        """A list of results, each as it comes; how many they were. In JSON it is one document, whole also where it breaks off."""
        if self.form == "json":
            return self._array(rows)
        count = 0
        for row in rows:
            count += 1
            if self.form == "jsonl":
                self.document(row)
            else:
                self.line(line(row))
        return count

    @staticmethod
    def _array(rows: Iterable[Row]) -> int:
        count = 0
        sys.stdout.write("[")
        try:
            for row in rows:
                sys.stdout.write((",\n " if count else "") + _dumped(row))
                count += 1
        finally:
            sys.stdout.write("]\n")
        return count

    def row(self, row: Row, text: Callable[[Row], str]) -> None:
        """A single result."""
        if self.form == "text":
            self.line(text(row))
        else:
            self.document(row)

    def document(self, value: Any) -> None:
        print(_dumped(value), flush=self.form == "jsonl")

    def line(self, text: str) -> None:
        sys.stdout.write(text + ("\0" if self.zero else "\n"))

    def name(self, path: str) -> str:
        """A path in a line: exact before NUL and in pipes, printable on a terminal."""
        if self.zero or not self.on_terminal:
            return path if self.zero or path.isprintable() else paths.shown(path)
        return paths.shown(path)

    def say(self, text: str) -> None:
        """Chatter."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def named(field: str, path: str | None) -> dict[str, Any]:
    """A path in JSON: text, and the bytes of it where they are no text."""
    if path is None:
        return {field: None}
    try:
        path.encode("utf-8")
        return {field: path}
    except UnicodeEncodeError:
        exact = paths.exact(path)
        return {field: exact.decode("utf-8", "replace"), f"{field}B64": base64.b64encode(exact).decode()}


def _dumped(value: Any) -> str:
    return json.dumps(value, default=_json, ensure_ascii=False)


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def size(count: float | None) -> str:
    """Bytes for people: 1.2 MiB."""
    if count is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(count) < 1024 or unit == "TiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""


def moment(value: datetime | None) -> str:
    return value.astimezone().strftime("%Y-%m-%d %H:%M") if value else "-"
