"""The headers of tus 1.0, read and refused as the protocol says."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from starlette.datastructures import Headers

from api.http.digests import Checksum
from api.http.headers import single
from api.uploads.remembered import UploadLocked, is_id
from schema.errors import ChecksumMismatch, FilestoreError, InvalidRequest, VersionConflict

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,creation-defer-length,checksum,expiration,termination,concatenation"
ALGORITHMS = {"sha1": 20, "sha256": 32, "md5": 16}
"""With the bytes of each."""
CONTENT_TYPE = "application/offset+octet-stream"
PARTS_MAX = 1000
"""Their addresses come in one header, and go out in one: with so many, as `Location` has them, it holds 50 KB of the 64 that
all headers together may have (FILESTORE_HTTP_HEAD_MAX_BYTES)."""
COMMAND, NODE = "x-filestore-command", "x-filestore-node"
"""Headers of ours: what an upload has become."""

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,100}", re.ASCII)


class WrongVersion(InvalidRequest):
    """Send `Tus-Resumable: 1.0.0`."""


class WrongType(InvalidRequest):
    """A chunk comes as `Content-Type: application/offset+octet-stream`."""


class OffsetConflict(VersionConflict):
    """The upload does not stand at this offset. Ask for it with HEAD and go on from there."""


class Finished(VersionConflict):
    """The upload has become a file already; only a new upload can write another one."""


class ChunkMismatch(ChecksumMismatch):
    """The chunk does not have the checksum that came with it. The offset is what it was; send it again."""


class PartOnly(InvalidRequest):
    """This upload is made of others: it takes no bytes of its own."""


STATUS: dict[type[FilestoreError], int] = {
    WrongVersion: 412, WrongType: 415, OffsetConflict: 409, Finished: 409, UploadLocked: 423, ChunkMismatch: 460, PartOnly: 403,
}  # fmt: skip
"""Codes for which the protocol wants another status than they have everywhere else."""


def check_version(headers: Headers) -> None:
    if single(headers, "Tus-Resumable") != VERSION:
        raise WrongVersion()


def check_type(headers: Headers) -> None:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise WrongType()


def number(headers: Headers, name: str) -> int | None:
    """Raises InvalidRequest."""
    text = single(headers, name)
    if text is not None and not _NUMBER.fullmatch(text):
        raise InvalidRequest(f"{name} is a number, of at most 18 digits.")
    return None if text is None else int(text)


def length(headers: Headers) -> int | None:
    """Of a new upload; None where it is told later. Raises InvalidRequest."""
    length_sent, later = number(headers, "Upload-Length"), single(headers, "Upload-Defer-Length")
    if later not in (None, "1"):
        raise InvalidRequest("Upload-Defer-Length is 1, or is not there.")
    if (length_sent is None) == (later is None):
        raise InvalidRequest("Send either Upload-Length or Upload-Defer-Length: 1.")
    return length_sent


def metadata_header(headers: Headers) -> str | None:
    """As it came; a list can come in several lines (RFC 9110, 5.3)."""
    lines = headers.getlist("upload-metadata")
    return ",".join(lines) if lines else None


def metadata(text: str | None) -> dict[str, str]:
    """`key base64,key base64,key`. Raises InvalidRequest."""
    found: dict[str, str] = {}
    for pair in (text or "").split(",") if text else []:
        key, _, value = pair.strip(" ").partition(" ")
        if not _KEY.fullmatch(key) or key in found:
            raise InvalidRequest("Upload-Metadata has a key twice, or one that is not of ASCII letters.")
        try:
            found[key] = base64.b64decode(value.strip(" "), validate=True).decode("utf-8")
        except ValueError as error:
            raise InvalidRequest(f"Upload-Metadata: the value of {key!r} is not base64 of UTF-8.") from error
    return found


@dataclass(frozen=True, slots=True)
class Concat:
    partial: bool
    parts: Sequence[str] = ()


def concat(headers: Headers) -> Concat | None:
    """Raises InvalidRequest."""
    text = single(headers, "Upload-Concat")
    if text is None or text == "partial":
        return Concat(True) if text else None
    kind, _, rest = text.partition(";")
    parts = [address.rstrip("/").rpartition("/")[2] for address in rest.split()]
    if kind != "final" or not parts or not all(is_id(part) for part in parts):
        raise InvalidRequest("Upload-Concat is `partial`, or `final;` and the addresses of the parts.")
    if len(parts) > PARTS_MAX or len(set(parts)) < len(parts):
        raise InvalidRequest(f"An upload is made of at most {PARTS_MAX} parts, each of them once.")
    return Concat(False, parts)


def checksum(headers: Headers) -> Checksum | None:
    """`Upload-Checksum`. Raises InvalidRequest."""
    text = single(headers, "Upload-Checksum")
    if text is None:
        return None
    algorithm, _, value = text.partition(" ")
    if algorithm not in ALGORITHMS:
        raise InvalidRequest(f"Upload-Checksum knows {', '.join(ALGORITHMS)}.")
    try:
        raw = base64.b64decode(value.strip(), validate=True)
    except ValueError as error:
        raise InvalidRequest("Upload-Checksum holds no base64.") from error
    if len(raw) != ALGORITHMS[algorithm]:
        raise InvalidRequest(f"A {algorithm} has {ALGORITHMS[algorithm]} bytes.")
    return Checksum(algorithm, raw.hex())


def date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)
