"""The consistency check: `python -m workers.check [--mount KEY] [--level structure|content] [--sweep] [--json]`.

Reads the record of each mount, lists its storage, and says where they differ: `schema/check` names what must be
true. `--level content` reads every file and compares its SHA-256. `--sweep` first carries every running command to its
end and sweeps, so that whatever is left belongs to no command; it needs Temporal and a worker of this host.

Exit codes: 0 nothing is wrong (notices may be shown), 1 findings, 2 usage, 3 something could not be checked.
"""

import argparse
import asyncio
import hashlib
import json
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict

import psycopg
from psycopg_pool import PoolTimeout
from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError

from activities.executors.contract.executor import Executor, Locks
from activities.executors.contract.listing import Entry as StorageEntry
from activities.executors.kinds import open_executor
from schema import check, errors
from schema.check import Finding, FindingKind, ListedFacts, RecordFacts, Severity, StageEntry, StorageFacts
from schema.ids import CommandId, MountId
from schema.mounts import Mount
from schema.nodes import NodeKind
from schema.paths import NodePath
from schema.secrets.configured import keyring_of
from schema.settings import Settings
from schema.store import check as store
from schema.store import leftovers
from schema.store import mounts as mount_store
from schema.store.pool import Pool
from workers import wiring
from workers.engine.background import resume_overdue
from workers.process import logs
from workflows.client import connect
from workflows.events.publish import PublishEvents
from workflows.queues import CONTROL_QUEUE, bulk_queue
from workflows.upkeep.sweep_mount import SweepMount

LEVELS = ("structure", "content")
_ROUNDS = 3
"""A mount that is written to while it is looked at is looked at again, so often."""
_SWEEP_SECONDS = 60.0
_SETTLE_SECONDS = 5.0
"""What a command does after its answer (its leftovers, the positions of its events) is waited for so long."""
_CHUNK = 1 << 20


class UnknownMount(Exception):
    """There is no mount with this key."""


async def check_all(
    settings: Settings, *, level: str, mounts: Sequence[str] | None = None, sweep: bool = False
) -> list[Finding]:
    """Check these mounts (by key), or all of them. What can not be checked is a finding of the kind `unchecked`.

    Raises UnknownMount.
    """
    try:
        async with wiring.connections_of_a_command(settings) as pool:
            chosen = await _chosen(pool, mounts)
            findings = await _swept(settings, pool, chosen) if sweep else []
            for mount in chosen:
                findings += [_of_mount(mount, finding) for finding in await _check_mount(settings, pool, mount, level)]
            return findings + await _check_feed(pool)
    except (PoolTimeout, psycopg.Error) as error:
        return [_unchecked("(all)", f"Postgres: {error}")]


async def _chosen(pool: Pool, keys: Sequence[str] | None) -> list[Mount]:
    async with pool.connection() as connection:
        every = await mount_store.every(connection)
    if keys is None:
        return every
    for key in keys:
        if key not in {mount.mount_key for mount in every}:
            raise UnknownMount(f"There is no mount {key!r}.")
    return [mount for mount in every if mount.mount_key in keys]


def _of_mount(mount: Mount, finding: Finding) -> Finding:
    return Finding(finding.kind, f"{mount.mount_key}: {finding.where}", finding.message, finding.severity)


def _unchecked(where: str, why: str) -> Finding:
    return Finding(FindingKind.UNCHECKED, where, why)


# One mount ------------------------------------------------------------------------------------------------------------


async def _check_mount(settings: Settings, pool: Pool, mount: Mount, level: str) -> list[Finding]:
    """Findings on a mount that stood still while it was looked at."""
    for _ in range(_ROUNDS):
        async with pool.connection() as connection:
            record, before = await store.record(connection, mount.id)
        storage, unchecked = await _storage(settings, mount, record, level)
        findings = check.check(record, storage, stage_max_age=settings.stage_max_age_seconds) + unchecked
        async with pool.connection() as connection:
            after = await store.last_entry(connection, mount.id)
        if before == after or not findings:
            return findings
    return [_unchecked("(mount)", "Commands ended while it was looked at; it could not be compared with its storage.")]


async def _storage(
    settings: Settings, mount: Mount, record: RecordFacts, level: str
) -> tuple[StorageFacts | None, list[Finding]]:
    if not record.nodes:
        return None, []  # a mount whose registration was never finished
    if mount.host_id != settings.host_id:
        return None, [_unchecked("(mount)", f"It is served on host {mount.host_id!r}; this is {settings.host_id!r}.")]
    try:
        executor = open_executor(mount, settings.spool_path, keyring_of(settings))
        return await asyncio.to_thread(look, executor, check.wanted_places(record), content=level == "content"), []
    except errors.FilestoreError as error:
        return None, [_unchecked("(mount)", f"{error.code}: {error.message}")]
    except OSError as error:
        return None, [_unchecked(str(error.filename or "(mount)"), f"It can not be read: {error.strerror}.")]


def look(executor: Executor, places: Sequence[bytes], *, content: bool) -> StorageFacts:
    """List everything, and look for old content where it should be kept. Blocking."""
    executor.check()
    # A listing that takes long would see a stage that came after the record was read as one without a command: stages come first.
    stages = _stages(executor)
    listing = [_listed(executor, entry, content) for entry in executor.walk()]
    return StorageFacts(listing, {place: _kept_size(executor, place) for place in places}, stages)


