"""Where a list goes on: opaque to clients, checked here. A cursor belongs to one list with its conditions, and says so.

    version (1) | digest of the list (8) | rank (4) | node id (8) | name or path

base64url without padding. It is not signed: it gives access to nothing that the request itself could not ask for.
"""

import base64
import binascii
import hashlib
import struct

import orjson

from schema.errors import InvalidRequest
from schema.paths import PATH_MAX
from schema.store.nodes import PageEnd

VERSION = 1
_HEAD = struct.Struct(">B8sIQ")
KEY_MAX = 4 * PATH_MAX
"""Nodes can lie deeper than a path can say now: earlier releases moved directories there. A list shows them, and goes on at
them. Request lines take this much."""
_LENGTH_MAX = (_HEAD.size + KEY_MAX) * 4 // 3 + 4


def write(place: PageEnd, conditions: object) -> str:
    """`conditions`: all that makes the list what it is, as JSON has it; the size of its pages does not belong to it."""
    raw = _HEAD.pack(VERSION, _digest(conditions), place.rank, place.id) + place.key
    return _text(raw)


def read(text: str, conditions: object, ranks: int) -> PageEnd:
    """`ranks`: how many there are in this list. Raises InvalidRequest, whatever it is that is not one of our cursors."""
    if len(text) > _LENGTH_MAX:
        raise _not_ours()
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        version, digest, rank, id = _HEAD.unpack_from(raw)
    except (UnicodeEncodeError, binascii.Error, ValueError, struct.error) as error:
        raise _not_ours() from error
    if _text(raw) != text or version != VERSION or id >= 2**63 or rank >= ranks:
        raise _not_ours()
    if digest != _digest(conditions):
        raise InvalidRequest(
            "The cursor belongs to another list: send the same path and conditions it came with, or no cursor.",
            fields=[{"field": "cursor", "message": "of another list"}],
        )
    return PageEnd(rank, raw[_HEAD.size :], id)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _not_ours() -> InvalidRequest:
    return InvalidRequest(
        "The cursor is not one of this service: send `pagination.nextCursor` as it came, or none to begin anew.",
        fields=[{"field": "cursor", "message": "not a cursor"}],
    )


def _digest(conditions: object) -> bytes:
    text = orjson.dumps(conditions, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)
    return hashlib.blake2b(text, digest_size=8).digest()
