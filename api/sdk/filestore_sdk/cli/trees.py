"""Folders up and down: directory by directory, files side by side."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from filestore_sdk import errors, paths
from filestore_sdk.cli import rows
from filestore_sdk.cli.addresses import Remote
from filestore_sdk.cli.folders import Side, Step, compare, local_entries
from filestore_sdk.cli.output import Output, size
from filestore_sdk.cli.resume import send_large

if TYPE_CHECKING:
    from filestore_sdk._sync.client import Client

Progress = Callable[[int, int], None]
LARGE = 8 * 1024 * 1024
WAITING = 4
"""Files that may wait for a turn, for each that travels: memory does not grow with the tree."""


@dataclass
class Tally:
    sent: int = 0
    same: int = 0
    failed: int = 0
    deleted: int = 0
    bytes: int = 0
    since: float = field(default_factory=time.monotonic)

    def count(self, row: rows.Row) -> None:
        if row["action"] == "send":
            self.sent += 1
            self.bytes += row["sizeBytes"] or 0
        self.same += row["action"] == "skip" and row["reason"] == "the same"
        self.failed += row["action"] == "fail"
        self.deleted += row["action"] == "delete"

    def __str__(self) -> str:
        took = max(time.monotonic() - self.since, 1e-6)
        rate = f"{size(self.bytes)} in {took:.1f} s ({size(self.bytes / took)}/s)"
        return f"{self.sent} sent, {self.same} the same, {self.deleted} deleted, {self.failed} failed; {rate}"


class Trees:
    def __init__(self, client: Client, at_once: int) -> None:
        self.client = client
        self.at_once = at_once
        self.doomed: list[tuple[str, str]] = []
        """Relative paths and kinds that `--delete` would take away."""

    def carry(
        self, way: str, folder: str, at: Remote, *, dry_run: bool, delete: bool, tally: Tally, progress: Progress
    ) -> Iterator[rows.Row]:
        """Make one tree like the other, and tell each step as it is done."""
        if not dry_run:
            self._root(way, folder, at)
        with ThreadPoolExecutor(self.at_once) as pool:
            flying: list[Future[rows.Row]] = []
            try:
                for relative, step in self._steps(way, folder, at, delete=delete, dry_run=dry_run):
                    if step.action == "delete":
                        self.doomed.append((relative, step.reason or ""))
                        if dry_run:
                            yield rows.transferred("delete", relative, step.size, step.reason)
                        continue
                    if step.action != "send" or dry_run:
                        yield self._told(rows.transferred(step.action, relative, step.size, step.reason), tally)
                        continue
                    flying.append(pool.submit(self._carried, way, folder, at, relative, step))
                    while len(flying) >= self.at_once * WAITING or (flying and flying[0].done()):
                        yield self._told(flying.pop(0).result(), tally)
                        progress(tally.bytes, 0)
                while flying:
                    yield self._told(flying.pop(0).result(), tally)
                    progress(tally.bytes, 0)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    @staticmethod
    def _told(row: rows.Row, tally: Tally) -> rows.Row:
        tally.count(row)
        return row

    def _root(self, way: str, folder: str, at: Remote) -> None:
        if way == "down":
            os.makedirs(folder, exist_ok=True)
        elif at.path:
            self.client.makedirs(at.mount, at.path)

    def _steps(self, way: str, folder: str, at: Remote, *, delete: bool, dry_run: bool) -> Iterator[tuple[str, Step]]:
        pending = [""]
        while pending:
            below = pending.pop()
            here = self._local(folder, below, may_lack=way == "down")
            there = self._remote(at, below, may_lack=way == "up")
            source, target = (here, there) if way == "up" else (there, here)
            deeper: list[str] = []
            for step in compare(source, target, delete=delete):
                relative = paths.join(below, step.name)
                if step.action == "mkdir" and not dry_run:
                    step = self._made(way, folder, at, relative, step)
                if step.action in ("mkdir", "skip") and source.get(step.name) and source[step.name].kind == "directory":
                    deeper.append(relative)
                if step.action == "delete":
                    step = Step("delete", step.name, step.size, target[step.name].kind)
                yield relative, step
            pending += reversed(deeper)

    def _made(self, way: str, folder: str, at: Remote, relative: str, step: Step) -> Step:
        try:
            if way == "up":
                self.client.mkdir(at.mount, paths.join(at.path, relative), exist_ok=True)
            else:
                os.mkdir(os.path.join(folder, relative))
        except (errors.FilestoreError, OSError) as error:
            return Step("fail", step.name, None, str(error))
        return step

    def _local(self, folder: str, below: str, *, may_lack: bool) -> dict[str, Side]:
        try:
            return local_entries(os.path.join(folder, below))
        except FileNotFoundError:
            if may_lack:
                return {}
            raise

    def _remote(self, at: Remote, below: str, *, may_lack: bool) -> dict[str, Side]:
        try:
            found = self.client.children(at.mount, paths.join(at.path, below))
            return {one.name: Side(one.kind, one.size_bytes, _known(one.content_hash)) for one in found}
        except errors.NodeNotFound:
            if may_lack:
                return {}
            raise

    def _carried(self, way: str, folder: str, at: Remote, relative: str, step: Step) -> rows.Row:
        file = os.path.join(folder, relative)
        to = Remote(at.mount, paths.join(at.path, relative))
        try:
            if way == "up":
                self.send(file, to, step.size or 0, overwrite=True)
            else:
                self.client.get(to.mount, to.path, file, at_once=1)
        except (errors.FilestoreError, OSError) as error:
            code = error.code if isinstance(error, errors.FilestoreError) else type(error).__name__
            return rows.transferred("fail", relative, step.size, code, str(error))
        return rows.transferred("send", relative, step.size, step.reason)

    def send(
        self,
        file: str,
        to: Remote,
        length: int,
        *,
        overwrite: bool,
        parents: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """One file; a large one as an upload that the next call goes on with."""
        if length > LARGE:
            if parents and (above := paths.parent(to.path)):
                self.client.makedirs(to.mount, above)
            send_large(self.client, to, file, overwrite=overwrite, progress=progress)
            return
        with open(file, "rb") as opened:
            self.client.put(to.mount, to.path, opened, overwrite=overwrite, parents=parents, progress=progress)

    def delete(self, way: str, folder: str, at: Remote, tally: Tally) -> Iterator[rows.Row]:
        """Take away what the source has not, each with all below it."""
        for relative, kind in self.doomed:
            try:
                if way == "up":
                    self.client.delete(at.mount, paths.join(at.path, relative), recursive=True)
                elif kind == "directory":
                    shutil.rmtree(os.path.join(folder, relative))
                else:
                    os.unlink(os.path.join(folder, relative))
                row = rows.transferred("delete", relative, None, kind)
            except (errors.FilestoreError, OSError) as error:
                row = rows.transferred("fail", relative, None, kind, str(error))
            tally.count(row)
            yield row


def _known(digest: str | None) -> Callable[[], str | None]:
    return lambda: digest


@contextmanager
def progress_of(out: Output, total: int | None, name: str) -> Iterator[Progress]:
    """A bar with rate and time left on a terminal; nothing elsewhere."""
    if not out.bars:
        yield lambda done, whole: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns: list[Any] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    ]
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(paths.shown(name), total=total)
        yield lambda done, whole: bar.update(task, completed=done)
