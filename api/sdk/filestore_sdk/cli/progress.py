"""What is seen while bytes travel: files, bytes, rate and time left on a terminal; nothing elsewhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from filestore_sdk import errors, paths
from filestore_sdk.cli.output import Output

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

Progress = Callable[[int, int], None]
"""Called with what is done and with the whole"""
Size = tuple[int, int]
"""Files and bytes"""


@contextmanager
def of_file(out: Output, total: int | None, name: str) -> Iterator[Progress]:
    """Called with bytes."""
    if not out.bars:
        yield lambda done, whole: None
        return
    with _bar() as bar:
        task = bar.add_task(paths.shown(name), total=total, files="")
        yield lambda done, whole: bar.update(task, completed=done)


@contextmanager
def of_folder(out: Output, name: str, whole: Callable[[], Size]) -> Iterator[Progress]:
    """Called with the files and the bytes that are through. `whole` is asked beside the transfer: a large folder takes its
    time, and until it is known there is no time left to show."""
    if not out.bars:
        yield lambda files, through: None
        return
    with _bar() as bar:
        task = bar.add_task(paths.shown(name), total=None, files="")
        known: list[int] = []

        def count() -> None:
            with suppress(errors.FilestoreError):  # the transfer itself says what is wrong
                files, size = whole()
                known.append(files)
                bar.update(task, total=size)

        def show(files: int, through: int) -> None:
            told = f"{files}/{known[0]} files" if known else f"{files} files"
            bar.update(task, completed=through, files=told)

        threading.Thread(target=count, daemon=True).start()
        yield show


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns: list[Any] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[files]}", markup=False),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    ]
    return Bar(*columns, console=Console(stderr=True), transient=True)


def size_of(folder: str) -> Size:
    """Of all below a local folder, as far as it can be read."""
    files = size = 0
    pending = [folder]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        files, size = files + 1, size + entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return files, size
