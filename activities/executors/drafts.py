"""What fills a stage: content that is poured into one, and the drafts of a list.

All drafts are begun before the first is waited for, so that one commit of the file system's journal takes them all. An error
is the answer for its own draft; only MountOffline is raised, for it concerns all.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from activities.executors.contract.executor import Content, StageWriter
from activities.executors.contract.stage import Draft, Stage
from schema.errors import FilestoreError, MountOffline
from schema.ids import CommandId

PIECE = 1 << 20
"""Bytes in memory while content is poured"""


def pour(content: Content, writer: StageWriter) -> Stage:
    """Pour all of the content, in one pass. When it fails, nothing stays of the stage. The caller closes the
    content."""
    offset = 0
    try:
        while piece := content.read(offset, PIECE):
            writer.write(piece)
            offset += len(piece)
        return writer.close()
    except BaseException:
        writer.abort()
        raise


class DraftWriter(StageWriter, Protocol):
    def ready(self) -> None:
        """All of it is written and on its way to the disk; nothing is waited for yet."""
        ...


def staged(
    drafts: Sequence[Draft], make_folder: Callable[[CommandId], Stage], open_writer: Callable[[CommandId], DraftWriter]
) -> list[Stage | Exception]:
    begun: list[DraftWriter | Stage | Exception] = []
    try:
        for draft in drafts:
            begun.append(_begin(draft, make_folder, open_writer))
        return [_end(one) for one in begun]
    finally:
        for one in begun:
            if not isinstance(one, Stage | Exception):
                one.abort()  # nothing, for one that was closed


def _begin(
    draft: Draft, make_folder: Callable[[CommandId], Stage], open_writer: Callable[[CommandId], DraftWriter]
) -> DraftWriter | Stage | Exception:
    try:
        if draft.content is None:
            return make_folder(draft.id)
        writer = open_writer(draft.id)
        writer.write(draft.content)
        writer.ready()
        return writer
    except MountOffline:
        raise
    except (FilestoreError, OSError) as error:
        return error


def _end(begun: DraftWriter | Stage | Exception) -> Stage | Exception:
    if isinstance(begun, Stage | Exception):
        return begun
    try:
        return begun.close()
    except MountOffline:
        raise
    except (FilestoreError, OSError) as error:
        return error
