"""One bucket: objects looked at, put, copied and deleted on conditions, and never called done before they are verified."""

from __future__ import annotations

import base64
import errno
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from activities.executors.base import Identity
from activities.executors.s3_errors import Missing, UploadGone, explaining
from activities.executors.s3_listing import Listed, listed

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_s3.client import S3Client

COPY_MAX = 5 << 30
"""Above this a store copies in parts."""
COPY_PART = 1 << 30
COPIES_AT_ONCE = 4

COMMAND, SHA256, STAGED, TAG, WAS = (
    "filestore-command",  # who wrote the object: a later execution recognises its own effect by it
    "filestore-sha256",  # of the whole content, wherever we know it
    "filestore-staged",  # of a stage that came back: the tag it was staged with
    "filestore-tag",  # of an object in the trash: the ETag it had before
    "filestore-was",  # of an object in the trash: the command it had before
)
OURS = frozenset((COMMAND, SHA256, STAGED, TAG, WAS))
FOLDER_TYPE = "application/x-directory"
"""The media type of a directory's marker. The command stands in it too: SeaweedFS keeps no other metadata of markers."""

_KEPT = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Expires")

Condition = Mapping[str, Any]
FREE: Condition = {"IfNoneMatch": "*"}


def only(etag: str) -> Condition:
    """Only while this very content is there."""
    return {"IfMatch": quoted(etag)}


def quoted(etag: str) -> str:
    return f'"{etag}"'


@dataclass(frozen=True, slots=True)
class Found:
    """An object as the store tells of it."""

    key: str
    etag: str
    size: int
    version: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    checksum: str = ""
    headers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        return Identity(0, 0, 0, self.size, 0, 0, False, tag=self.etag, edition=self.version)

    @property
    def command(self) -> str:
        """Who wrote it; "" for strangers."""
        _, _, in_type = str(self.headers.get("ContentType", "")).partition("; command=")
        return self.metadata.get(COMMAND, "") or in_type

    def is_expected(self, expected: Identity) -> bool:
        """The very object the record knows. Versions are compared where both are known."""
        same = (self.etag, self.size) == (expected.tag, expected.size) and not expected.directory
        return same and (not expected.edition or not self.version or expected.edition == self.version)


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    etag: str
    checksum: str
    size: int


def base64_of(sha256: bytes) -> str:
    return base64.b64encode(sha256).decode("ascii")


