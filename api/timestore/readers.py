"""The processes that read the lake for this one. Each answers one question at a time; one that takes too long is ended, and with it
its process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from starlette.requests import Request

from schema.errors import BY_CODE, InvalidRequest, Overloaded, Unavailable
from schema.settings import Settings

PROCESSES = 2
START_SECONDS = 20.0
"""A process that starts loads its extensions first."""
LINE_MAX = 2**20


@dataclass(frozen=True, slots=True)
class Reading:
    body: bytes
    truncated: bool


class Readers:
    """Lives on the HTTP loop."""

    def __init__(self, settings: Settings) -> None:
        self._place = {
            "database_url": settings.database_url, "path": settings.timestore_path, "memory_bytes": settings.timestore_memory_bytes,
            "s3_endpoint": settings.timestore_s3_endpoint, "s3_region": settings.timestore_s3_region,
            "s3_key": settings.timestore_s3_key, "s3_secret": settings.timestore_s3_secret,
        }  # fmt: skip
        self._seconds, self._wait_seconds = settings.timestore_seconds, settings.read_wait_seconds
        self._turns = asyncio.Semaphore(PROCESSES)
        self._idle: list[asyncio.subprocess.Process] = []

    async def ask(self, question: Mapping[str, Any]) -> Reading:
        """Raises InvalidRequest, Unavailable, Overloaded."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise Overloaded("All processes that read the Timestore are busy. Try again shortly.") from None
        try:
            return await self._asked(question)
        finally:
            self._turns.release()

    def close(self) -> None:
        for process in self._idle:
            with suppress(ProcessLookupError):
                process.kill()
        self._idle = []

    async def _asked(self, question: Mapping[str, Any]) -> Reading:
        process, fresh = await self._process()
        answered = False
        try:
            async with asyncio.timeout(self._seconds + (START_SECONDS if fresh else 0.0)):
                reading = await self._answer(process, question)
            answered = True
            return reading
        except TimeoutError:
            raise InvalidRequest(
                f"The query took longer than {self._seconds:g} s and was given up. Ask for less time, or fewer steps.",
                fields=[{"field": "sql" if "sql" in question else "from", "message": "takes too long"}],
            ) from None
        except (ConnectionError, asyncio.IncompleteReadError, ValueError) as error:
            raise Unavailable(
                "The process that reads the Timestore has ended; it may have run out of memory."
            ) from error
        except (InvalidRequest, Unavailable):
            answered = True
            raise
        finally:
            if answered:
                self._idle.append(process)
            else:
                await _end(process)

    async def _process(self) -> tuple[asyncio.subprocess.Process, bool]:
        """One that lives, and whether it has just been started."""
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process, False
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "workers.reader",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_MAX,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(self._place).encode() + b"\n")
        return process, True

    async def _answer(self, process: asyncio.subprocess.Process, question: Mapping[str, Any]) -> Reading:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(question).encode() + b"\n")
        await process.stdin.drain()
        head = json.loads(await process.stdout.readline())
        if head["ok"]:
            return Reading(await process.stdout.readexactly(head["size"]), head["truncated"])
        if head["code"] == "UNAVAILABLE":
            raise Unavailable(f"The Timestore can not be read: {head['message']} Does its consumer run?")
        kind = BY_CODE.get(head["code"], InvalidRequest)
        raise kind(head["message"], **(head["details"] or {}))


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def readers_of(request: Request) -> Readers:
    return cast(Readers, request.scope["app"].state.readers)
