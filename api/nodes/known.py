"""Where directories lay when they were last looked at. A guess: what is read for it says where the directory lies now."""

from schema.ids import MountId, NodeId
from schema.paths import NodePath

KNOWN_MAX = 10_000

DirectoryPlace = tuple[MountId, NodePath]


class KnownPlaces:
    """Used by the HTTP loop alone."""

    def __init__(self) -> None:
        self._known: dict[NodeId, DirectoryPlace] = {}

    def of(self, directory: NodeId) -> DirectoryPlace | None:
        return self._known.get(directory)

    def keep(self, directory: NodeId, place: DirectoryPlace) -> None:
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[directory] = place