def _listed(executor: Executor, entry: StorageEntry, content: bool) -> ListedFacts:
    digest = _digest(executor, entry.path) if content and entry.kind == NodeKind.FILE else None
    return ListedFacts(entry.path.raw, entry.kind, entry.identity.facts(), digest)


def _digest(executor: Executor, path: NodePath) -> bytes | None:
    """None for a file that vanished since it was listed: then the mount is not at rest."""
    digest, offset = hashlib.sha256(), 0
    try:
        file = executor.open(path)
    except (errors.NodeNotFound, errors.NotADirectory):
        return None
    try:
        while chunk := file.read(offset, _CHUNK):
            digest.update(chunk)
            offset += len(chunk)
    finally:
        file.close()
    return digest.digest()


def _kept_size(executor: Executor, place: bytes) -> int | None:
    try:
        file = executor.open_kept(place)
    except errors.ContentExpired:
        return None
    try:
        return file.identity.size
    finally:
        file.close()


def _stages(executor: Executor) -> list[StageEntry]:
    locks = executor.locks()
    try:
        return [StageEntry(stage, age, _held(locks, stage)) for stage, age in executor.stages()]
    finally:
        locks.close()


def _held(locks: Locks, stage: CommandId) -> bool:
    try:
        return not locks.take(stage)
    except ValueError:
        return False  # no command has such a name, so no process can hold its lock


# The feed -------------------------------------------------------------------------------------------------------------


async def _check_feed(pool: Pool) -> list[Finding]:
    """Findings on the event feed that last. The process that serves the feed looks at it about every second: an event that a
    transaction, of whatever program, held back until a moment ago is not overdue yet."""
    end = time.monotonic() + _SETTLE_SECONDS
    while True:
        async with pool.connection() as connection:
            findings = list(check.feed(await store.feed(connection)))
        if not findings or time.monotonic() > end:
            return findings
        await asyncio.sleep(0.1)


# First a sweep --------------------------------------------------------------------------------------------------------


async def _swept(settings: Settings, pool: Pool, mounts: Sequence[Mount]) -> list[Finding]:
    """Everything that a crash left is carried to its end. What does not come to an end is found afterwards."""
    here = [mount.id for mount in mounts if mount.host_id == settings.host_id]
    try:
        async with asyncio.timeout(_SWEEP_SECONDS):
            client = await connect(settings.temporal_address, settings.temporal_namespace)
            for mount in here:
                await _resume(client, pool, mount)
            for mount in here:
                async with pool.connection() as connection:
                    await leftovers.hasten(connection, mount)
                await client.execute_workflow(
                    SweepMount.run, mount, id=f"check-sweep/{mount}/{uuid.uuid4()}", task_queue=bulk_queue(mount)
                )
            await client.execute_workflow(
                PublishEvents.run, id=f"check-publish/{uuid.uuid4()}", task_queue=CONTROL_QUEUE
            )
    except TimeoutError:
        return [_unchecked("(sweep)", f"It did not end within {_SWEEP_SECONDS:.0f} s. Does a worker of this host run?")]
    except (RPCError, RuntimeError) as error:
        return [_unchecked("(sweep)", f"Temporal is not reachable: {error}")]
    except WorkflowFailureError as error:
        return [_unchecked("(sweep)", f"It failed: {error.cause}")]
    await _settle(pool, here)
    return []


async def _resume(client: Client, pool: Pool, mount: MountId) -> None:
    """Only its lock tells whether the owner of a command lives; resuming one that does waits for that lock."""
    while handles := await resume_overdue(client, pool, mount, 0):
        for handle in handles:
            await handle.result()


async def _settle(pool: Pool, mounts: Sequence[MountId]) -> None:
    """A publisher or a `finish` that was at work meanwhile made ours step aside: give it time."""
    end = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < end:
        async with pool.connection() as connection:
            if await store.outstanding(connection, mounts) == 0:
                return
        await asyncio.sleep(0.05)


# The command ----------------------------------------------------------------------------------------------------------


def show(findings: Sequence[Finding]) -> str:
    """A table for people."""
    if not findings:
        return "Nothing is wrong: journal, nodes, rollups and storage agree."
    rows = [(finding.severity, finding.kind, finding.where, finding.message) for finding in findings]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]]) for row in rows
    )


def exit_code(findings: Sequence[Finding]) -> int:
    errors_found = {finding.kind for finding in findings if finding.severity is Severity.ERROR}
    if errors_found - {FindingKind.UNCHECKED}:
        return 1
    return 3 if errors_found else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m workers.check", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--mount", metavar="KEY", action="append", help="this mount only; may be given more than once")
    parser.add_argument("--level", choices=LEVELS, default="structure", help="content: read and hash every file too")
    parser.add_argument("--sweep", action="store_true", help="first finish what a crash may have left")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    settings = logs.settings()
    try:
        findings = asyncio.run(
            check_all(settings, level=arguments.level, mounts=arguments.mount, sweep=arguments.sweep)
        )
    except UnknownMount as error:
        parser.error(str(error))
    code = exit_code(findings)
    if arguments.json:
        print(json.dumps({"exitCode": code, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        print(show(findings))
    return code


if __name__ == "__main__":
    sys.exit(main())
