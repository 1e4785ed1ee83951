"""The contract in dictionaries, for tests and for embedding. Nothing survives the process, so nothing needs a flush.

Its decisions are those of every executor (docs/command-protocol.md); it is the shortest place to read them.
"""

import hashlib
import itertools
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from activities.executors.base import (
    Copied,
    Done,
    Draft,
    Entry,
    Fetch,
    Identity,
    Refused,
    Result,
    Source,
    Stage,
    Step,
    Task,
    Unclear,
    UploadLink,
)
from schema import faults
from schema.errors import (
    ContentExpired,
    InvalidRequest,
    MountOffline,
    NodeNotFound,
    NotADirectory,
    NotSupported,
    VersionConflict,
)
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
_EXPIRED = Refused("CONTENT_EXPIRED", "It is no longer in the trash, so it can not be restored.")
_INTO_ITSELF = Refused("INVALID_REQUEST", "A directory can not be moved into itself. Nothing was changed.")
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
"""By path: what lies below a directory has its name and a slash in front."""
Place = tuple[Folder, bytes]


class MemoryExecutor:
    """`tree`, `stage` and `trash` are open: a test plays the stranger who changes them."""

    whole_trees = True
    width = 1
    marks = False

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
            moved, other = _cut(here, name), _cut(there, new) if exchange else {}
            there.update({new + below: node for below, node in moved.items()})
            here.update({name + below: node for below, node in other.items()})
            for node in filter(None, (moved[b""], other.get(b""))):
                node.ctime, node.since = next(_ticks), time.monotonic()

    def no_parent(self, path: NodePath) -> Refused | None:
        for folder in path.ancestors()[1:]:
            node = self.tree.get(folder.raw)
            if node is None or node.content is not None:
                return _NO_FOLDER if node else _NO_PARENT
        return None

    def below(self, place: Place) -> list[Node]:
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

    def locks(self) -> "_Locks":
        self.check()
        return _Locks(self._held, self.guard)

    def open_stage(self, stage: CommandId, path: NodePath | None = None) -> "_Writer":
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
        own = (self.stage, stage.encode())
        with self.guard:
            found = self.find_stage(stage)
            if found is None:
                return True
            if staged is not None and not staged.same_content(found):
                return False
            if staged is not None and any(node.ctime > staged.ctime for node in self.below(own)):
                return False  # it was visible for a while, and somebody put something into it
            _cut(*own)
            return True

    def stage_copy(self, stage: CommandId, sources: Iterable[Source], fetch: Fetch | None = None) -> Iterator[Copied]:
        self.discard_stage(stage, None)
        last = None
        try:
            for answer in self._copied(stage.encode(), sources, fetch):
                if last is not None:
                    yield last
                last = answer
        except BaseException:
            self.discard_stage(stage, None)
            raise
        if last is not None:
            yield last

    def _copied(self, stage: bytes, sources: Iterable[Source], fetch: Fetch | None) -> Iterator[Copied]:
        folders: list[tuple[Source, Node]] = []
        for number, source in enumerate(sources):
            if (number == 0) is not (source.relative == b"") or (number > 0 and not folders):
                raise InvalidRequest(
                    "The first source of a copy, and it alone, is its root; only a directory has more."
                )
            content, mtime = self._original(source) if fetch is None else self._brought(source, fetch)
            node = self.stage[b"/".join(filter(None, (stage, source.relative)))] = Node(content, mtime=mtime)
            if content is None:
                folders.append((source, node))
            else:
                digest = hashlib.sha256(content).digest()
                yield Copied(source.relative, source.kind, node.identity, len(content), digest)
        for source, node in reversed(folders):
            node.ctime = next(_ticks)
            yield Copied(source.relative, source.kind, node.identity)

    def _original(self, source: Source) -> tuple[bytes | None, int]:
        self.check()
        if source.kind not in ("file", "directory"):
            raise NotSupported(f"A {source.kind} can not be copied.")
        kept = source.place is not None
        node = self.trash.get(source.place or b"") if kept else self.tree.get(source.path.raw if source.path else b"")
        if node is None and kept:
            raise ContentExpired()
        known, found = source.identity, node.identity if node else None
        untouched = kept or known.directory or not known.ctime or (found is not None and found.ctime == known.ctime)
        if node is None or not known.same_content(found) or not untouched:
            raise VersionConflict("A source is not what the record knows. Reconcile it, then copy anew.")
        if source.sha256 not in (None, hashlib.sha256(node.content or b"").digest()):
            raise VersionConflict("A source does not have the content that the record knows. Reconcile it.")
        return node.content, node.mtime

    def _brought(self, source: Source, fetch: Fetch) -> tuple[bytes | None, int]:
        self.check()
        if source.kind not in ("file", "directory"):
            raise NotSupported(f"A {source.kind} can not be copied.")
        if source.kind == "directory":
            return None, next(_ticks)
        original = fetch(source)
        try:
            content = original.read(0, source.identity.size)
        finally:
            original.close()
        if source.sha256 not in (None, hashlib.sha256(content).digest()):
            raise VersionConflict("A source does not have the content that the record knows. Reconcile it.")
        return content, next(_ticks)

    # -- the visible step ----------------------------------------------------------------------------------------------

    def act(self, task: Task) -> Result:
        self.check()
        return _Attempt(self, task).run()

    def flush(self, tasks: Sequence[Task]) -> None:
        self.check()

    def reverse(self, task: Task) -> Result:
        self.check()
        return _Attempt(self, task).reverse()

    def forget(self, commands: Sequence[CommandId]) -> None:
        """There are no marks: inodes tell."""

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

    # -- reading -------------------------------------------------------------------------------------------------------

    def open(self, path: NodePath) -> "_Content":
        self.check()
        node = self.tree.get(path.raw)
        if node is None:
            raise NodeNotFound()
        if node.content is None:
            raise NotADirectory("This is not a regular file, so it has no content to read.")
        return _Content(node)

    def open_kept(self, place: bytes) -> "_Content":
        self.check()
        node = self.trash.get(place)
        if node is None or node.content is None:
            raise ContentExpired()
        return _Content(node)

    def presign(self, path: NodePath, identity: Identity, seconds: int, disposition: str) -> str:
        raise NotSupported("Memory has no URLs. Read the content through Filestore.")

    def presign_stage(self, stage: CommandId, size: int, sha256: bytes, seconds: int) -> UploadLink:
        raise NotSupported("Memory has no URLs. Send the content to Filestore.")

    def find_uploaded(self, stage: CommandId, size: int, sha256: bytes) -> Stage | None:
        raise NotSupported("Memory has no URLs. Send the content to Filestore.")

    def stages(self) -> Iterator[tuple[CommandId, float]]:
        self.check()
        for name, node in list(self.stage.items()):
            if b"/" not in name:
                yield CommandId(name.decode()), time.monotonic() - node.since

    def sweep_uploads(self, older_than_seconds: float) -> int:
        return 0

    def walk(self) -> Iterator[Entry]:
        self.check()
        with self.guard:
            nodes = sorted((name, node.identity) for name, node in self.tree.items())
        for name, found in nodes:
            yield Entry(NodePath(name), found, "directory" if found.directory else "file")
        self.check()


