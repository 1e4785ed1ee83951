"""What a process makes sure of at every start: the bootstrap token, and the mounts of FILESTORE_BACKENDS_PATH.

A mount of the file is offline in this process until its row says what the file says: a row of yesterday may point at a
server that is a stranger's today, and nothing may be signed for that one.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import yaml

from activities.executors.kinds import prove_storage
from api.mounts.configured import TENANT, follow_configured, register_configured
from api.services import ExecutorsOfMounts
from schema import errors
from schema.mounts import Mount
from schema.secrets.configured import keyring_of
from schema.secrets.keyring import Keyring
from schema.settings import Settings
from schema.store import mounts, secrets, tokens
from schema.store.pool import Pool
from workers.engine.served import ServedMounts

log = structlog.get_logger("first-run")

AGAIN_FIRST_SECONDS, AGAIN_MAX_SECONDS = 0.5, 15.0

Follow = Callable[[Any], Awaitable[Mount | None]]


def read_mounts(path: str | None) -> list[Any]:
    """The `mounts` of a YAML or JSON file, or the file's own list. A file that can not be read has none, and the log
    says so."""
    if not path:
        return []
    try:
        text = Path(path).read_text(encoding="utf-8")
        found = json.loads(text) if path.endswith(".json") else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        log.error("the mount file can not be read", path=path, error=str(error))
        return []
    entries = found.get("mounts", []) if isinstance(found, dict) else found
    return entries if isinstance(entries, list) else []


def withhold(served: ServedMounts, entries: Sequence[Any]) -> None:
    """Before anything is served."""
    for entry in entries:
        if key := _key(entry):
            served.withhold(TENANT, key, "The mount is being compared with the configuration file.")


async def prepare(
    settings: Settings, pool: Pool, executors: ExecutorsOfMounts, served: ServedMounts, entries: Sequence[Any]
) -> None:
    """For the process that serves clients: it registers mounts that are not there yet."""
    keys = keyring_of(settings)
    new = await _unregistered(settings, pool, entries)
    await _seal_what_is_plain(pool, keys)
    follow = partial(register_configured, settings, pool, executors, keys)
    tries = [Try(served, entry, follow) for entry in entries]
    for one in tries:
        if one.entry in new:  # one after the other: their ids are in the order of the file
            await one.once()
    await _all(tries)
    await executors.refresh()


async def follow_all(settings: Settings, pool: Pool, served: ServedMounts, entries: Sequence[Any]) -> None:
    """For every other process: it leaves a mount that is not registered yet alone."""
    keys = keyring_of(settings)
    prove = partial(prove_storage, spool_path=settings.spool_path, keys=keys)
    await _all([Try(served, entry, partial(follow_configured, settings, pool, prove, keys)) for entry in entries])


async def _unregistered(settings: Settings, pool: Pool, entries: Sequence[Any]) -> list[Any]:
    """Runs once Postgres is there. Makes the bootstrap token valid before anything else."""
    while True:
        try:
            async with pool.connection() as connection:
                if settings.bootstrap_token:
                    await tokens.ensure_bootstrap(connection, settings.bootstrap_token)
                return [one for one in entries if not await mounts.finished(connection, TENANT, _key(one))]
        except Exception as error:
            log.warning("first run waits", error=repr(error))
            await asyncio.sleep(AGAIN_FIRST_SECONDS)


async def _seal_what_is_plain(pool: Pool, keys: Keyring) -> None:
    """Secrets that a release stored which did not seal them. What can not be sealed now goes on as it is."""
    try:
        async with pool.connection() as connection:
            if sealed := await secrets.reseal(connection, keys, plain_only=True):
                log.info("secrets were sealed", number=sealed)
    except Exception as error:
        log.error("secrets that are not sealed could not be", error=repr(error))


async def _all(tries: Sequence["Try"]) -> None:
    # At once: a storage that hangs holds up no other mount.
    await asyncio.gather(*(one.until_done() for one in tries))


@dataclass
class Try:
    """An entry of the file on its way to its mount."""

    served: ServedMounts
    entry: Any
    follow: Follow
    done: bool = False
    said: str = ""

    async def until_done(self) -> None:
        pause = AGAIN_FIRST_SECONDS
        while not self.done:
            await self.once()
            if not self.done:
                await asyncio.sleep(pause)
                pause = min(2 * pause, AGAIN_MAX_SECONDS)

    async def once(self) -> None:
        """The log names an entry that can not be understood once, and it is left out; all else is tried again."""
        try:
            mount = await self.follow(self.entry)
        except errors.InvalidRequest as error:
            log.error("a configured mount is refused", mount=_key(self.entry), code=error.code, message=error.message)
            self._release(None)
        except Exception as error:
            self._wait(error.message if isinstance(error, errors.FilestoreError) else repr(error))
        else:
            self._release(mount)

    def _wait(self, cause: str) -> None:
        if key := _key(self.entry):
            self.served.withhold(TENANT, key, cause)
        if cause != self.said:
            log.warning("a configured mount waits", mount=_key(self.entry), cause=cause)
        self.said = cause

    def _release(self, mount: Mount | None) -> None:
        if mount is not None:
            self.served.learn(mount)  # before it is served: an older row is not taken any more
        self.served.release(TENANT, _key(self.entry))
        self.done = True


def _key(entry: Any) -> str:
    """Empty where the entry names none."""
    key = entry.get("mountKey") if isinstance(entry, dict) else None
    return key if isinstance(key, str) else ""
