"""What stands in a folder: looked at where it may have changed, and compared with what was agreed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.sync.ignore import NAME as IGNORE_FILE
from schema.sync.trees import EntryKind, ancestors, below
from workers.syncing.folder import NodeFolder, Unrest
from workers.syncing.placing import REST_SECONDS
from workers.syncing.state import AgentState, LocalFile

if TYPE_CHECKING:
    from workers.syncing.watch import FolderWatch


class Looking:
    """`local`: what stands in the folder, which is kept as it is looked at."""

    def __init__(
        self, folder: NodeFolder, watch: FolderWatch, local: dict[bytes, LocalFile], state: AgentState
    ) -> None:
        self._folder, self._watch, self._local, self._state = folder, watch, local, state
        self.unrest: set[bytes] = set()
        """In motion, or not to be read: nothing is known of them now, least of all that they are gone"""

    def look(self, rest: set[bytes], trees: set[bytes]) -> set[bytes]:
        """The paths that are not what they were. In a thread."""
        self._folder.check()
        if IGNORE_FILE in rest or b"" in trees:
            self._folder.read_ignore()
            trees = trees | {b""} if IGNORE_FILE in rest else trees
        paths = set(rest)
        for top in trees:
            paths |= {top, *self._folder.walk(top)} if top else set(self._folder.walk(top))
        paths |= self._known_in(trees)
        changed, gone = set[bytes](), set[bytes]()
        for path in paths:
            changed |= self._look_at(path, gone)
        inside = below(self._local, {path for path in gone if path not in self._local})
        for path in inside:
            del self._local[path]
        return changed | inside

    def _known_in(self, trees: set[bytes]) -> set[bytes]:
        """What was there, or was agreed on. In a directory that is new there was nothing."""
        known = (self._local, self._state.agreed)
        if b"" in trees:
            return {path for tree in known for path in tree}
        tops = {top for top in trees if any(top in tree for tree in known)}
        return {path for tree in known for path in below(tree, tops)} if tops else set()

    def _look_at(self, path: bytes, gone: set[bytes]) -> set[bytes]:
        """`gone`: takes a directory that is not there any more."""
        before = self._local.get(path)
        known = (before.entry.sha, before.key) if before and before.key else self._state.hashes.pop(path, None)
        try:
            now = self._folder.look(path, known)
        except Unrest:
            self.unrest.add(path)
            self._watch.again(path, REST_SECONDS)
            return set()
        self.unrest.discard(path)
        if now is None:
            if before is not None and before.entry.directory:
                gone.add(path)
            self._local.pop(path, None)
            return {path} if before is not None or path in self._state.agreed else set()
        agreed = self._state.agreed.get(path)
        self._local[path] = now = LocalFile(agreed, now.key) if agreed is not None and agreed == now.entry else now
        new = {above for above in ancestors(path) if above not in self._local}
        for above in new:
            self._look_at(above, gone)
        same = before is not None and before.entry == now.entry == self._state.agreed.get(path)
        return new if same else new | {path}

    def concerned(self, paths: set[bytes]) -> set[bytes]:
        """With the directories above, and all that lies in a directory that goes."""
        known = paths | {above for path in paths for above in ancestors(path)}
        gone = {path for path in paths if self._goes(path)}
        if gone:
            for tree in (self._local, self._state.seen, self._state.agreed):
                known |= below(tree, gone)
        return known

    def _goes(self, path: bytes) -> bool:
        """A directory in one tree, not in another, and not just new: what lies in a new one differs, and is open itself."""
        local, agreed = self._local.get(path), self._state.agreed.get(path)
        entries = [local.entry if local else None, self._state.seen.get(path), agreed]
        kinds = {None if entry is None else entry.kind for entry in entries}
        return EntryKind.DIRECTORY in kinds and (EntryKind.FILE in kinds or (agreed is not None and None in kinds))
