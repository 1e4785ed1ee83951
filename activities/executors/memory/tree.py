"""What memory holds: nodes by path, in a folder that is one dictionary."""

import itertools
import stat
import time
from dataclasses import dataclass, field

from activities.executors.contract.identity import Identity

ticks = itertools.count(1)


@dataclass(slots=True, eq=False)
class MemoryNode:
    """A file, or a directory (`content` is None). Every touch of it has a time of its own."""

    content: bytes | None
    inode: int = field(default_factory=lambda: next(ticks))
    mtime: int = field(default_factory=lambda: next(ticks))
    ctime: int = field(default_factory=lambda: next(ticks))
    since: float = field(default_factory=time.monotonic)

    def write(self, content: bytes) -> None:
        """In place, as an editor does."""
        self.content, self.mtime, self.ctime = content, next(ticks), next(ticks)

    @property
    def identity(self) -> Identity:
        directory = self.content is None
        mode = stat.S_IFDIR | 0o755 if directory else stat.S_IFREG | 0o644
        size = len(self.content or b"")
        return Identity(0, self.inode, self.inode, size, self.mtime, self.ctime, directory, mode)


Folder = dict[bytes, MemoryNode]
"""By path: what lies below a directory has its name and a slash in front."""
Place = tuple[Folder, bytes]


def cut(folder: Folder, name: bytes) -> Folder:
    """Out of its folder, with everything below: by the rest of the path."""
    node = folder.pop(name)
    names = [] if node.content is not None else [path for path in folder if path.startswith(name + b"/")]
    return {b"": node} | {path[len(name) :]: folder.pop(path) for path in names}
