"""A subtree goes back to a time: whatever happened since, the items of the plan make it what it was."""

import random
from datetime import datetime
from typing import Any

import pytest

from schema.commands.command import Command, CommandKind
from schema.ids import MountId, new_command_id
from schema.operations.commands import command_of
from schema.operations.operation import ItemKind, ItemState, Operation, OperationItem, OperationKind, Options
from schema.paths import NodePath
from schema.store import begin as begin_store
from schema.store import operation_turns as turn_store
from schema.store import operations as store
from schema.store import past
from schema.store.pool import Pool
from tests.store.helpers import Protocol, asked, delete, mkdir, upload
from tests.store.test_restores import Plans, plans

__all__ = ["plans"]

TREE = """SELECT p.directory_path || n.name AS path, n.id, n.kind::text, n.sha256, n.size_bytes AS size, n.metadata
            FROM filestore.nodes n JOIN filestore.nodes p ON p.id = n.parent_id
           WHERE n.mount_id = %s AND n.state <> 'deleted'"""
Tree = dict[str, tuple[object, ...]]


async def tree_of(plans: Plans) -> Tree:
    """By path; a directory is what it holds, whatever its id."""
    async with plans.pool.connection() as connection:
        rows = await (await connection.execute(TREE, (plans.mount,))).fetchall()
    return {
        bytes(row["path"]).decode(): (row["kind"],) if row["kind"] == "directory"
        else (row["kind"], row["id"], bytes(row["sha256"]).hex(), row["size"], str(row["metadata"]))
        for row in rows
    }  # fmt: skip


async def now(pool: Pool) -> datetime:
    async with pool.connection() as connection:
        return await past.now(connection)


async def change(plans: Plans, dice: random.Random) -> None:
    """Something that a program or a person does."""
    tree, mount = await tree_of(plans), plans.mount
    directories = ["", *(path for path, (kind, *_) in tree.items() if kind == "directory")]
    path = dice.choice(sorted(tree)) if tree else ""
    into = dice.choice(sorted(directories))
    new = f"{into}/{dice.choice('abcfgh')}".strip("/")
    digest = f"{dice.randrange(256):02x}" * 32
    match dice.choice(["mkdir", "upload", "upload", "overwrite", "delete", "move", "move", "describe"]):
        case "mkdir" if new not in tree:
            await plans.run(mkdir(mount, new))
        case "upload" if new not in tree:
            await plans.run(upload(mount, new, dice.randrange(9), sha256=digest))
        case "overwrite" if path and tree[path][0] == "file":
            await plans.run(upload(mount, path, dice.randrange(9), overwrite=True, sha256=digest))
        case "delete" if path:
            await plans.run(delete(mount, path, recursive=tree[path][0] == "directory"))
        case "move" if path and new not in tree and not f"{new}/".startswith(f"{path}/"):
            await plans.run(asked(CommandKind.MOVE, mount, path, target=new))
        case "describe" if path and tree[path][0] == "file":
            await describe(plans, asked(CommandKind.DESCRIBE, mount, path, has_metadata=True), {"n": digest[:2]})
        case _:
            pass


async def describe(plans: Plans, command: Command, metadata: dict[str, Any]) -> None:
    async with plans.pool.connection() as connection:
        await begin_store.keep_metadata(connection, plans.mount, [(command, {"set": metadata, "unset": []})])
    await plans.protocol.run(plans.mount, command)


async def carry_out(plans: Plans, at: datetime, path: str = "") -> list[OperationItem]:
    """Plan it, and do one item after the other, as a runner does. Returns the items as they ended."""
    options = Options(as_of=at, remove_new=True)
    operation, items = await planned(plans, options, path)
    for item in items:
        if item.state is not ItemState.PENDING:
            continue
        step = item
        metadata = None
        if item.kind is ItemKind.DESCRIBE:
            async with plans.pool.connection() as connection:
                before, after = (await turn_store.described(connection, [item]))[item.item]
            metadata = {"set": dict(before), "unset": [key for key in after if key not in before]}
        await one(
            plans.protocol,
            plans.mount,
            command_of(operation, step, new_command_id(), metadata=metadata),
            plans.pool,
            metadata,
        )
    async with plans.pool.connection() as connection:
        return await store.items(connection, operation.id, states=None, codes=None, after=-1, limit=1000)


async def planned(plans: Plans, options: Options, path: str = "") -> tuple[Operation, list[OperationItem]]:
    operation = Operation(
        id="", tenant="main", principal="ann", token_id=1, kind=OperationKind.RESTORE, mount_id=plans.mount,
        path=NodePath(path.encode()), options=options,
    )  # fmt: skip
    _, items = await plans.items(path, options=options)
    async with plans.pool.connection() as connection:
        row = await (await connection.execute("SELECT max(id::text) AS id FROM filestore.operations")).fetchone()
        assert row is not None
        locked = await store.lock(connection, row["id"])
        await connection.execute(
            "UPDATE filestore.operations SET state = 'running', claimed = true WHERE id = %s", (row["id"],)
        )
    assert locked is not None and locked.operation.path == operation.path
    return locked.operation, items


async def one(
    protocol: Protocol, mount: MountId, command: Command, pool: Pool, metadata: dict[str, Any] | None
) -> None:
    if command.kind is CommandKind.CREATE_DIRECTORY:
        command = mkdir(mount, command.path, operation_id=command.operation_id, item=command.item)
    if metadata is not None:
        async with pool.connection() as connection:
            await begin_store.keep_metadata(connection, mount, [(command, metadata)])
    begun = await protocol.begin(mount, [command])
    for going in begun.unstaged:
        async with pool.connection() as connection:
            await connection.execute(
                "UPDATE filestore.commands SET intent = intent || jsonb_build_object('stage', id, 'staged',"
                " '[0,7,7,0,7,7,0,420,1]'::jsonb) WHERE id = %s", (going.id,),
            )  # fmt: skip
    await protocol.commit(mount, [protocol.applied(going.id, going.attempt) for going in [*begun.go, *begun.unstaged]])


@pytest.mark.sampled(8)
@pytest.mark.parametrize("seed", range(200))
async def test_whatever_happened_since_the_tree_is_what_it_was(plans: Plans, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(6):
        await change(plans, dice)
    at, before = await now(plans.pool), await tree_of(plans)
    for _ in range(8 + seed % 17):
        await change(plans, dice)
    items = await carry_out(plans, at)
    listed = [
        (one.item, one.kind, one.path.text, one.target and one.target.text, one.state, one.code, one.message)
        for one in items
    ]
    assert await tree_of(plans) == before, listed
    assert {one.state for one in items} <= {ItemState.DONE, ItemState.SKIPPED}, listed
