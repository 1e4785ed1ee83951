"""Trees of a storage that knows none."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from activities.executors.contract.executor import Executor, Fetch
from activities.executors.contract.stage import Copied, Source
from activities.executors.contract.task import Task
from schema.errors import NotSupported


@runtime_checkable
class TreesByItem(Protocol):
    """The storage knows no trees: a directory with its content goes item by item. Without this protocol a directory is moved,
    deleted, restored and made visible with everything below it, in one step.

    `check_names` for all of it; `begin_tree`, `lay` for all of it, `end_tree`, then `act`; the record; `clear_tree` for all of
    it, then `finish`. All of it can be repeated after a crash, and finds what an earlier execution has done.
    """

    def check_names(self, task: Task, page: Sequence[Source]) -> None:
        """Sends no request, and lays nothing. Raises InvalidPath where the storage can not hold one of these where it goes."""
        ...

    def begin_tree(self, task: Task) -> None:
        """The directory itself at its new name (or in the trash). Raises NodeExists, ParentNotFound, NotADirectory."""
        ...

    def reaches(self, origin: Executor) -> bool:
        """The storage of this mount can copy by itself what lies on that one."""
        ...

    def lay(
        self, task: Task, page: Sequence[Source], fetch: Fetch | None = None, origin: Executor | None = None
    ) -> list[Copied]:
        """Lay what the directory holds at its new place, parents first. The originals stay. With `fetch` they lie on
        another mount; with `origin` on that one, which `reaches` has been asked about. Raises VersionConflict, NodeExists,
        ContentExpired."""
        ...

    def end_tree(self, task: Task, files: int) -> None:
        """All `files` are laid. Raises VersionConflict when more lies below the directory that is to leave."""
        ...

    def clear_tree(self, task: Task, page: Sequence[Source], succeeded: bool) -> None:
        """After the record, children first: the originals leave; of a failed command, what was laid. What another
        program changed meanwhile stays. At a name that the storage can not hold there is nothing, and nothing to do."""
        ...


def trees_of(executor: Executor) -> TreesByItem:
    """For a command whose intent says that its tree goes item by item. Raises NotSupported."""
    if not isinstance(executor, TreesByItem):
        raise NotSupported("The storage of this mount has no trees that go item by item. Look at the mount's backend.")
    return executor
