"""What a bucket's notifications say: which keys to look at. Every shape that stores send, and nothing of it is believed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from schema.drift.hints import Hint, Reason
from schema.errors import InvalidRequest
from schema.paths import RESERVED

CANARY = RESERVED + b"/canary"
"""An object of ours, written from time to time: its notification tells that notifications come at all"""
NAMED_MAX = 10_000
_NESTED_MAX = 3
_READS = ("ObjectAccessed", "Replication", "LifecycleTransition", "ObjectTagging", "ObjectAcl", "IntelligentTiering")
"""Events that change no content"""


@dataclass(frozen=True, slots=True)
class NamedKey:
    """An object that a notification speaks of. `subtree`: a directory with all below it."""

    bucket: str
    key: bytes
    etag: str = ""
    subtree: bool = False


@dataclass(frozen=True, slots=True)
class NotifiedKeys:
    """What one mount has been told: `hints`, of keys that are not our own, and whether our canary was among them."""

    hints: Sequence[Hint]
    canary: bool


@dataclass(frozen=True, slots=True)
class QueuedNotification:
    """A notification as a queue has it: JSON text, under an id of the queue."""

    id: str
    text: str


def named_keys(document: Mapping[str, Any]) -> list[NamedKey]:
    """The keys of a notification of S3, MinIO, SeaweedFS or EventBridge, or of one that SNS wraps. A test event names none.

    Raises InvalidRequest for what is none of these.
    """
    found = list(_named(document, 0))
    if len(found) > NAMED_MAX:
        raise InvalidRequest(f"A notification may name {NAMED_MAX} objects. Send them in several.")
    return found


def of_mount(named: Sequence[NamedKey], bucket: str, prefix: str) -> NotifiedKeys:
    """Those of a mount, by their paths below its prefix."""
    above = prefix.strip("/").encode() + b"/" if prefix.strip("/") else b""
    hints, canary = [], False
    for one in named:
        if one.bucket != bucket or not one.key.startswith(above):
            continue
        path = one.key[len(above) :].removesuffix(b"/")
        canary = canary or path == CANARY
        if path != RESERVED and not path.startswith(RESERVED + b"/"):
            hints.append(Hint(path, one.subtree, Reason.NOTIFIED))
    return NotifiedKeys(hints, canary)


def _named(document: Mapping[str, Any], depth: int) -> Iterator[NamedKey]:
    match document:
        case {"Records": list(records)}:
            for record in records:
                yield from _of_record(record)
        case {"Type": "Notification", "Message": str(message)} if depth < _NESTED_MAX:
            yield from _named(_object(message), depth + 1)
        case {"source": "aws.s3", "detail": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **facts}}}:
            yield NamedKey(bucket, _bytes(key), _etag(facts.get("etag")))
        case {"key": str(key), "event_type": str(), "message": dict(entries)}:
            yield from _of_filer(key, entries)
        case {"Event": "s3:TestEvent"}:
            return
        case _:
            raise InvalidRequest(
                "This is no notification of a bucket: it has no Records. Send the event as the store made it."
            )


def _of_record(record: Any) -> Iterator[NamedKey]:
    match record:
        case {"s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **facts}}, **about}:
            if not str(about.get("eventName", "")).removeprefix("s3:").startswith(_READS):
                # As in a form: a space is a plus. What it was is percent-encoded UTF-8.
                yield NamedKey(bucket, unquote_to_bytes(key.replace("+", " ")), _etag(facts.get("eTag")))
        case _:
            raise InvalidRequest(
                "A record of the notification names no bucket and key. Send the event as the store made it."
            )


def _of_filer(key: str, entries: Mapping[str, Any]) -> Iterator[NamedKey]:
    """SeaweedFS: a path below /buckets/. Of a renamed entry both names; what comes or goes as a directory has a tree."""
    old, new = _entry(entries.get("old_entry")), _entry(entries.get("new_entry"))
    directory = bool(old.get("is_directory") or new.get("is_directory"))
    above, name = entries.get("new_parent_path"), new.get("name")
    places = [key, f"{above}/{name}"] if isinstance(above, str) and above and name else [key]
    for place in dict.fromkeys(places):
        _, buckets, rest = place.partition("/buckets/")
        bucket, slash, below = rest.partition("/")
        if buckets and slash and below:
            yield NamedKey(bucket, _bytes(below), subtree=directory)


def _entry(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidRequest("The message of the notification is no JSON.") from error
    if not isinstance(found, dict):
        raise InvalidRequest("The message of the notification is no object.")
    return found


def _etag(found: Any) -> str:
    return found.strip('"') if isinstance(found, str) else ""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
