"""Content that goes from one mount into a stage of another."""

from activities.executors.base import Content, Stage, StageWriter

PIECE = 1 << 20
"""Bytes in memory while it goes"""


def pour(content: Content, writer: StageWriter) -> Stage:
    """All of it, in one pass. Nothing stays of the stage when it fails. The caller closes the content."""
    offset = 0
    try:
        while piece := content.read(offset, PIECE):
            writer.write(piece)
            offset += len(piece)
        return writer.close()
    except BaseException:
        writer.abort()
        raise
