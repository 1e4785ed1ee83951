"""The contract in dictionaries, for tests and for embedding. Nothing survives the process, so nothing needs a flush.

Its decisions are those of every executor (docs/command-protocol.md); it is the shortest place to read them.
"""

import hashlib
import itertools
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from activities.executors.base import Done, Draft, Entry, Identity, Refused, Result, Stage, Step, Task, Unclear
from schema import faults
from schema.errors import MountOffline, NodeNotFound, NotADirectory
from schema.ids import CommandId
from schema.paths import NodePath

_ticks = itertools.count(1)
ROUNDS = 8

_BUSY = Refused("PATH_BUSY", "The path changed each time it was looked at. Try again shortly with the same key.")
_NO_PARENT = Refused("PARENT_NOT_FOUND", "The parent directory is not there, whatever the record says. Reconcile it.")
_NO_FOLDER = Refused("NOT_A_DIRECTORY", "A parent directory is a file. Reconcile it.")
_TAKEN = Refused("NODE_EXISTS", "The name is taken by something Filestore does not know; it was not touched.")
_VANISHED = Refused("NODE_NOT_FOUND", "It is no longer there: somebody removed it behind Filestore's back.")
_CHANGED = Refused("VERSION_CONFLICT", "It was changed behind Filestore's back, and is untouched. Reconcile it.")
_NOT_EMPTY = Refused("CHILDREN_EXIST", "The directory is not empty. It is untouched; reconcile it.")
_LOST = Refused("STAGE_LOST", "The staged content is gone or was changed. Send the same key and content again.")


@dataclass(slots=True, eq=False)
class Node:
    """A file, or a directory (`content` is None). Every touch of it has a time of its own."""

    content: bytes | None
    inode: int = field(default_factory=lambda: next(_ticks))
    mtime: int = field(default_factory=lambda: next(_ticks))
    ctime: int = field(default_factory=lambda: next(_ticks))
    since: float = field(default_factory=time.monotonic)

    def write(self, content: bytes) -> None:
        """In place, as an editor does."""
        self.content, self.mtime, self.ctime = content, next(_ticks), next(_ticks)

    @property
    def identity(self) -> Identity:
        directory = self.content is None
        mode = stat.S_IFDIR | 0o755 if directory else stat.S_IFREG | 0o644
        size = len(self.content or b"")
        return Identity(0, self.inode, self.inode, size, self.mtime, self.ctime, directory, mode)


Folder = dict[bytes, Node]
Place = tuple[Folder, bytes]


class MemoryExecutor:
    """`tree` (by path), `stage` and `trash` (by name) are open: a test plays the stranger who changes them."""

    def __init__(self) -> None:
        self.online = True
        self.tree: Folder = {}
        self.stage: Folder = {}
        self.trash: Folder = {}
        self.guard = threading.RLock()
        self._held: dict[CommandId, _Locks] = {}

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
            moved = here.pop(name)
            if exchange:
                here[name] = there[new]
            there[new] = moved
            for node in (moved, here.get(name)):
                if node:
                    node.ctime, node.since = next(_ticks), time.monotonic()

    def no_parent(self, path: NodePath) -> Refused | None:
        for folder in path.ancestors()[1:]:
            node = self.tree.get(folder.raw)
            if node is None or node.content is not None:
                return _NO_FOLDER if node else _NO_PARENT
        return None

    def has_children(self, path: NodePath) -> bool:
        with self.guard:
            return any(name.startswith(path.as_directory) for name in self.tree)

    def keep(self, source: Place, task: Task) -> None:
        """Strangers' bytes under our own name, and no place to put them back."""
        day = task.trash.partition("/")[0] if task.trash else "kept"
        for n in itertools.count():
            with suppress(FileExistsError):
                return self.move(source, (self.trash, f"{day}/{task.command}.kept{f'.{n}' * bool(n)}".encode()))

    # -- locks and stages ----------------------------------------------------------------------------------------------

    def locks(self) -> "_Locks":
        self.check()
        return _Locks(self._held, self.guard)

    def open_stage(self, stage: CommandId) -> "_Writer":
        self.check()
        with self.guard:
            if stage.encode() in self.stage:
                raise FileExistsError(stage)
            node = self.stage[stage.encode()] = Node(b"")
        return _Writer(self, stage, node)

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
        with self.guard:
            found = self.find_stage(stage)
            if found is not None and staged is not None and not staged.same_content(found):
                return False
            self.stage.pop(stage.encode(), None)
            return True

    # -- the visible step ----------------------------------------------------------------------------------------------

    def act(self, task: Task) -> Result:
        self.check()
        return _Attempt(self, task).run()

    def flush(self, tasks: Sequence[Task]) -> None:
        self.check()

    def reverse(self, task: Task) -> Result:
        self.check()
        return _Attempt(self, task).reverse()

    def finish(self, task: Task, succeeded: bool) -> None:
        self.check()
        own = (self.stage, (task.stage or "").encode())
        found = self.look(own)
        if found is None:
            return
        if not succeeded and task.staged and task.staged.same_content(found):
            self.stage.pop(own[1])
            return
        if succeeded and task.trash and task.expected and task.expected.same_inode(found):
            with suppress(FileExistsError):
                return self.move(own, (self.trash, task.trash.encode()))
        self.keep(own, task)

    # -- reading -------------------------------------------------------------------------------------------------------

    def open(self, path: NodePath) -> "_Content":
        self.check()
        node = self.tree.get(path.raw)
        if node is None:
            raise NodeNotFound()
        if node.content is None:
            raise NotADirectory("This is not a regular file, so it has no content to read.")
        return _Content(node)

    def stages(self) -> Iterator[tuple[CommandId, float]]:
        self.check()
        for name, node in list(self.stage.items()):
            yield CommandId(name.decode()), time.monotonic() - node.since

    def walk(self) -> Iterator[Entry]:
        self.check()
        with self.guard:
            nodes = sorted((name, node.identity) for name, node in self.tree.items())
        for name, found in nodes:
            yield Entry(NodePath(name), found, "directory" if found.directory else "file")
        self.check()


