"""The executor in dictionaries: its mount, its stages, what follows a step, and reading."""

import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from activities.executors.contract.executor import SCAN_MOST, Fetch
from activities.executors.contract.identity import Identity
from activities.executors.contract.listing import Entry, ScanPage, Seen, SeenFolder
from activities.executors.contract.stage import Copied, Draft, Source, Stage
from activities.executors.contract.task import Done, Refused, Result, Step, Task
from activities.executors.memory.attempt import NO_FOLDER, NO_PARENT, MemoryAttempt
from activities.executors.memory.copy import copied
from activities.executors.memory.handles import MemoryContent, MemoryLocks, MemoryWriter
from activities.executors.memory.reversal import reverse
from activities.executors.memory.tree import Folder, MemoryNode, Place, cut, ticks
from schema.errors import ContentExpired, MountOffline, NodeNotFound, NotADirectory
from schema.ids import CommandId
from schema.paths import NodePath


class MemoryExecutor:
    """`tree`, `stage` and `trash` are open: a test changes them as another program would."""

    width = 1

    def __init__(self) -> None:
        self.online = True
        self.tree: Folder = {}
        self.stage: Folder = {}
        self.trash: Folder = {}
        self.guard = threading.RLock()
        self._held: dict[CommandId, MemoryLocks] = {}

    def check(self) -> None:
        if not self.online:
            raise MountOffline()

    # -- what every step is made of ------------------------------------------------------------------------------------

    def look(self, place: Place) -> Identity | None:
        folder, name = place
        node = folder.get(name)
        return node.identity if node else None

    def move(self, source: Place, target: Place, exchange: bool = False) -> None:
        """Never onto something. Raises FileNotFoundError and FileExistsError, as a disk does."""
        (here, name), (there, new) = source, target
        with self.guard:
            if name not in here or (exchange and new not in there):
                raise FileNotFoundError(name)
            if not exchange and new in there:
                raise FileExistsError(new)
            moved, other = cut(here, name), cut(there, new) if exchange else {}
            there.update({new + below: node for below, node in moved.items()})
            here.update({name + below: node for below, node in other.items()})
            for node in filter(None, (moved[b""], other.get(b""))):
                node.ctime, node.since = next(ticks), time.monotonic()

    def no_parent(self, path: NodePath) -> Refused | None:
        for folder in path.ancestors()[1:]:
            node = self.tree.get(folder.raw)
            if node is None or node.content is not None:
                return NO_FOLDER if node else NO_PARENT
        return None

    def below(self, place: Place) -> list[MemoryNode]:
        folder, name = place
        with self.guard:
            return [node for path, node in folder.items() if path.startswith(name + b"/")]

    def keep(self, source: Place, task: Task) -> None:
        """Strangers' bytes under our own name, and no place to put them back."""
        day = task.trash.partition("/")[0] if task.trash else "kept"
        for n in itertools.count():
            with suppress(FileExistsError):
                return self.move(source, (self.trash, f"{day}/{task.command}.kept{f'.{n}' * bool(n)}".encode()))

    # -- locks and stages ----------------------------------------------------------------------------------------------

    def locks(self) -> MemoryLocks:
        self.check()
        return MemoryLocks(self._held, self.guard)

    def open_stage(self, stage: CommandId, path: NodePath | None = None) -> MemoryWriter:
        self.check()
        with self.guard:
            if stage.encode() in self.stage:
                raise FileExistsError(stage)
            node = self.stage[stage.encode()] = MemoryNode(b"")
        return MemoryWriter(self.stage, stage, node)

    def seal(self, drafts: Sequence[Draft], written: Sequence[CommandId] = ()) -> list[Stage | Exception]:
        self.check()
        return [self._draft(draft) for draft in drafts]

    def _draft(self, draft: Draft) -> Stage | Exception:
        try:
            writer = self.open_stage(draft.id)
        except FileExistsError as error:
            return error
        if draft.content is None:
            writer.node.content = None
            return Stage(draft.id, writer.node.identity)
        writer.write(draft.content)
        return writer.close()

    def find_stage(self, stage: CommandId) -> Identity | None:
        self.check()
        return self.look((self.stage, stage.encode()))

    def discard_stage(self, stage: CommandId, staged: Identity | None) -> bool:
        own = (self.stage, stage.encode())
        with self.guard:
            found = self.find_stage(stage)
            if found is None:
                return True
            if staged is not None and not staged.same_content(found):
                return False
            if staged is not None and any(node.ctime > staged.ctime for node in self.below(own)):
                return False  # it was visible for a while, and another program put something into it
            cut(*own)
            return True

    def stage_copy(
        self, stage: CommandId, sources: Iterable[Source], fetch: Fetch | None = None, *, goes_on: bool = False
    ) -> Iterator[Copied]:
        self.discard_stage(stage, None)
        last = None
        try:
            for answer in copied(self, stage.encode(), sources, fetch):
                if last is not None:
                    yield last
                last = answer
        except BaseException:
            self.discard_stage(stage, None)
            raise
        if last is not None:
            yield last

    # -- the visible step ----------------------------------------------------------------------------------------------

    def act(self, task: Task) -> Result:
        self.check()
        result = MemoryAttempt(self, task).run()
        # What a replace took out waits in the stage until the record is committed.
        return replace(result, leaves=task.step is Step.REPLACE) if isinstance(result, Done) else result

    def flush(self, tasks: Sequence[Task]) -> None:
        self.check()

    def reverse(self, task: Task) -> Result:
        self.check()
        return reverse(MemoryAttempt(self, task), self.guard)

    def finish(self, task: Task, succeeded: bool) -> None:
        self.check()
        own = (self.stage, (task.stage or "").encode())
        found = self.look(own)
        if found is None:
            return
        if not succeeded and task.stage and task.staged and self.discard_stage(task.stage, task.staged):
            return
        if succeeded and task.trash and task.expected and task.expected.same_inode(found):
            with suppress(FileExistsError):
                return self.move(own, (self.trash, task.trash.encode()))
        self.keep(own, task)

    def purge(self, place: bytes) -> None:
        self.check()
        with self.guard:
            for name in [name for name in self.trash if name == place or name.startswith(place + b"/")]:
                del self.trash[name]

    # -- reading -------------------------------------------------------------------------------------------------------

    def open(self, path: NodePath) -> MemoryContent:
        self.check()
        node = self.tree.get(path.raw)
        if node is None:
            raise NodeNotFound()
        if node.content is None:
            raise NotADirectory("This is not a regular file, so it has no content to read.")
        return MemoryContent(node)

    def open_kept(self, place: bytes) -> MemoryContent:
        self.check()
        node = self.trash.get(place)
        if node is None or node.content is None:
            raise ContentExpired()
        return MemoryContent(node)

    def stages(self) -> Iterator[tuple[CommandId, float]]:
        self.check()
        for name, node in list(self.stage.items()):
            if b"/" not in name:
                yield CommandId(name.decode()), time.monotonic() - node.since

    def walk(self) -> Iterator[Entry]:
        self.check()
        with self.guard:
            nodes = sorted((name, node.identity) for name, node in self.tree.items())
        for name, found in nodes:
            yield Entry(NodePath(name), found, "directory" if found.directory else "file")
        self.check()

    def scan(self, path: NodePath, after: bytes = b"", most: int = SCAN_MOST) -> Iterator[ScanPage]:
        """A cursor is the last name that was told. Each page is of its own moment."""
        self.check()
        way = [folder.raw for folder in [*path.ancestors()[1:], path] if folder.raw]
        if path.raw and path.raw not in self.tree:
            raise NodeNotFound()
        while True:
            self.check()
            with self.guard:
                names = [name for name in self.tree if name > after and (name in way or NodePath(name).is_below(path))]
                page = [self._seen(name) for name in sorted(names)[:most]]
            if not page:
                break
            after = page[-1].path
            yield ScanPage(page, after)
        with self.guard:
            inside = [name for name in self.tree if name == path.raw or NodePath(name).is_below(path)]
            folders = [
                SeenFolder(seen.path, seen.facts, True) for seen in map(self._seen, inside) if seen.kind == "directory"
            ]
        top = [] if path.raw else [SeenFolder(b"", tuple(MemoryNode(None, 0, 0, 0).identity.facts()), True)]
        yield ScanPage((), after, [*top, *folders])

    def kinds_at(self, path: NodePath) -> Sequence[str]:
        self.check()
        with self.guard:
            found = self.tree.get(path.raw)
        return [] if found is None else ["directory" if found.identity.directory else "file"]

    def _seen(self, name: bytes) -> Seen:
        found = self.tree[name].identity
        return Seen(name, "directory" if found.directory else "file", tuple(found.facts()))
