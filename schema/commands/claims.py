"""The use of a path, or of everything below it, for as long as a command runs. Pure."""

from dataclasses import dataclass

from schema.ids import MountId


@dataclass(frozen=True, slots=True)
class Claim:
    mount: MountId
    path: bytes
    subtree: bool = False
    shared: bool = False
    """The command only reads what lies there: any number may, while nothing changes it."""


def conflicts(one: Claim, other: Claim) -> bool:
    """Two claims that may not be held at once: the same path, or one inside the other's subtree, and not both only to read."""
    if one.mount != other.mount or (one.shared and other.shared):
        return False
    return one.path == other.path or _inside(one, other) or _inside(other, one)


def _inside(inner: Claim, outer: Claim) -> bool:
    return outer.subtree and (inner.path.startswith(outer.path + b"/") or outer.path == b"")