class _Attempt:
    """One execution of one visible step. `own` is the name only this command uses, `there` is the target."""

    def __init__(self, executor: MemoryExecutor, task: Task) -> None:
        self.executor, self.task = executor, task
        self.look, self.move = executor.look, executor.move
        stays = task.step is not Step.DELETE
        self.own: Place = (executor.stage, (task.stage or "").encode()) if stays else (executor.trash, _trash(task))
        self.there: Place = (executor.tree, task.path.raw)

    def run(self) -> Result:
        steps = {Step.CREATE: self.create, Step.REPLACE: self.replace, Step.DELETE: self.delete}
        for _ in range(ROUNDS):
            with suppress(FileNotFoundError):
                return steps[self.task.step]()
        return _BUSY

    @property
    def staged(self) -> Identity:
        assert self.task.staged, "the intent says what was staged"
        return self.task.staged

    @property
    def expected(self) -> Identity:
        assert self.task.expected, "the intent says what is expected"
        return self.task.expected

    def create(self) -> Result:
        own = self.look(self.own)
        if self.staged.same_inode(own):
            return self.not_ready(own) or self.take(self.own, self.there) or self.arrived(recognised=False)
        if self.staged.same_inode(self.look(self.there)) or (own is None and self.task.attempt > 1):
            return self.arrived(recognised=True)
        return _LOST if self.task.attempt == 1 else Unclear("Something unknown lies under the name of the stage.")

    def replace(self) -> Result:
        own = self.look(self.own)
        recognised = not self.staged.same_inode(own)
        if not recognised:
            refused = self.not_ready(own) or self.unexpected() or self.take(self.own, self.there, exchange=True)
            if refused:
                return refused
            own = self.look(self.own)
        if self.expected.same_content(own):
            return self.arrived(recognised)
        if own is not None:
            return self.undo(_CHANGED)
        found = self.look(self.there)
        drift = "The replaced content was removed from the stage by somebody."
        return Done(found, recognised=True, drift=drift) if self.staged.same_inode(found) else _LOST

    def delete(self) -> Result:
        out = self.look(self.own)
        recognised = out is not None
        if not recognised:
            refused = self.unexpected() or self.not_empty() or self.take(self.there, self.own)
            if refused:
                return refused
            out = self.look(self.own)
        if out is None:
            return Unclear("What was deleted was taken out of the trash before it could be looked at.")
        refused = self.not_empty() if self.expected.same_content(out) else _CHANGED
        if refused:
            return self.undo(refused)
        taken = recognised and self.look(self.there) is not None
        return Done(None, recognised, drift="Somebody has put something at this name since." if taken else None)

    def not_ready(self, own: Identity | None) -> Refused | None:
        return self.executor.no_parent(self.task.path) if self.staged.same_content(own) else _LOST

    def unexpected(self) -> Refused | None:
        found = self.look(self.there)
        if found is None:
            return self.executor.no_parent(self.task.path) or _VANISHED
        untouched = found.directory or self.task.attempt > 1 or found.ctime == self.expected.ctime
        return None if self.expected.same_content(found) and untouched else _CHANGED

    def not_empty(self) -> Refused | None:
        return _NOT_EMPTY if self.expected.directory and self.executor.has_children(self.task.path) else None

    def take(self, source: Place, target: Place, exchange: bool = False) -> Refused | None:
        """The visible step. None: taken."""
        faults.reach("apply.act", self.task.path.text)
        try:
            self.move(source, target, exchange)
        except FileExistsError as error:
            if self.task.step is Step.DELETE:
                raise FileNotFoundError("the trash has it meanwhile: look again") from error
            return _TAKEN
        faults.reach("apply.acted", self.task.path.text)
        return None

    def arrived(self, recognised: bool) -> Done:
        """Our file is at the target. What somebody made of it since is drift, and never recorded as ours."""
        found = self.look(self.there)
        if found is not None and self.staged.same_content(found):
            return Done(found, recognised)
        return Done(self.staged, recognised, drift="Somebody has changed or removed it since.")

    def undo(self, refused: Refused) -> Result:
        """Strangers' bytes lie under our own name: back to their place, or kept in the trash."""
        for _ in range(ROUNDS):
            with suppress(FileNotFoundError, FileExistsError):
                self.put_back()
                return refused
        return Unclear("Strangers' bytes could not be put back: the path kept changing.")

    def put_back(self) -> None:
        found = self.look(self.there)
        if found is None and not self.executor.no_parent(self.task.path):
            self.move(self.own, self.there)
        elif self.task.step is Step.REPLACE and self.staged.same_inode(found):
            self.move(self.own, self.there, exchange=True)
        else:
            self.executor.keep(self.own, self.task)

    def reverse(self) -> Result:
        with self.executor.guard:
            own, found = self.look(self.own), self.look(self.there)
            if self.is_before(own, found):
                return Done(found, recognised=True)
            if not self.is_after(own, found):
                return Unclear("Somebody has been there since, so the step was not taken back.")
            if self.task.step is Step.CREATE:
                self.move(self.there, self.own)
            else:
                self.move(self.own, self.there, exchange=self.task.step is Step.REPLACE)
            return Done(self.look(self.there))

    def is_before(self, own: Identity | None, found: Identity | None) -> bool:
        match self.task.step:
            case Step.CREATE:
                return self.staged.same_content(own)
            case Step.REPLACE:
                return self.staged.same_content(own) and self.expected.same_content(found)
            case Step.DELETE:
                return own is None and self.expected.same_content(found)

    def is_after(self, own: Identity | None, found: Identity | None) -> bool:
        match self.task.step:
            case Step.CREATE:
                filled = self.staged.directory and self.executor.has_children(self.task.path)
                return own is None and self.staged.same_content(found) and not filled
            case Step.REPLACE:
                return self.expected.same_content(own) and self.staged.same_content(found)
            case Step.DELETE:
                return self.expected.same_content(own) and found is None


