"""What a caller holds open: a stage that is written, locks, a file that is read."""

import hashlib
import threading
import time

from activities.executors.contract.stage import Stage
from activities.executors.memory.tree import Folder, MemoryNode
from schema.ids import CommandId


class MemoryWriter:
    def __init__(self, folder: Folder, stage: CommandId, node: MemoryNode) -> None:
        self.node = node
        self._folder, self._id, self._parts, self._open = folder, stage, list[bytes](), True

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
            self._folder.pop(self._id.encode(), None)


class MemoryLocks:
    def __init__(self, held: "dict[CommandId, MemoryLocks]", guard: threading.RLock) -> None:
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


class MemoryContent:
    def __init__(self, node: MemoryNode) -> None:
        self._node, self.identity = node, node.identity

    def read(self, offset: int, length: int) -> bytes:
        return (self._node.content or b"")[offset : offset + length]

    def unchanged(self) -> bool:
        return self.identity.same_content(self._node.identity)

    def close(self) -> None:
        pass