class Bucket:
    def __init__(self, client: S3Client, name: str) -> None:
        self.client, self.name = client, name
        self.copy_max, self.copy_part = COPY_MAX, COPY_PART

    # -- looking -------------------------------------------------------------------------------------------------------

    def head(self, key: str) -> Found | None:
        try:
            with explaining():
                answer: Any = self.client.head_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED")
        except Missing:
            return None
        return _found(key, answer, answer["ContentLength"])

    def every(self, prefix: str, most: int | None = None) -> Iterator[Listed]:
        return listed(self.client, self.name, prefix, most)

    def first(self, prefix: str, most: int) -> list[Listed]:
        return list(self.every(prefix, most))

    def read(self, key: str, start: int, end: int, which: Found | None = None) -> tuple[bytes, Found]:
        """The bytes from `start` up to `end`, of this very object. Raises Missing, ConditionFailed, PastTheEnd."""
        wanted: dict[str, Any] = {}
        if which is not None:
            wanted = {"VersionId": which.version} if which.version else {"IfMatch": quoted(which.etag)}
        with explaining():
            span = f"bytes={start}-{end - 1}"
            answer: Any = self.client.get_object(Bucket=self.name, Key=key, Range=span, **wanted)
            with answer["Body"] as body:
                content: bytes = body.read()
        whole = (
            int(answer["ContentRange"].rpartition("/")[2]) if answer.get("ContentRange") else answer["ContentLength"]
        )
        found = _found(key, answer, whole)
        if len(content) != min(end, whole) - start or (which is not None and found.etag != which.etag):
            raise OSError(errno.EIO, "the store sent another range than it was asked for")
        return content, found

    # -- writing -------------------------------------------------------------------------------------------------------

    def put(self, key: str, content: bytes, sha256: bytes, metadata: Mapping[str, str], condition: Condition) -> Found:
        """Raises ConditionFailed, Contended."""
        checksum = base64_of(sha256)
        with explaining():
            answer: Any = self.client.put_object(
                Bucket=self.name, Key=key, Body=content, ChecksumSHA256=checksum, Metadata=dict(metadata),
                ContentType="application/octet-stream", **condition,
            )  # fmt: skip
        told = answer.get("ChecksumSHA256", "")
        _agree(told in ("", checksum), "it stored another content than was sent")
        if told:
            return Found(key, _etag(answer), len(content), answer.get("VersionId") or "", dict(metadata), told)
        # A store that says nothing of the checksum at least says the size.
        return self._verified(key, answer, len(content), "", metadata)

    def put_folder(self, key: str, command: str, condition: Condition) -> None:
        """A directory's marker. Raises ConditionFailed, Contended."""
        with explaining():
            self.client.put_object(
                Bucket=self.name, Key=key, Body=b"", Metadata={COMMAND: command},
                ContentType=f"{FOLDER_TYPE}; command={command}", **condition,
            )  # fmt: skip

    def copy(self, source: Found, key: str, metadata: Mapping[str, str], condition: Condition) -> Found:
        """A copy made by the store of exactly this object, whose own metadata comes along; `metadata` says what of ours
        it gets. Raises Missing, ConditionFailed (on either side), Contended."""
        strangers = {name: value for name, value in source.metadata.items() if name not in OURS}
        kept: Any = {name: source.headers[name] for name in _KEPT if name in source.headers}
        wanted: Any = {"Bucket": self.name, "Key": key, "Metadata": {**strangers, **metadata}, **kept}
        if source.size > self.copy_max:
            answer = self._copy_in_parts(source, wanted, condition)
        else:
            with explaining():
                answer = self.client.copy_object(
                    CopySource=self._source(source), CopySourceIfMatch=quoted(source.etag),
                    MetadataDirective="REPLACE", **wanted, **condition,
                )  # fmt: skip
        return self._verified(key, answer, source.size, source.checksum, wanted["Metadata"])

    def delete(self, key: str, etag: str | None = None) -> None:
        """`etag`: only while this content is there. Raises ConditionFailed, also when it is gone already.

        A store without conditional deletes ignores the condition (or says so); every caller has looked right before."""
        condition: Any = {} if etag is None else {"IfMatch": quoted(etag)}
        with explaining():
            self.client.delete_object(Bucket=self.name, Key=key, **condition)

    # -- in parts ------------------------------------------------------------------------------------------------------

    def begin_parts(self, key: str, metadata: Mapping[str, str], **headers: Any) -> str:
        with explaining():
            answer = self.client.create_multipart_upload(
                Bucket=self.name, Key=key, ChecksumAlgorithm="SHA256", Metadata=dict(metadata),
                **({"ContentType": "application/octet-stream"} | headers),
            )  # fmt: skip
        return answer["UploadId"]

    def put_part(self, key: str, upload: str, number: int, content: bytes, sha256: bytes) -> Part:
        checksum = base64_of(sha256)
        with explaining():
            answer = self.client.upload_part(
                Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, Body=content, ChecksumSHA256=checksum
            )
        _agree(answer.get("ChecksumSHA256", checksum) == checksum, "it stored another part than was sent")
        return Part(number, _etag(answer), checksum, len(content))

    def end_parts(
        self, key: str, upload: str, parts: Iterable[Part], metadata: Mapping[str, str], condition: Condition
    ) -> Found:
        """The parts appear as one object. Raises ConditionFailed, Contended, UploadGone."""
        parts = list(parts)
        told: Any = [
            {"PartNumber": part.number, "ETag": quoted(part.etag), "ChecksumSHA256": part.checksum} for part in parts
        ]
        for part in told:
            if not part["ChecksumSHA256"]:
                del part["ChecksumSHA256"]
        with explaining():
            answer = self.client.complete_multipart_upload(
                Bucket=self.name, Key=key, UploadId=upload, MultipartUpload={"Parts": told}, **condition
            )
        return self._verified(key, answer, sum(part.size for part in parts), "", metadata)

    def abort_parts(self, key: str, upload: str) -> None:
        try:
            with explaining():
                self.client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload)
        except (UploadGone, Missing):
            return

    def uploads(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        """Key, id and begin of every multipart upload that is neither completed nor aborted."""
        asked: Any = {"Bucket": self.name, "Prefix": prefix}
        while True:
            with explaining():
                page = self.client.list_multipart_uploads(**asked)
            for upload in page.get("Uploads", []):
                yield upload["Key"], upload["UploadId"], upload["Initiated"]
            if not page.get("IsTruncated"):
                return
            asked |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    # -- inside --------------------------------------------------------------------------------------------------------

    def _copy_in_parts(self, source: Found, wanted: Mapping[str, Any], condition: Condition) -> Any:
        key: str = wanted["Key"]
        headers = {name: value for name, value in wanted.items() if name in _KEPT}
        upload = self.begin_parts(key, wanted["Metadata"], **headers)

        def copy_part(number: int) -> Part:
            start = (number - 1) * self.copy_part
            end = min(start + self.copy_part, source.size)
            with explaining():
                answer = self.client.upload_part_copy(
                    Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, CopySource=self._source(source),
                    CopySourceRange=f"bytes={start}-{end - 1}", CopySourceIfMatch=quoted(source.etag),
                )  # fmt: skip
            told = answer["CopyPartResult"]
            return Part(number, _etag(told), told.get("ChecksumSHA256", ""), end - start)

        try:
            with ThreadPoolExecutor(COPIES_AT_ONCE) as threads:
                parts = list(threads.map(copy_part, range(1, -(-source.size // self.copy_part) + 1)))
            found = self.end_parts(key, upload, parts, wanted["Metadata"], condition)
        except BaseException:
            self.abort_parts(key, upload)
            raise
        return {"ETag": quoted(found.etag), "VersionId": found.version}

    def _source(self, source: Found) -> Any:
        which = {"VersionId": source.version} if source.version else {}
        return {"Bucket": self.name, "Key": source.key, **which}

    def _verified(self, key: str, answer: Any, size: int, checksum: str, metadata: Mapping[str, str]) -> Found:
        """Look at what came out: the object the answer tells of, whole, and ours."""
        found = self.head(key)
        _agree(found is not None, "what it said to have stored is not there")
        assert found is not None
        told = _etag(answer.get("CopyObjectResult", answer))
        if found.etag != told and found.command != metadata.get(COMMAND, ""):
            # Somebody was there in the meantime: ours is what the answer said.
            return Found(key, told, size, answer.get("VersionId") or "", dict(metadata))
        _agree(found.etag == told and found.size == size, "it stored another content than was sent")
        same_kind = bool(checksum) and ("-" in checksum) == ("-" in found.checksum)
        _agree(not same_kind or not found.checksum or found.checksum == checksum, "the copy has another checksum")
        return found


def _found(key: str, answer: Any, size: int) -> Found:
    headers = {name: answer[name] for name in _KEPT if name in answer}
    return Found(
        key,
        _etag(answer),
        size,
        _version(answer),
        answer.get("Metadata", {}),
        answer.get("ChecksumSHA256", ""),
        headers,
    )


def _version(answer: Any) -> str:
    """Buckets that never kept versions say nothing; objects from before say "null", which names a version too."""
    return str(answer.get("VersionId") or "")


def _etag(answer: Any) -> str:
    etag = str(answer.get("ETag", "")).strip('"')
    _agree(bool(etag), "it says no ETag of what it stored")
    return etag


def _agree(holds: bool, otherwise: str) -> None:
    if not holds:
        raise OSError(errno.EIO, f"the store can not be trusted with this object: {otherwise}")
