"""The floor: what the same machine does when a command does nothing. Same shape, no logic.

A FastAPI front, lists gathered in two lanes, one eager workflow per list with three local activities, two bare set
transactions, and the same flushes on the disk: `mkdir` makes a directory in a stage folder, flushes that, renames it,
flushes both folders; `upload` writes and flushes a file first; `move` renames a file into another folder and flushes both;
`copy` makes and flushes a copy in the stage folder, then renames and flushes as `mkdir` does; `metadata` touches no file.
No keys, no claims, no verdicts, no errors.

    python -m tests.bench.floor <port> <root>      (servers by the usual variables)
"""

import asyncio
import os
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Literal

import uvicorn
import uvloop
from fastapi import FastAPI, Request
from pydantic import BaseModel
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

with workflow.unsafe.imports_passed_through():
    from activities.executors.syscalls import sync_file_range
    from schema.store.pool import make_pool

LIST_MAX, LANES = 64, 2

TABLES = """
drop schema if exists floor cascade; create schema floor;
create table floor.journal (id bigserial primary key, principal text, key text, path text, status text, unique (principal, key));
create table floor.node (id bigserial primary key, directory bigint, name text collate "C", inode bigint,
  metadata jsonb, unique (directory, name));
create table floor.outbox (id bigserial primary key, payload text);
create table floor.delta (id bigserial primary key, node bigint, bytes bigint);
"""


@workflow.defn(name="Floor")
class Floor:
    @workflow.run
    async def run(self, items: list[dict[str, Any]]) -> int:
        policy: dict[str, Any] = {"start_to_close_timeout": timedelta(seconds=30)}
        ids = await workflow.execute_local_activity("floor_begin", items, **policy)
        inodes = await workflow.execute_local_activity("floor_apply", items, **policy)
        return int(await workflow.execute_local_activity("floor_commit", [items, ids, inodes], **policy))


class FloorActivities:
    def __init__(self, root: str, answer: Any) -> None:
        self.pool = make_pool(os.environ["FILESTORE_DATABASE_URL"], name="floor", min_size=4, max_size=8)
        self.threads, self.answer = ThreadPoolExecutor(8), answer
        os.makedirs(f"{root}/stage", exist_ok=True)
        os.makedirs(f"{root}/moved", exist_ok=True)
        self.root, self.stage, self.moved = (
            os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (root, f"{root}/stage", f"{root}/moved")
        )

    @activity.defn(name="floor_begin")
    async def begin(self, items: list[dict[str, Any]]) -> list[int]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                "insert into floor.journal (principal, key, path, status) select 'p', k, p, 'started'"
                " from unnest(%s::text[], %s::text[]) t(k, p) returning id",
                ([i["key"] for i in items], [i["path"] for i in items]),
            )
            return [row["id"] for row in await cursor.fetchall()]

    def seal(self, items: list[dict[str, Any]], bodies: list[bytes | None]) -> None:
        files = []
        if items[0]["kind"] not in ("mkdir", "upload"):
            return
        for item, body in zip(items, bodies, strict=True):
            if body is None:
                os.mkdir(item["path"], dir_fd=self.stage)
            else:
                file = os.open(item["path"], os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=self.stage)
                os.write(file, body)
                files.append(file)
        self.flush(files)

    def flush(self, files: list[int]) -> None:
        for file in files:
            sync_file_range(file)
        for file in files:
            os.fsync(file)
            os.close(file)
        os.fsync(self.stage)

    def copy(self, item: dict[str, Any]) -> int:
        source = os.open(item["path"], os.O_RDONLY, dir_fd=self.root)
        file = os.open(item["path"], os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=self.stage)
        try:
            os.copy_file_range(source, file, os.fstat(source).st_size)
        finally:
            os.close(source)
        return file

    def appear(self, items: list[dict[str, Any]], origin: int, target: int) -> list[int]:
        for item in items:
            os.rename(item["path"], item["path"], src_dir_fd=origin, dst_dir_fd=target)
        inodes = [os.stat(item["path"], dir_fd=target).st_ino for item in items]
        os.fsync(target)
        os.fsync(origin)
        return inodes

    @activity.defn(name="floor_apply")
    async def apply(self, items: list[dict[str, Any]]) -> list[int]:
        def act() -> list[int]:
            match items[0]["kind"]:
                case "metadata":
                    return [0] * len(items)
                case "move":
                    return self.appear(items, self.root, self.moved)
                case "copy":
                    self.flush([self.copy(item) for item in items])
                    return self.appear(items, self.stage, self.moved)
                case _:
                    return self.appear(items, self.stage, self.root)

        return await asyncio.get_running_loop().run_in_executor(self.threads, act)

    @activity.defn(name="floor_commit")
    async def commit(self, given: list[Any]) -> int:
        items, ids, inodes = given
        async with self.pool.connection() as connection, connection.pipeline():
            names, kind = [i["path"] for i in items], items[0]["kind"]
            if kind in ("move", "metadata"):
                change = "directory = 2" if kind == "move" else "metadata = '{\"n\": 1}'"
                await connection.execute(
                    f"update floor.node n set {change} from unnest(%s::text[]) m(name)"
                    " where n.directory = 1 and n.name = m.name",
                    (names,),
                )
            else:
                await connection.execute(
                    "insert into floor.node (directory, name, inode)"
                    " select %s, * from unnest(%s::text[], %s::bigint[])",
                    (2 if kind == "copy" else 1, names, inodes),
                )
            await connection.execute("update floor.journal set status = 'succeeded' where id = any(%s)", (ids,))
            await connection.execute(
                "insert into floor.outbox (payload) select * from unnest(%s::text[])", (["{}"] * len(ids),)
            )
            await connection.execute(
                "insert into floor.delta (node, bytes) select 1, 1 from unnest(%s::bigint[])", (ids,)
            )
        self.answer(items)
        return len(ids)


