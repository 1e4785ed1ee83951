"""Write down that files were downloaded: as events, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import orjson

from schema.ids import NodeId
from schema.sql import load

if TYPE_CHECKING:
    from schema.store.connection import Connection

SQL = load("downloads")


@dataclass(frozen=True, slots=True)
class DownloadEvent:
    """What a client has received, and when."""

    node: NodeId
    version: int
    size: int
    checksum: str | None
    hash: str | None
    principal: str
    at: datetime
    mode: Literal["stream", "presign"]
    """Its bytes went through this service, or a link to them was given out"""


async def tell(connection: Connection, downloads: Sequence[DownloadEvent]) -> None:
    """One statement, and so one short transaction, for all of them."""
    await connection.execute(SQL["tell"], {"items": orjson.dumps(downloads).decode()})
