"""What `sync --delete` will take away: gathered until all has travelled, and counted for the brake."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator

IN_MEMORY = 64 * 1024
"""Bytes. What is more lies in a temporary file: memory does not grow with the list."""


class Doomed:
    """Relative paths and their kinds, in order."""

    def __init__(self) -> None:
        self._kept = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  (it ends with this)
        self._count = 0

    def add(self, relative: str, kind: str) -> None:
        """Any name is one line: JSON escapes what is not ASCII."""
        self._kept.write(json.dumps([relative, kind]).encode("ascii") + b"\n")
        self._count += 1

    def __del__(self) -> None:
        self._kept.close()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[str, str]]:
        self._kept.seek(0)
        for line in self._kept:
            relative, kind = json.loads(line)
            yield relative, kind
