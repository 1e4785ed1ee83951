"""Which file something is, whatever its name."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """Which file this is, whatever its name: device, inode and birth time; and what shows that it was written to since.

    Device 0 is the mount's own: disks are numbered anew at every boot. Times are nanoseconds since the epoch. `size`
    and `mtime` of a directory change with its entries: they are not compared. `ctime` is changed by renames, and by what
    changes no content (chmod, a new link): where it alone differs before the visible step, the content is read and decides.
    """

    device: int
    inode: int
    birth: int
    size: int
    mtime: int
    ctime: int
    directory: bool
    mode: int = 0
    links: int = 1
    tag: str = ""
    """Object stores have no inodes: there the ETag says which object this is (or, of a stage, what it waits as) ..."""
    edition: str = ""
    """... and the version id, where the bucket keeps versions. Numbers that mean nothing there are 0."""

    def facts(self) -> list[int | str]:
        """As it travels in payloads and is stored in intents; `of_facts` reads it back."""
        numbers = [self.device, self.inode, self.birth, self.size, self.mtime, self.ctime, int(self.directory),
                   self.mode, self.links]  # fmt: skip
        return [*numbers, self.tag, self.edition] if self.tag or self.edition else [*numbers]

    @classmethod
    def of_facts(cls, facts: Sequence[int | str]) -> "Identity":
        device, inode, birth, size, mtime, ctime, directory, mode, links = (int(fact) for fact in facts[:9])
        tag, edition = (str(fact) for fact in facts[9:]) if len(facts) > 9 else ("", "")
        return cls(device, inode, birth, size, mtime, ctime, bool(directory), mode, links, tag, edition)

    def same_inode(self, other: "Identity | None") -> bool:
        return other is not None and self._which == other._which

    @property
    def _which(self) -> tuple[int, int, int, str, str]:
        return self.device, self.inode, self.birth, self.tag, self.edition

    def same_content(self, other: "Identity | None") -> bool:
        """The same inode, and no program wrote into it in place."""
        if other is None or not self.same_inode(other) or self.directory != other.directory:
            return False
        return self.directory or (self.size, self.mtime) == (other.size, other.mtime)
