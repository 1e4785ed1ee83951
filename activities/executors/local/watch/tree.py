"""The watched directories of a mount, by the numbers of their watches. A moved directory takes its tree along at no cost."""

from collections.abc import Iterator

from schema.drift.gather import Names


class Watched:
    """A directory: `watch` is its number in the queue, None once it has none."""

    __slots__ = ("directories", "name", "parent", "watch")

    def __init__(self, name: bytes, parent: "Watched | None", watch: int | None) -> None:
        self.name, self.parent, self.watch = name, parent, watch
        self.directories: dict[bytes, Watched] = {}


class WatchedTree:
    """`root` is None until it is watched."""

    def __init__(self) -> None:
        self.root: Watched | None = None
        self._by_watch: dict[int, Watched] = {}

    def __len__(self) -> int:
        return len(self._by_watch)

    def watches(self) -> set[int]:
        return set(self._by_watch)

    def paths(self) -> set[bytes]:
        return {b"/".join(names_of(directory)) for directory in list(self._by_watch.values())}

    def of(self, watch: int) -> Watched | None:
        return self._by_watch.get(watch)

    def put(self, parent: Watched | None, name: bytes, watch: int) -> Watched:
        """A directory that has just got its watch. One of the same name before it is dropped by the caller."""
        directory = Watched(name, parent, watch)
        if parent is None:
            self.root = directory
        else:
            parent.directories[name] = directory
        self._by_watch[watch] = directory
        return directory

    def move(self, directory: Watched, parent: Watched, name: bytes) -> None:
        """Not into itself: `is_in` tells."""
        self.detach(directory)
        directory.parent, directory.name = parent, name
        parent.directories[name] = directory

    def is_in(self, directory: Watched, other: Watched) -> bool:
        """The one is the other, or lies somewhere in it."""
        here: Watched | None = directory
        while here is not None and here is not other:
            here = here.parent
        return here is other

    def is_attached(self, directory: Watched) -> bool:
        """It can be reached from the root; not while one of its parents is between the two events of a move, or was dropped."""
        here = directory
        while (parent := here.parent) is not None and parent.directories.get(here.name) is here:
            here = parent
        return here is self.root and directory.watch is not None

    def detach(self, directory: Watched) -> None:
        """Out of its parent; its own tree stays together."""
        parent = directory.parent
        if parent is not None and parent.directories.get(directory.name) is directory:
            del parent.directories[directory.name]

    def drop(self, directory: Watched) -> list[int]:
        """Forget a directory and all below it; the watches that it had."""
        self.detach(directory)
        watches = []
        for one in _all(directory):
            if one.watch is not None and self._by_watch.get(one.watch) is one:
                del self._by_watch[one.watch]
                watches.append(one.watch)
            one.watch = None
        return watches

    def find(self, names: Names) -> Watched | None:
        directory = self.root
        for name in names:
            directory = directory.directories.get(name) if directory else None
        return directory

    def breadth(self, names: Names, most: int) -> int:
        """From any thread: how many directories lie in this tree, counted up to `most`."""
        top = self.find(names)
        if top is None:
            return 0
        count, stack = 1, [top]
        while stack and count < most:
            below = list(stack.pop().directories.values())  # a copy in one step: its own thread goes on
            count += len(below)
            stack += below
        return min(count, most)


def names_of(directory: Watched) -> Names:
    names: list[bytes] = []
    while directory.parent is not None:
        names.append(directory.name)
        directory = directory.parent
    return tuple(reversed(names))


def _all(directory: Watched) -> Iterator[Watched]:
    stack = [directory]
    while stack:
        one = stack.pop()
        stack += one.directories.values()
        yield one
