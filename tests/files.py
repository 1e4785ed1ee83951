"""Folders in which something goes on while a test looks at them."""

import os
from collections.abc import Iterator
from pathlib import Path


def paths_in(folder: Path) -> Iterator[Path]:
    """All below it, as far as it is still there: `Path.rglob` fails where a directory goes meanwhile."""
    for top, directories, files in os.walk(folder):
        yield from (Path(top) / name for name in [*directories, *files])
