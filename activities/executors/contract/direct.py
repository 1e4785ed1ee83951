"""Links under which a storage hands out and takes content without us."""

from typing import Protocol, runtime_checkable

from activities.executors.contract.executor import Executor
from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Stage, UploadLink
from schema.errors import NotSupported
from schema.ids import CommandId
from schema.paths import NodePath


@runtime_checkable
class DirectReads(Protocol):
    """The storage hands out content itself, under a link."""

    def presign(self, path: NodePath, identity: Identity, seconds: int, disposition: str, media: str) -> str:
        """A URL under which exactly this content can be read for a while without us; `disposition` and `media` are the values
        of its Content-Disposition and Content-Type headers."""
        ...


@runtime_checkable
class DirectUploads(Protocol):
    """The storage takes content itself, under a link."""

    def presign_stage(self, stage: CommandId, size: int, sha256: bytes, seconds: int) -> UploadLink:
        """A link for a client that puts content of this size and hash into this stage itself. The upload must begin in
        this time, and can end later. Raises PayloadTooLarge."""
        ...

    def find_uploaded(self, stage: CommandId, size: int, sha256: bytes) -> Stage | None:
        """The identity of a stage that was put there under such a link. Its content is proven, so it can be made
        visible like any other stage. None: nothing is there yet. Raises ChecksumMismatch where it is something else,
        which is removed."""
        ...


def direct_reads_of(executor: Executor) -> DirectReads:
    """Raises NotSupported."""
    if not isinstance(executor, DirectReads):
        raise NotSupported("This storage has no URLs of its own. Read the content through Filestore.")
    return executor


def direct_uploads_of(executor: Executor) -> DirectUploads:
    """Raises NotSupported."""
    if not isinstance(executor, DirectUploads):
        raise NotSupported("This storage has no URLs of its own. Send the content to Filestore.")
    return executor