def _trash(task: Task) -> bytes:
    assert task.trash, "the intent says where in the trash"
    return task.trash.encode()


class _Writer:
    def __init__(self, executor: MemoryExecutor, stage: CommandId, node: Node) -> None:
        self.node = node
        self._executor, self._id, self._parts, self._open = executor, stage, list[bytes](), True

    def write(self, chunk: bytes) -> None:
        self._parts.append(bytes(chunk))
        self.node.since = time.monotonic()

    def close(self) -> Stage:
        content = b"".join(self._parts)
        self.node.write(content)
        self._open = False
        return Stage(self._id, self.node.identity, hashlib.sha256(content).digest())

    def abort(self) -> None:
        if self._open:
            self._open = False
            self._executor.stage.pop(self._id.encode(), None)


class _Locks:
    def __init__(self, held: "dict[CommandId, _Locks]", guard: threading.RLock) -> None:
        self._held, self._guard = held, guard

    def take(self, command: CommandId) -> bool:
        with self._guard:
            return self._held.setdefault(command, self) is self

    def release(self, command: CommandId) -> None:
        with self._guard:
            if self._held.get(command) is self:
                del self._held[command]

    def close(self) -> None:
        with self._guard:
            for command in [command for command, holder in self._held.items() if holder is self]:
                del self._held[command]


class _Content:
    def __init__(self, node: Node) -> None:
        self._node, self.identity = node, node.identity

    def read(self, offset: int, length: int) -> bytes:
        return (self._node.content or b"")[offset : offset + length]

    def unchanged(self) -> bool:
        return self.identity.same_content(self._node.identity)

    def close(self) -> None:
        pass
