"""Folders up and down: directory by directory, files side by side."""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from filestore_sdk import errors, paths
from filestore_sdk.cli import rows
from filestore_sdk.cli.addresses import Remote
from filestore_sdk.cli.doomed import Doomed
from filestore_sdk.cli.folders import Side, Step, compare, local_entries
from filestore_sdk.cli.output import size
from filestore_sdk.cli.progress import Progress
from filestore_sdk.cli.resume import send_large
from filestore_sdk.half_written import sweep

if TYPE_CHECKING:
    from filestore_sdk._sync.client import Client

Call = Callable[[], rows.Row]
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
    through: int = 0
    """Bytes of all files that are as they should be by now"""
    since: float = field(default_factory=time.monotonic)

    def count(self, row: rows.Row) -> None:
        if row["action"] == "send":
            self.sent += 1
            self.bytes += row["sizeBytes"] or 0
            self.through += row["sizeBytes"] or 0
        if row["action"] == "skip" and row["reason"] == "the same":
            self.same += 1
            self.through += row["sizeBytes"] or 0
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
        self.doomed = Doomed()
        """What `--delete` would take away."""

    def carry(
        self, way: str, folder: str, at: Remote, *, dry_run: bool, delete: bool, tally: Tally, progress: Progress
    ) -> Iterator[rows.Row]:
        """Make one tree like the other, and tell each step as it is done."""
        if not dry_run:
            self._root(way, folder, at)
        for row in self._flown(self._calls(way, folder, at, delete=delete, dry_run=dry_run)):
            if row["action"] != "delete":  # these are only shown
                tally.count(row)
            yield row
            progress(tally.sent + tally.same, tally.through)

    def _calls(self, way: str, folder: str, at: Remote, *, delete: bool, dry_run: bool) -> Iterator[Call | rows.Row]:
        """What is still to be done, and what is known by now."""
        for relative, step in self._steps(way, folder, at, delete=delete, dry_run=dry_run):
            if step.action == "delete":
                self.doomed.add(relative, step.reason or "")
                if dry_run:
                    yield rows.transferred("delete", relative, step.size, step.reason)
            elif step.action != "send" or dry_run:
                yield rows.transferred(step.action, relative, step.size, step.reason)
            else:
                yield partial(self._carried, way, folder, at, relative, step)

    def _flown(self, calls: Iterator[Call | rows.Row]) -> Iterator[rows.Row]:
        """Calls are made side by side, and told in their order; what is known already is told at once."""
        flying: deque[Future[rows.Row]] = deque()
        with ThreadPoolExecutor(self.at_once) as pool:
            try:
                for call in calls:
                    if not callable(call):
                        yield call
                        continue
                    flying.append(pool.submit(call))
                    while len(flying) >= self.at_once * WAITING or (flying and flying[0].done()):
                        yield flying.popleft().result()
                while flying:
                    yield flying.popleft().result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

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
            deeper, coming = list[str](), list[str]()
            for step in compare(source, target, delete=delete):
                relative = paths.join(below, step.name)
                if step.action == "mkdir" and not dry_run:
                    step = self._made(way, folder, at, relative, step)
                if step.action in ("mkdir", "skip") and source.get(step.name) and source[step.name].kind == "directory":
                    deeper.append(relative)
                if step.action == "delete":
                    step = Step("delete", step.name, step.size, target[step.name].kind)
                if step.action == "send":
                    coming.append(step.name)
                yield relative, step
            if way == "down" and not dry_run:
                sweep(os.path.join(folder, below), list(here), coming)
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
            return {one.name: Side(one.kind, one.size_bytes, _known(one.content_hash), one) for one in found}
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
                self._fetch(to, file, step)
        except (errors.FilestoreError, OSError) as error:
            code = error.code if isinstance(error, errors.FilestoreError) else type(error).__name__
            return rows.transferred("fail", relative, step.size, code, str(error))
        return rows.transferred("send", relative, step.size, step.reason)

    def _fetch(self, at: Remote, file: str, step: Step) -> None:
        """As it was listed: one request. Where it is another one by now, as it is."""
        try:
            self.client.fetch(step.node, file, at_once=1)
        except (errors.VersionConflict, errors.Missing):
            self.client.get(at.mount, at.path, file, at_once=1)

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
        for row in self._flown(partial(self._deleted, way, folder, at, *one) for one in self.doomed):
            tally.count(row)
            yield row

    def _deleted(self, way: str, folder: str, at: Remote, relative: str, kind: str) -> rows.Row:
        try:
            if way == "up":
                self.client.delete(at.mount, paths.join(at.path, relative), recursive=True)
            elif kind == "directory":
                shutil.rmtree(os.path.join(folder, relative))
            else:
                os.unlink(os.path.join(folder, relative))
        except (errors.FilestoreError, OSError) as error:
            return rows.transferred("fail", relative, None, kind, str(error))
        return rows.transferred("delete", relative, None, kind)


def _known(digest: str | None) -> Callable[[], str | None]:
    return lambda: digest
