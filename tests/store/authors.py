"""Commands under names in the record, and undos by selection of them."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from schema.commands.command import Command, CommandKind
from schema.ids import CommandId, MountId
from schema.operations.operation import ItemState, Operation, OperationKind
from schema.operations.undo_selection import UndoSelection
from schema.paths import ROOT
from schema.store import leftovers
from tests.store.helpers import asked
from tests.store.operation_rows import Runner, asked_for, now

KIND = CommandKind


@dataclass
class Author:
    """Sends commands under a name."""

    name: str
    runner: Runner
    mount: MountId

    def command(self, kind: CommandKind, path: str, **changes: Any) -> Command:
        values: dict[str, Any] = {"principal": self.name, "size": 5, "sha256": uuid4().hex * 2} | changes
        if kind is not KIND.UPLOAD:
            del values["size"], values["sha256"]
        values["hash"] = uuid4().hex * 2
        return asked(kind, self.mount, path, **values)

    async def __call__(self, kind: CommandKind, path: str, **changes: Any) -> CommandId:
        command = self.command(kind, path, **changes)
        protocol = self.runner.protocol
        begun = await protocol.begin(command.runs_on, [command])
        assert begun.go or begun.unstaged or begun.long, protocol.audience.verdicts
        await self.runner.end(begun)
        await protocol.commit(command.runs_on, [protocol.applied(id) for id in begun.long])
        async with self.runner.pool.connection() as connection:
            left = [one for on in command.mounts for one in await leftovers.leftovers(connection, on, [command.id])]
            await leftovers.close_leftovers(connection, [one.cleanup for one in left])
        return command.id

    async def mkdir(self, *paths: str) -> None:
        for path in paths:
            await self(KIND.CREATE_DIRECTORY, path)

    async def put(self, *paths: str, **changes: Any) -> None:
        for path in paths:
            await self(KIND.UPLOAD, path, overwrite=True, **changes)

    async def undo(self, selection: UndoSelection, *mounts: MountId, **values: Any) -> Operation:
        there = list(mounts) or [self.mount]
        selection = replace(selection, mounts=tuple(mounts))
        operation = await asked_for(
            self.runner.pool, there[0], kind=OperationKind.UNDO, path=ROOT, undo=selection, principal=self.name,
            subtrees=[(mount, ROOT) for mount in there], **values,
        )  # fmt: skip
        await self.runner.plan(operation)
        return operation

    async def undone(self, selection: UndoSelection, *mounts: MountId) -> tuple[str, dict[str, str]]:
        """How it ends, and what is left, with its codes."""
        operation = await self.undo(selection, *mounts)
        state = await self.runner.to_the_end(operation)
        _, items = await now(self.runner.pool, operation)
        left = [(one.path.text, str(one.code)) for one in items if one.state in (ItemState.SKIPPED, ItemState.FAILED)]
        assert len(left) == len(set(left)), f"nothing is listed twice: {left}"
        return state, dict(left)
