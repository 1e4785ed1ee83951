"""Adding an executor is a folder and a line: one that the service does not have carries commands from registration to the trash.

The shared suite runs on it too: it is a parameter of `bench`, like the others.
"""

import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from pydantic import ValidationError
from temporalio.testing import ActivityEnvironment

from activities import budgets
from activities.commands.apply import Apply
from activities.commands.finish import Finish
from activities.commands.fresh import FreshAttempts
from activities.executors.contract.executor import Executor
from activities.executors.contract.identity import Identity
from activities.executors.kinds import KINDS, open_executor, prepare_storage, prove_locks, prove_storage, read_sentinel
from api.mounts import register
from api.mounts.bodies import NewMountBody
from schema.access.object_locks import LockProof
from schema.commands.command import Command, CommandKind, Status
from schema.commands.payloads import CommandIds
from schema.errors import ExecutorNotFound, InvalidRequest
from schema.ids import MountId
from schema.mounts import Mount
from schema.paths import NodePath
from schema.secrets.keyring import PLAIN
from schema.settings import Settings
from schema.store import mounts
from schema.store.pool import Pool
from tests.executors.toy import ToyExecutor, ToyKind
from tests.store import conftest as store
from tests.store.helpers import Protocol, asked, delete, upload
from workers.engine.served import ServedMounts

server_url, new_database, record_url, pool = store.server_url, store.new_database, store.record_url, store.pool


class Routes:
    """What a route can ask of the executors."""

    def __init__(self, spool: str) -> None:
        self._spool = spool

    def of(self, mount: Mount) -> Executor:
        return open_executor(mount, self._spool)

    def register(self, mount: Mount, others: Sequence[Mount]) -> Identity | None:
        return prepare_storage(mount, self._spool, others)

    def sentinel(self, mount: Mount) -> str | None:
        return read_sentinel(mount, self._spool)

    def prove_locks(self, mount: Mount) -> LockProof | None:
        return prove_locks(mount, self._spool)

    def prove(self, mount: Mount) -> Identity | None:
        return prove_storage(mount, self._spool)

    async def refresh(self) -> None: ...


def body_of(file: Path) -> NewMountBody:
    key = f"toy-{uuid.uuid4().hex[:8]}"
    return NewMountBody.model_validate({"mountKey": key, "backendKind": "toy", "rootPath": str(file)})


class Carried:
    """Commands on one mount, through the activities that the workflows run."""

    def __init__(self, pool: Pool, served: ServedMounts, mount: MountId) -> None:
        self.pool, self.served, self.mount = pool, served, mount
        self.protocol, threads = Protocol(pool), budgets.STEPS.build()
        self.protocol.serve(served)
        self.apply = Apply(pool, served, threads, FreshAttempts(), 5.0)
        self.finish = Finish(pool, served, threads)

    @property
    def executor(self) -> ToyExecutor:
        return cast(ToyExecutor, self.served.of(self.mount))

    def upload(self, path: str, content: bytes, **changes: bool) -> Command:
        request = upload(self.mount, path, len(content), sha256=hashlib.sha256(content).hexdigest(), **changes)
        writer = self.executor.open_stage(request.id)
        writer.write(content)
        staged = writer.close().identity.facts()
        self.executor.seal([], [request.id])
        return Command(**{name: getattr(request, name) for name in Command.__slots__} | {"staged": staged})

    async def run(self, request: Command) -> None:
        begun = await self.protocol.begin(self.mount, [request])
        applied = await ActivityEnvironment().run(self.apply.apply, begun)
        ended = await self.protocol.commit(self.mount, applied.done)
        await ActivityEnvironment().run(self.finish.finish, CommandIds(self.mount, ended.leftovers))
        assert self.protocol.outcome(request.id).status is Status.SUCCEEDED


@pytest.mark.usefixtures("toy_kind")
async def test_commands_go_through_a_kind_that_is_a_folder_and_a_line(pool: Pool, tmp_path: Path) -> None:
    file, spool = tmp_path / "toy", str(tmp_path / "spool")
    settings = Settings(host_id="test-host", spool_path=spool)  # type: ignore[call-arg]
    id = await register.register(settings, pool, Routes(spool), register.new_mount(body_of(file), "main"), PLAIN)
    served = ServedMounts("test-host", spool)
    await served.refresh(pool)
    mount = Carried(pool, served, id)
    await mount.run(mount.upload("a", b"first"))
    await mount.run(mount.upload("a", b"second", overwrite=True))
    await mount.run(asked(CommandKind.MOVE, id, "a", target="b"))
    assert mount.executor.open(NodePath(b"b")).read(0, 10) == b"second"
    again = open_executor(served.known()[id], spool)
    again.check()
    assert [entry.path.raw for entry in again.walk()] == [b"b"], "it is kept in its file"
    await mount.run(delete(id, "b"))
    assert list(mount.executor.walk()) == []
    assert sorted(node.content or b"" for node in mount.executor.trash.values()) == [b"first", b"second"]
    with pytest.raises(InvalidRequest, match="never share files"):
        await register.register(settings, pool, Routes(spool), register.new_mount(body_of(file), "main"), PLAIN)
    async with pool.connection() as connection:
        await mounts.remove(connection, id)


def test_without_the_line_there_is_no_such_kind(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="there are local, s3"):
        body_of(tmp_path / "toy")
    mount = Mount(MountId(1), "main", "m", str(uuid.uuid4()), "toy", "/toy", None, None, "rw", "active", "here", 1)
    with pytest.raises(ExecutorNotFound):
        open_executor(mount, str(tmp_path))
    assert set(KINDS) == {"local", "s3"} and not isinstance(KINDS["local"], ToyKind)
