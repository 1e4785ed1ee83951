"""Open exactly the content that is on record: of the node as it is now, or of an older version that is still kept."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from activities.executors.contract.executor import Content, Executor
from activities.executors.contract.identity import Identity
from api.services import Front
from schema.errors import ContentExpired, FilestoreError, NodeNotFound, NotADirectory, PathBusy, VersionConflict
from schema.ids import MountId, NodeId
from schema.paths import NodePath
from schema.principals import Principal, readable
from schema.store import nodes, snapshots
from schema.store.nodes import FileRecord
from schema.store.snapshots import KeptContent

LOOKS, LOOK_SECONDS = 20, 0.05
"""How often, and how soon, a file is looked at again while a command is at work on it."""
REFUSALS = (
    "NODE_NOT_FOUND", "BACKEND_NOT_FOUND", "NOT_A_DIRECTORY", "EXECUTOR_NOT_FOUND", "PATH_BUSY", "CONTENT_EXPIRED",
    "VERSION_CONFLICT", "MOUNT_OFFLINE",
)  # fmt: skip
"""Why content can't be read"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One version of a file's content, and where its bytes are: at `place` in the trash, otherwise at `path`."""

    node: NodeId
    mount: MountId
    path: NodePath
    place: bytes | None
    version: int
    name: str
    size: int
    sha256: bytes | None
    checksum: str | None
    mime_type: str | None
    modified: datetime
    identity: Identity | None
    until: datetime | None
    moving: bool
    """A command is about to change where the bytes are, or has just done so."""

    @property
    def hash(self) -> str | None:
        """As clients read it: bare hexadecimal."""
        return self.sha256.hex() if self.sha256 else None

    @property
    def claimed(self) -> str | None:
        """What the client gave as its checksum, without the algorithm; where it gave none, the hash."""
        return self.checksum.rpartition(":")[2] if self.checksum else self.hash

    @property
    def etag(self) -> str:
        """Weak only where the content was never hashed: a file that reconciliation found."""
        return f'"{self.sha256.hex()}"' if self.sha256 else f'W/"{self.node}.{self.version}"'


async def find(front: Front, principal: Principal, node: NodeId, version: int | None = None) -> Recorded:
    """What the record says. Raises NodeNotFound (also for a deleted node, unless an older version is asked for),
    NotADirectory, ContentExpired."""
    async with front.services.pool.connection() as connection:
        record = await nodes.file(connection, node, principal.tenant)
        if record is None or not readable(principal, record.mount, record.path):
            raise NodeNotFound()
        if record.kind != "file":
            raise NotADirectory(f"This is a {record.kind}; only files have content.")
        if version is None or (version == record.version and record.state != "deleted"):
            if record.state == "deleted":
                raise NodeNotFound("The file is deleted. Its versions are listed at /v1/nodes/{id}/snapshots.")
            return _now(record)
        old = await snapshots.content(connection, node, version)
    if old is None or old.state == "deleted":
        raise NodeNotFound(f"The file has no content of version {version}.", nodeId=node, version=version)
    return _then(record, old, version)


def _now(record: FileRecord) -> Recorded:
    return Recorded(
        record.id, record.mount, record.path, None, record.version, record.name, record.size, record.sha256,
        record.checksum, record.mime_type, record.modified, _identity(record.identity), None, record.busy,
    )  # fmt: skip


def _then(record: FileRecord, old: KeptContent, version: int) -> Recorded:
    name = old.name.decode("utf-8", "replace")
    if old.place is None and not old.live:
        raise ContentExpired(
            "The content of this version is no longer kept" + (f": its time ended at {old.until}." if old.until else "."),
            nodeId=record.id, version=version, contentUntil=old.until,
        )  # fmt: skip
    then = replace(
        _now(record), version=version, name=name, size=old.size, sha256=old.sha256, checksum=old.checksum,
        mime_type=old.mime_type, modified=old.modified,
    )  # fmt: skip
    if old.place is None:
        return then  # only the rest of the node has changed since: its bytes are these
    return replace(then, place=old.place, identity=_identity(old.identity), until=old.until, moving=old.moving)


def _identity(facts: Sequence[int | str | None] | None) -> Identity | None:
    """None where the record can not say which file it is."""
    if facts is None or None in facts[:5]:
        return None
    identity = Identity.of_facts([0 if fact is None else fact for fact in facts])
    return identity if identity.inode or identity.tag else None


async def open_recorded(
    front: Front, principal: Principal, node: NodeId, version: int | None = None
) -> tuple[Recorded, Content]:
    """The content on record, opened: never other bytes, not even while commands are at work.

    Between a command's visible step and its record, and between the record and `finish` (which carries what a replace
    took out from the stage to its place in the trash), storage and record differ for some milliseconds. So what is not
    found, or is not what the record knows, is looked for again, until the record says that nothing is under way. After a
    crash in between it can take until the next sweep: then the answer is PATH_BUSY, to come again, and never that the
    content is gone.
    """
    for _ in range(LOOKS):
        found = await find(front, principal, node, version)
        executor = front.services.executors.of(await front.mounts.get(found.mount, principal.tenant))
        opened = await _opened(front, found, executor)
        if not isinstance(opened, FilestoreError):
            return found, opened
        if not found.moving and found == await find(front, principal, node, version):
            raise opened
        await asyncio.sleep(LOOK_SECONDS)
    raise PathBusy("A command is at work on the file. Try again shortly.")


async def _opened(front: Front, found: Recorded, executor: Executor) -> Content | FilestoreError:
    """An error: what is there is not what the record knows. It is the answer if nothing is under way."""
    try:
        if found.place is None:
            content = await front.threads.run(found.mount, executor.open, found.path)
        else:
            content = await front.threads.run(found.mount, executor.open_kept, found.place)
    except ContentExpired:
        return ContentExpired(nodeId=found.node, version=found.version, contentUntil=found.until)
    except (NodeNotFound, NotADirectory) as error:
        return error
    if _is_recorded(found, content.identity):
        return content
    await front.threads.run(found.mount, content.close)
    return VersionConflict(
        "The file was changed on disk behind Filestore's back, so its bytes are not those on record. "
        "Reconcile it, then read it again.",
        nodeId=found.node, version=found.version,
    )  # fmt: skip


def _is_recorded(found: Recorded, seen: Identity) -> bool:
    """Size, and the very file where the record knows it. What an object store keeps is a copy with an identity of its
    own, but no program can write into it."""
    if found.size != seen.size:
        return False
    if found.identity is None or (found.place is not None and not found.identity.inode):
        return True
    return found.identity.same_content(seen)