class FloorEngine:
    def __init__(self, root: str) -> None:
        self.root, self.ready = root, threading.Event()
        self.waiting: dict[str, asyncio.Future[None]] = {}
        threading.Thread(target=lambda: uvloop.run(self.main()), daemon=True).start()
        self.ready.wait()

    async def main(self) -> None:
        self.loop, self.queue = asyncio.get_running_loop(), asyncio.Queue[tuple[dict[str, Any], bytes | None]]()
        self.activities = a = FloorActivities(self.root, self.answer)
        await a.pool.open(wait=True)
        async with a.pool.connection() as connection:
            await connection.execute(TABLES)
        self.client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
        worker = Worker(
            self.client, task_queue="floor", workflows=[Floor], activities=[a.begin, a.apply, a.commit],
            workflow_runner=UnsandboxedWorkflowRunner(), max_cached_workflows=500, no_remote_activities=True,
        )  # fmt: skip
        async with worker:
            self.ready.set()
            await asyncio.gather(*[self.lane() for _ in range(LANES)])

    async def lane(self) -> None:
        while True:
            batch = [await self.queue.get()]
            while len(batch) < LIST_MAX and not self.queue.empty():
                batch.append(self.queue.get_nowait())
            items, bodies = [item for item, _ in batch], [body for _, body in batch]
            await asyncio.get_running_loop().run_in_executor(
                self.activities.threads, self.activities.seal, items, bodies
            )
            await self.client.execute_workflow(
                "Floor", items, id=uuid.uuid4().hex, task_queue="floor", request_eager_start=True
            )

    def answer(self, items: list[dict[str, Any]]) -> None:
        for item in items:
            future = self.waiting.pop(item["key"])
            future.get_loop().call_soon_threadsafe(future.set_result, None)

    async def submit(self, kind: str, path: str, body: bytes | None = None) -> None:
        item: dict[str, Any] = {"path": path, "key": uuid.uuid4().hex, "kind": kind}
        future = self.waiting[item["key"]] = asyncio.get_running_loop().create_future()
        self.loop.call_soon_threadsafe(self.queue.put_nowait, (item, body))
        await future


class Path(BaseModel):
    path: str


def main(port: int, root: str) -> None:
    app, engine = FastAPI(), FloorEngine(root)

    @app.post("/upload")
    async def upload(request: Request) -> dict[str, str]:
        form = await request.form()
        file: Any = form["file"]
        path = str(form["path"])
        await engine.submit("upload", path, await file.read())
        return {"path": path}

    @app.post("/{kind}")
    async def change(kind: Literal["mkdir", "move", "copy", "metadata"], body: Path) -> dict[str, str]:
        await engine.submit(kind, body.path)
        return {"path": body.path}

    uvicorn.run(
        app, host="127.0.0.1", port=port, log_level="warning", access_log=False, loop="uvloop", http="httptools"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
