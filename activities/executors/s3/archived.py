"""Objects in archive classes: whether they can be read, and how they are brought back."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING

from activities.executors.s3.errors import Contended

if TYPE_CHECKING:
    from activities.executors.s3.wire.wire import Wire

THAWED_DAYS = 3
"""For so long what was brought back can be read: until then it is hot"""
_CLASSES = ("GLACIER", "DEEP_ARCHIVE")


class Thawing(StrEnum):
    READABLE = "readable"
    FROZEN = "frozen"
    """It lies in an archive class"""
    ASKED = "asked"
    """It was asked for, and comes in minutes to days"""


def archived_of(headers: Mapping[str, str]) -> Thawing:
    """As the head of an object tells."""
    asleep = headers.get("x-amz-storage-class") in _CLASSES or "x-amz-archive-status" in headers
    restore = headers.get("x-amz-restore", "")
    if not asleep or 'ongoing-request="false"' in restore:
        return Thawing.READABLE
    return Thawing.ASKED if restore else Thawing.FROZEN


def thaw(wire: Wire, key: str) -> bool:
    """Whether it can be read now; one that is frozen is asked for. Raises Missing."""
    state = archived_of(wire.ask("HEAD", key).headers)
    if state is Thawing.FROZEN:
        _restore(wire, key)
    return state is Thawing.READABLE


def _restore(wire: Wire, key: str) -> None:
    """Harmless where it was asked for already."""
    body = (
        f'<RestoreRequest xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Days>{THAWED_DAYS}</Days>'
        "<GlacierJobParameters><Tier>Standard</Tier></GlacierJobParameters></RestoreRequest>"
    ).encode()
    check = base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")
    headers = {
        "content-type": "application/xml",
        "x-amz-sdk-checksum-algorithm": "SHA256",
        "x-amz-checksum-sha256": check,
    }
    with suppress(Contended):
        wire.ask(
            "POST", key, query={"restore": ""}, headers=headers, body=body, sha256=hashlib.sha256(body).hexdigest()
        )