class _Attempt:
    """One execution of one visible step. `own` is the name only this command uses (its stage, or its place in the trash),
    or a restore takes from; `there` is the path, or the new name of what is moved from it."""

    def __init__(self, executor: MemoryExecutor, task: Task) -> None:
        self.executor, self.task = executor, task
        self.look, self.move = executor.look, executor.move
        self.path: Place = (executor.tree, task.path.raw)
        self.there, self.appears = self.path, task.path
        match task.step:
            case Step.CREATE | Step.REPLACE:
                self.own: Place = (executor.stage, (task.stage or "").encode())
            case Step.RESTORE:
                self.own = (executor.trash, task.place or b"")
            case Step.DELETE:
                self.own = (executor.trash, _trash(task))
            case Step.MOVE:
                assert task.target, "the intent says where to"
                self.there, self.appears = (executor.tree, task.target.raw), task.target
                self.own = (executor.trash, _trash(task)) if task.replaced else self.path

    def run(self) -> Result:
        steps: dict[Step, Callable[[], Result]] = {
            Step.CREATE: self.create,
            Step.REPLACE: self.replace,
            Step.DELETE: self.delete,
            Step.MOVE: self.move_onto if self.task.replaced else self.move_away,
            Step.RESTORE: self.restore,
        }
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

    @property
    def replaced(self) -> Identity:
        assert self.task.replaced, "the intent says what is replaced"
        return self.task.replaced

    def create(self) -> Result:
        own = self.look(self.own)
        if self.staged.same_inode(own):
            return self.spoiled(own) or self.take(self.own, self.there) or self.arrived(self.staged, recognised=False)
        if self.staged.same_inode(self.look(self.there)) or (own is None and self.task.attempt > 1):
            return self.arrived(self.staged, recognised=True)
        return _LOST if self.task.attempt == 1 else Unclear("Something unknown lies under the name of the stage.")

    def replace(self) -> Result:
        own = self.look(self.own)
        recognised = not self.staged.same_inode(own)
        if not recognised:
            refused = self.spoiled(own) or self.unexpected(self.task.path, self.expected)
            if refused := refused or self.take(self.own, self.there, exchange=True):
                return refused
            own = self.look(self.own)
        if self.expected.same_content(own):
            return self.arrived(self.staged, recognised)
        if own is not None:
            return self.undo(_CHANGED)
        found = self.look(self.there)
        drift = "The replaced content was removed from the stage by somebody."
        return Done(found, recognised=True, drift=drift) if self.staged.same_inode(found) else _LOST

    def delete(self) -> Result:
        out = self.look(self.own)
        recognised = out is not None
        if not recognised:
            refused = self.unexpected(self.task.path, self.expected) or self.not_empty(self.there)
            if refused := refused or self.take(self.there, self.own, taken=None):
                return refused
            out = self.look(self.own)
        if out is None:
            return Unclear("What was deleted was taken out of the trash before it could be looked at.")
        if refused := self.not_empty(self.own) if self.expected.same_content(out) else _CHANGED:
            return self.undo(refused)
        taken = recognised and self.look(self.there) is not None
        return Done(None, recognised, drift="Somebody has put something at this name since." if taken else None)

    def restore(self) -> Result:
        own = self.look(self.own)
        if own is None:
            ours = self.expected.same_inode(self.look(self.there))
            return self.arrived(self.expected, recognised=True) if ours else _EXPIRED
        if not self.expected.same_content(own):
            return _CHANGED
        if refused := self.take(self.own, self.there):
            return refused
        found = self.look(self.there)
        if found is None or self.expected.same_inode(found):
            gone = Unclear("What was restored was taken away before it could be looked at.")
            return self.arrived(self.expected, recognised=False) if found else gone
        self.move(self.there, self.own)
        return _CHANGED

    def move_away(self) -> Result:
        """A move has no name of its own: the node itself tells, wherever it is."""
        found, source = self.look(self.there), self.look(self.path)
        here = self.expected.same_inode(source)
        if self.expected.same_inode(found) and not (here and self.task.attempt == 1):
            return self.moved(recognised=True)
        if self.task.attempt > 1 and not here:
            return Unclear("A resumed move finds the node neither at its old nor at its new name.")
        refused = self.unexpected(self.task.path, self.expected) or self.take(self.path, self.there)
        if refused:
            return refused
        if self.expected.same_inode(self.look(self.there)):
            return self.arrived(self.expected, recognised=False)
        return Unclear("What arrived at the new name is not what was to be moved. It was left there.")

    def moved(self, recognised: bool) -> Done:
        done = self.arrived(self.expected, recognised)
        if done.drift is None and recognised and self.look(self.path) is not None:
            return Done(done.identity, True, drift="Somebody has put something at the old name since.")
        return done

    def move_onto(self) -> Result:
        """In two steps: both swap their names, then the replaced one goes from the old name to the trash."""
        kept = self.look(self.own)
        if self.replaced.same_inode(kept) or self.expected.same_inode(self.look(self.there)):
            return self.go_on(recognised=True)
        if kept is not None:
            self.executor.keep(self.own, self.task)
        if self.task.attempt > 1 and not self.expected.same_inode(self.look(self.path)):
            return Unclear("A resumed move finds the node neither at its old nor at its new name.")
        refused = self.unexpected(self.task.path, self.expected) or self.unexpected(self.appears, self.replaced)
        if refused := refused or self.take(self.path, self.there, exchange=True):
            return refused
        out, found = self.look(self.path), self.look(self.there)
        if not self.replaced.same_content(out) or not self.expected.same_inode(found):
            return self.swap_back(_CHANGED)
        return self.go_on(recognised=False)

    def go_on(self, recognised: bool) -> Result:
        for _ in range(ROUNDS):
            kept, out = self.look(self.own), self.look(self.path)
            with suppress(FileNotFoundError, FileExistsError):
                if kept is not None and not self.replaced.same_inode(kept):
                    self.put_back(self.path)
                elif kept is not None or not self.replaced.same_inode(out):
                    done = self.moved(recognised)
                    drift = None if self.replaced.same_content(kept) else "What was replaced is not kept as it was."
                    return Done(done.identity, recognised, done.drift or drift)
                elif recognised and not self.replaced.same_content(out):
                    return self.swap_back(_CHANGED)
                else:
                    self.take(self.path, self.own, taken=None)
        return Unclear("The file was moved, but what it replaces could not be kept: the old name kept changing.")

    def swap_back(self, refused: Refused) -> Result:
        out, found = self.look(self.path), self.look(self.there)
        if not self.replaced.same_inode(out) and not self.expected.same_inode(found):
            return Unclear("Somebody was there while the files swapped their names, and it could not be taken back.")
        if out and found:
            self.move(self.path, self.there, exchange=True)
        else:
            self.move(*((self.path, self.there) if out else (self.there, self.path)))
        return refused

    def spoiled(self, own: Identity | None) -> Refused | None:
        return None if self.staged.same_content(own) else _LOST

    def unexpected(self, path: NodePath, known: Identity) -> Refused | None:
        found = self.look((self.executor.tree, path.raw))
        if found is None:
            return self.executor.no_parent(path) or _VANISHED
        untouched = found.directory or self.task.attempt > 1 or found.ctime == known.ctime
        return None if known.same_content(found) and untouched else _CHANGED

    def not_empty(self, place: Place) -> Refused | None:
        filled = self.expected.directory and not self.task.tree and self.executor.below(place)
        return _NOT_EMPTY if filled else None

    def take(
        self, source: Place, target: Place, exchange: bool = False, taken: Refused | None = _TAKEN
    ) -> Refused | None:
        """The visible step, or one of two. None: taken."""
        if target is self.there and (refused := self.executor.no_parent(self.appears)):
            return refused
        if source[0] is target[0] and target[1].startswith(source[1] + b"/"):
            return _INTO_ITSELF
        faults.reach("apply.act", self.task.path.text)
        try:
            self.move(source, target, exchange)
        except FileExistsError as error:
            if taken is None:
                raise FileNotFoundError("the trash has it meanwhile: look again") from error
            return taken
        faults.reach("apply.acted", self.task.path.text)
        return None

    def arrived(self, ours: Identity, recognised: bool) -> Done:
        """Ours is there. What somebody made of it since is drift, and never recorded as ours."""
        found = self.look(self.there)
        if found is not None and ours.same_content(found):
            return Done(found, recognised)
        return Done(ours, recognised, drift="Somebody has changed or removed it since.")

    def undo(self, refused: Refused) -> Result:
        """Strangers' bytes lie under our own name: back to their place, or kept in the trash."""
        for _ in range(ROUNDS):
            with suppress(FileNotFoundError, FileExistsError):
                self.put_back(self.there)
                return refused
        return Unclear("Strangers' bytes could not be put back: the path kept changing.")

    def put_back(self, place: Place) -> None:
        found = self.look(place)
        if found is None and not self.executor.no_parent(NodePath(place[1])):
            self.move(self.own, place)
        elif self.task.step is Step.REPLACE and self.staged.same_inode(found):
            self.move(self.own, place, exchange=True)
        else:
            self.executor.keep(self.own, self.task)

    def reverse(self) -> Result:
        with self.executor.guard:
            own, found = self.look(self.own), self.look(self.there)
            if self.is_before(own, found):
                return Done(self.look(self.path), recognised=True)
            if not self.is_after(own, found):
                return Unclear("Somebody has been there since, so the step was not taken back.")
            if self.task.replaced:
                if own:
                    self.move(self.own, self.path)
                self.move(self.path, self.there, exchange=True)
            elif self.task.step in (Step.DELETE, Step.REPLACE):
                self.move(self.own, self.there, exchange=self.task.step is Step.REPLACE)
            else:
                self.move(self.there, self.own)
            return Done(self.look(self.path))

    def is_before(self, own: Identity | None, found: Identity | None) -> bool:
        match self.task.step:
            case Step.CREATE:
                return self.staged.same_content(own) and not self.filled(self.own)
            case Step.REPLACE:
                return self.staged.same_content(own) and self.expected.same_content(found)
            case Step.DELETE:
                return own is None and self.expected.same_content(found)
            case Step.RESTORE:
                return self.expected.same_content(own)
            case Step.MOVE if self.task.replaced:
                both = self.expected.same_content(self.look(self.path)) and self.replaced.same_content(found)
                return both and own is None
            case Step.MOVE:
                return self.expected.same_content(own) and not self.expected.same_inode(found)

    def is_after(self, own: Identity | None, found: Identity | None) -> bool:
        match self.task.step:
            case Step.CREATE:
                return own is None and self.staged.same_content(found) and not self.filled(self.there)
            case Step.REPLACE:
                return self.expected.same_content(own) and self.staged.same_content(found)
            case Step.DELETE:
                return self.expected.same_content(own) and found is None
            case Step.MOVE if self.task.replaced:
                rest = [one for one in (own, self.look(self.path)) if one]
                ours = self.expected.same_content(found) and len(rest) == 1
                return ours and self.replaced.same_content(rest[0])
            case Step.MOVE | Step.RESTORE:
                return own is None and self.expected.same_content(found)

    def filled(self, place: Place) -> bool:
        return self.staged.directory and not self.task.tree and bool(self.executor.below(place))


def _cut(folder: Folder, name: bytes) -> Folder:
    """Out of its folder, with everything below: by the rest of the path."""
    node = folder.pop(name)
    names = [] if node.content is not None else [path for path in folder if path.startswith(name + b"/")]
    return {b"": node} | {path[len(name) :]: folder.pop(path) for path in names}


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
