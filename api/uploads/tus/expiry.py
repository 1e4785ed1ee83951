"""Removes uploads that no client went on with: every now and then, by each API process, for its host."""

import asyncio
import os
import time

import structlog

from api.services import Front
from api.uploads.ending import FORGET_SECONDS
from api.uploads.remembered import Gone, UploadLocked, is_id
from api.uploads.tus import area
from api.uploads.tus.chunks import SPOOL
from schema.store import uploads as store

log = structlog.get_logger(__name__)

ORPHAN_SECONDS = 3600.0
"""How much older than an upload is kept a file without one has to be. Another installation may use the same folder."""


async def expire_uploads(front: Front) -> int:
    """How many were removed. Those in use are left alone; those that go straight to a bucket belong to no host."""
    folder, host = area.folder_of(front.services.settings), front.services.settings.host_id
    removed, place = 0, store.BEGINNING
    while page := await _page(front, host, place):
        removed += sum([await _expire(front, folder, id) for _, id in page])
        place = page[-1]
    await _clear_orphans(front, folder)
    async with front.services.pool.connection() as connection:
        removed += await store.expire_direct(connection, FORGET_SECONDS)
        await store.forget(connection)
    return removed


async def _page(front: Front, host: str, after: store.Place) -> list[store.Place]:
    async with front.services.pool.connection() as connection:
        return await store.overdue(connection, host, after)


async def _expire(front: Front, folder: str, id: str) -> bool:
    try:
        file = await front.threads.run(SPOOL, area.find, folder, id)
    except Gone:
        file = None
    except UploadLocked:
        return False
    try:
        async with front.services.pool.connection() as connection:
            expired = await store.expire(connection, id, FORGET_SECONDS)
        if expired and file is not None:
            await front.threads.run(SPOOL, file.remove)
        return expired
    finally:
        if file is not None:
            file.close()


async def _clear_orphans(front: Front, folder: str) -> None:
    """Files whose rows say that they are not needed, or that have none: a crash came between the one and the other."""
    old = front.services.settings.upload_keep_seconds + ORPHAN_SECONDS
    names = await front.threads.run(SPOOL, _older, folder, old)
    if not names:
        return
    async with front.services.pool.connection() as connection:
        needed = await store.still_open(connection, names)
    for name in names:
        if name not in needed:
            await front.threads.run(SPOOL, _remove, folder, name)


def _older(folder: str, seconds: float) -> list[str]:
    before = time.time() - seconds
    found = []
    for name in area.entries(folder):
        try:
            if is_id(name) and os.stat(os.path.join(folder, name)).st_mtime < before:
                found.append(name)
        except FileNotFoundError:
            continue
    return found


def _remove(folder: str, name: str) -> None:
    try:
        file = area.find(folder, name)
    except (Gone, UploadLocked):
        return
    try:
        file.remove()
    finally:
        file.close()


async def expire_for_ever(front: Front) -> None:
    """Until it is cancelled. Postgres can be away: then later."""
    while True:
        try:
            if removed := await expire_uploads(front):
                log.info("uploads expired", uploads=removed)
        except Exception as error:
            log.warning("expiring uploads waits", error=repr(error))
        await asyncio.sleep(front.services.settings.sweep_seconds)
