"""A kind of storage that the service does not have: everything in one file. It shows what adding one takes."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Draft, Stage
from activities.executors.contract.task import Result, Task
from activities.executors.memory.executor import MemoryExecutor
from schema.errors import InvalidRequest, MountOffline
from schema.ids import CommandId
from schema.mounts import Mount


class ToyExecutor(MemoryExecutor):
    """The executor in dictionaries, which are read from a file and written back whenever something has to be durable. Its times
    are those of one process, which has to live as long as the file."""

    def __init__(self, file: Path, mount_uuid: str) -> None:
        super().__init__()
        self._file, self._uuid = file, mount_uuid
        if file.exists():
            _, self.tree, self.stage, self.trash = pickle.loads(file.read_bytes())

    def check(self) -> None:
        super().check()
        if sentinel_of(self._file) != self._uuid:
            raise MountOffline("The file of this mount is not there, or is another one.")

    def save(self) -> None:
        draft = self._file.with_suffix(".draft")
        draft.write_bytes(pickle.dumps((self._uuid, self.tree, self.stage, self.trash)))
        draft.replace(self._file)

    def seal(self, drafts: Sequence[Draft], written: Sequence[CommandId] = ()) -> list[Stage | Exception]:
        answers = super().seal(drafts, written)
        self.save()
        return answers

    def discard_stage(self, stage: CommandId, staged: Identity | None) -> bool:
        gone = super().discard_stage(stage, staged)
        self.save()
        return gone

    def flush(self, tasks: Sequence[Task]) -> None:
        super().flush(tasks)
        self.save()

    def reverse(self, task: Task) -> Result:
        result = super().reverse(task)
        self.save()
        return result

    def finish(self, task: Task, succeeded: bool) -> None:
        super().finish(task, succeeded)
        self.save()


class ToyKind:
    reading = writing = 1 << 20
    direct_reads = False

    def check_place(self, place: Any) -> None:
        if not (place.root_path or "").startswith("/"):
            raise InvalidRequest("A toy needs the path of its file.", field="rootPath")

    def open(self, mount: Mount, spool: Path) -> ToyExecutor:
        return ToyExecutor(Path(mount.root_path or ""), mount.mount_uuid)

    def prepare(self, mount: Mount, spool: Path) -> None:
        if sentinel_of(Path(mount.root_path or "")) is None:
            self.open(mount, spool).save()

    def sentinel(self, mount: Mount, spool: Path) -> str | None:
        return sentinel_of(Path(mount.root_path or ""))

    def meets(self, mount: Mount, other: Mount, spool: Path) -> bool:
        return mount.root_path == other.root_path


def sentinel_of(file: Path) -> str | None:
    return str(pickle.loads(file.read_bytes())[0]) if file.exists() else None
