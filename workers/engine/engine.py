"""A thread with its own event loop: the Temporal client, the workers of this host's mounts, and the dispatch if there is one.

Apart from the HTTP loop on purpose: eager starts need client and worker in one process, and neither may hold up the other.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import structlog
import uvloop
from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.access.carry_out import CarryOut
from api.dispatch.dispatch import Dispatch
from schema.commands.payloads import Batch
from schema.errors import Unavailable
from schema.ids import MountId
from schema.mounts import Mount
from schema.settings import Settings
from schema.store.pool import Pool
from workers.engine import attributes
from workers.engine.queues import Activities, acts_worker, bulk_worker, control_worker, mutation_worker
from workers.engine.served import ServedMounts
from workers.engine.starting import Starting
from workflows.client import connect
from workflows.commands.start import started_here

log = structlog.get_logger("engine")

T = TypeVar("T")

_REFRESH_SECONDS = 1.0


async def _ended(begin: Callable[..., Awaitable[T]], client: Client, named: Mapping[str, Any]) -> T:
    try:
        return await begin(client, **named)
    except (RPCError, WorkflowFailureError) as error:
        raise Unavailable("Temporal did not carry it out. Send the same again: it is done once.") from error


class Engine:
    """`dispatch` is None in a process that serves no clients; that one does the background work of its host instead."""

    def __init__(
        self,
        settings: Settings,
        pool: Pool,
        served: ServedMounts,
        activities: Activities,
        close_bus: Callable[[], Awaitable[None]],
        dispatch: Dispatch | None,
    ) -> None:
        """The pool is not open yet: it belongs to the loop of this thread, and so does the bus."""
        self.settings, self.pool, self._served, self._dispatch = settings, pool, served, dispatch
        self.activities, self._close_bus = activities, close_bus
        self._workers: dict[MountId | str, tuple[Worker, asyncio.Task[None]]] = {}
        self.client: Client | None = None
        self._starting = Starting(pool)
        self._end = float("inf")

    # Life: `run` is the body of the thread

    def start(
        self, background: Callable[["Engine"], Awaitable[None]] | None = None, acts: CarryOut | None = None
    ) -> None:
        """Returns when the loop runs; servers that are not there yet are waited for in the background. `acts`: of a process that
        has the routes."""
        self._background, self._acts = background, acts
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        uvloop.run(self._main())

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        await self.pool.open(wait=False)
        if self._dispatch is not None:
            await self._dispatch.open(self.pool, self._start_commands, self._meet)
        self._ready.set()
        tasks = [
            asyncio.create_task(self._serve()),
            asyncio.create_task(self.activities.publish.run()),
        ]
        if self._background is not None:
            tasks.append(asyncio.ensure_future(self._background(self)))
        await self._stop.wait()
        await self._shut_down(tasks)

    async def _shut_down(self, tasks: list[asyncio.Task[None]]) -> None:
        """Take no new work. What runs may finish; another process resumes what does not."""
        if self._dispatch is not None:
            await self._in_time(self._dispatch.drain())
        self._starting.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._in_time(asyncio.gather(*(worker.shutdown() for worker, _ in self._workers.values())))
        if self._dispatch is not None:
            await self._dispatch.close()
        await self._close_bus()
        await self.pool.close(timeout=1)

    async def _in_time(self, work: Awaitable[object]) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(work, max(1.0, self._end - time.monotonic()))

    def _ending(self) -> None:
        """The time to drain runs from the first call on."""
        self._end = min(self._end, time.monotonic() + self.settings.drain_seconds)

    def drain(self) -> None:
        """From another thread: take no new commands; returns when those under way are answered, or the time for it is
        over."""
        self._ending()
        if self._dispatch is None:
            return
        future = asyncio.run_coroutine_threadsafe(self._dispatch.drain(), self.loop)
        with suppress(TimeoutError):
            future.result(timeout=max(0.0, self._end - time.monotonic()))

    def stop(self) -> None:
        """From another thread: drain, shut down, join."""
        self._ending()
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=self.settings.drain_seconds + 10)

    # Mounts come and go

    def served_mounts(self) -> list[MountId]:
        return [mount.id for mount in self._served.here() if mount.id in self._workers]

    def resting_mounts(self) -> list[MountId]:
        """The mounts that are switched off with nothing under way, and those that were removed."""
        resting = [mount.id for mount in self._served.here() if self._served.rests(mount.id)]
        return [*resting, *self._served.removed()]

    @property
    def queues(self) -> int:
        """How many task queues of Temporal are polled here. From any thread."""
        return len(self._workers)

    def refresh(self) -> None:
        """From another thread: a mount was made or changed."""
        self.loop.call_soon_threadsafe(self._changed.set)

    def announce(self) -> None:
        """From another thread: there are new events to publish."""
        self.loop.call_soon_threadsafe(self.activities.publish.announce)

    def start_workflow(self, begin: Callable[..., Awaitable[None]], /, **named: Any) -> None:
        """From another thread: `begin(client, **named)` starts or wakes a workflow. Where that fails, the background work of the
        mount's host does it."""
        asyncio.run_coroutine_threadsafe(self._start_workflow(begin, named), self.loop)

    async def carry(self, begin: Callable[..., Awaitable[T]], /, **named: Any) -> T:
        """From another loop: `begin(client, **named)` starts a workflow and waits for its end. Raises Unavailable."""
        client = self.client
        if client is None or self._starting.silent:
            raise Unavailable("Temporal does not answer. Nothing was changed; send the same again.")
        future = asyncio.run_coroutine_threadsafe(_ended(begin, client, named), self.loop)
        return await asyncio.wrap_future(future)

    async def _start_workflow(self, begin: Callable[..., Awaitable[None]], named: Mapping[str, Any]) -> None:
        try:
            if self.client is not None:
                await begin(self.client, **named)
        except RPCError as error:
            told = {name: str(value) for name, value in named.items()}
            log.warning("a workflow waits for the background work", begins=begin.__name__, error=str(error), **told)

    async def _serve(self) -> None:
        client = await self._connected()
        await attributes.make_sure(client)
        self.client = client
        if self._dispatch is None:
            self._run_worker("control", control_worker(self.settings, self.client, self.activities))
        if self._acts is not None:
            self._run_worker("acts", acts_worker(self.settings, self.client, self.activities, self._acts))
        while True:
            self._changed.clear()
            try:
                await self._match(await self._served.refresh(self.pool))
            except Exception as error:
                log.warning("mounts could not be read", error=repr(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_SECONDS):
                    await self._changed.wait()

    async def _connected(self) -> Client:
        while True:
            try:
                return await connect(self.settings.temporal_address, self.settings.temporal_namespace)
            except (RPCError, RuntimeError) as error:
                log.warning("Temporal is not reachable", address=self.settings.temporal_address, error=str(error))
                await asyncio.sleep(0.5)

    async def _match(self, mounts: list[Mount]) -> None:
        """Keep exactly one set of workers per mount of this host. A process with clients serves every mount, because
        one that is switched off has to say so."""
        assert self.client is not None
        wanted: dict[MountId | str, Callable[[], Worker]] = {}
        for mount in mounts:
            part = (self.settings, self.client, mount.id, self.activities)
            if self._dispatch is not None or not self._served.rests(mount.id):
                wanted[mount.id] = partial(mutation_worker, *part)
            if self._dispatch is None and not self._served.rests(mount.id):
                wanted[f"bulk {mount.id}"] = partial(bulk_worker, *part)
        for name in wanted.keys() - self._workers.keys():
            self._run_worker(name, wanted[name]())
        for name in self._workers.keys() - wanted.keys() - {"control", "acts"}:
            worker, _ = self._workers.pop(name)
            await worker.shutdown()

    def _run_worker(self, name: MountId | str, worker: Worker) -> None:
        self._workers[name] = worker, asyncio.create_task(self._kept_running(name, worker))

    async def _kept_running(self, name: MountId | str, worker: Worker) -> None:
        try:
            await worker.run()
        except Exception as error:
            # A worker object is single-use; the next refresh makes a new one.
            log.warning("a worker stopped", worker=str(name), error=repr(error))
            self._workers.pop(name, None)

    # Commands

    async def _meet(self, mount: MountId) -> None:
        """A mount is served from its first command on, also where another process registered it a moment ago."""
        if mount not in self._workers and self.client is not None:
            await self._match(await self._served.refresh(self.pool))

    async def _start_commands(self, commands: Batch) -> Callable[[], Awaitable[object]]:
        handle = await self._starting.start(self.client, commands)
        if self._dispatch is not None and not started_here(handle):
            # Another process may run it: it needs the locks of the stages, and will look whether they are still there.
            self._dispatch.unlock([request.id for request in commands.requests])
        return partial(self._starting.end, handle)
