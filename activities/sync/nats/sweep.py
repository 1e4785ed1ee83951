"""What lies in streams of the hot store, by their subjects: to find what nobody knows of."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from activities.sync.hot import HotUnavailable
from activities.sync.nats.link import NO_STREAM, Refusal

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from activities.sync.nats.link import NatsLink


async def subjects(link: NatsLink, stream: str, wanted: str) -> AsyncGenerator[list[str]]:
    """All that a stream has, page by page; none where there is no such stream."""
    offset = 0
    while True:
        try:
            info = await link.api(f"STREAM.INFO.{stream}", subjects_filter=wanted, offset=offset)
        except Refusal as refusal:
            if refusal.code == NO_STREAM:
                return
            raise HotUnavailable from refusal
        page = list(info["state"].get("subjects") or ())
        if page:
            yield page
        offset += len(page)
        if not page or offset >= info.get("total", 0):
            return


def age_of(message: Msg) -> float:
    """Seconds since it was stored, by the server's clock and ours."""
    stored = (message.headers or {}).get("Nats-Time-Stamp", "")
    try:
        at = datetime.fromisoformat(stored[:19]).replace(tzinfo=UTC)
    except ValueError:
        return 0.0
    return max(0.0, (datetime.now(UTC) - at).total_seconds())
