"""One bucket: objects looked at, put, copied and deleted on conditions, and never called done before they are verified."""

from __future__ import annotations

import base64
import errno
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.sax.saxutils import unescape

from activities import budgets
from activities.executors.contract.identity import Identity
from activities.executors.s3.errors import Missing, StoreRefuses, UploadGone, answered, explaining
from activities.executors.s3.listing import ListedObject, folders_in, listed, pages
from activities.executors.s3.wire.line import Content, WireAnswer
from activities.executors.s3.wire.wire import Wire, code_of
from schema.errors import FilestoreError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

COPY_MAX = 5 << 30
"""Above this a store copies in parts."""
COPY_PART = 1 << 30
MARKER_SECONDS = 5.0
"""For so long the marker of a directory is retained where the bucket would retain it for longer: a time that has not come for
a store whose clock goes a little before ours"""

COMMAND, SHA256, STAGED, TAG, WAS = (
    "filestore-command",  # the command that wrote the object: a later execution recognises its own effect by it
    "filestore-sha256",  # of the whole content, wherever we know it
    "filestore-staged",  # of a stage that came back: the tag it was staged with
    "filestore-tag",  # of an object in the trash: the ETag it had before
    "filestore-was",  # of an object in the trash: the command it had before
)
OURS = frozenset((COMMAND, SHA256, STAGED, TAG, WAS))
FOLDER_TYPE = "application/x-directory"
"""The media type of a directory's marker. The command stands in it too: SeaweedFS keeps no other metadata of markers."""

_KEPT = {
    "CacheControl": "cache-control",
    "ContentDisposition": "content-disposition",
    "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language",
    "ContentType": "content-type",
    "Expires": "expires",
}
"""By the names that boto3 gives them"""
_META = "x-amz-meta-"
_TYPE = "application/octet-stream"
_MD5 = re.compile("[0-9a-f]{32}")
_ETAG = re.compile(rb"<ETag>([^<]*)</ETag>")

Condition = Mapping[str, str]
_CONDITIONS = {"IfNoneMatch": "if-none-match", "IfMatch": "if-match"}
FREE: Condition = {"IfNoneMatch": "*"}


def only(etag: str) -> Condition:
    """Only while this very content is there."""
    return {"IfMatch": quoted(etag)}


def quoted(etag: str) -> str:
    return f'"{etag}"'


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object as the store tells of it."""

    key: str
    etag: str
    size: int
    version: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    checksum: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        return Identity(0, 0, 0, self.size, 0, 0, False, tag=self.etag, edition=self.version)

    @property
    def command(self) -> str:
        """The command that wrote it; "" where another program did."""
        _, _, in_type = self.headers.get("ContentType", "").partition("; command=")
        return self.metadata.get(COMMAND, "") or in_type

    def is_expected(self, expected: Identity) -> bool:
        """Is it the very object that the record knows? Versions are compared where both are known."""
        same = (self.etag, self.size) == (expected.tag, expected.size) and not expected.directory
        return same and (not expected.edition or not self.version or expected.edition == self.version)


@dataclass(frozen=True, slots=True)
class UploadedPart:
    number: int
    etag: str
    checksum: str
    size: int


def base64_of(sha256: bytes) -> str:
    return base64.b64encode(sha256).decode("ascii")


_OF_NOTHING = base64_of(hashlib.sha256(b"").digest())


class Bucket:
    def __init__(
        self,
        client: S3Client,
        wire: Wire,
        name: str,
        noting: Callable[[str, str], AbstractContextManager[None]] = lambda key, upload: nullcontext(),
    ) -> None:
        """`wire` for what is asked for often, `client` for the rest. `noting` remembers an upload of this process while it is
        under way: if the process dies, no other note tells which command began it."""
        self.client, self.wire, self.name, self._noting = client, wire, name, noting
        self.copy_max, self.copy_part = COPY_MAX, COPY_PART
        self._retains: bool | None = None
        """Whether the bucket locks by itself what is written; None: not asked yet"""

    # -- looking -------------------------------------------------------------------------------------------------------

    def head(self, key: str) -> FoundObject | None:
        try:
            answer = self.wire.ask("HEAD", key, headers={"x-amz-checksum-mode": "ENABLED"})
        except Missing:
            return None
        return _found(key, answer, int(answer.headers.get("content-length", 0)))

    def every(self, prefix: str, most: int | None = None) -> Iterator[ListedObject]:
        return listed(self.wire, prefix, most)

    def pages(self, prefix: str, token: str | None, most: int) -> Iterator[tuple[list[ListedObject], str | None]]:
        return pages(self.wire, prefix, token, most)

    def first(self, prefix: str, most: int) -> list[ListedObject]:
        return list(self.every(prefix, most))

    def folders_in(self, prefix: str) -> list[str] | None:
        return folders_in(self.wire, prefix)

    def read(self, key: str, start: int, end: int, which: FoundObject | None = None) -> tuple[bytes, FoundObject]:
        """The bytes from `start` up to `end`, of this very object. Raises Missing, ConditionFailed, PastTheEnd."""
        headers, query = {"range": f"bytes={start}-{end - 1}"}, dict[str, str]()
        if which is not None and which.version:
            query["versionId"] = which.version
        elif which is not None:
            headers["if-match"] = quoted(which.etag)
        answer = self.wire.ask("GET", key, query=query, headers=headers)
        content, span = answer.body, answer.headers.get("content-range")
        whole = int(span.rpartition("/")[2]) if span else len(content)
        found = _found(key, answer, whole)
        if len(content) != min(end, whole) - start or (which is not None and found.etag != which.etag):
            raise OSError(errno.EIO, "the store sent another range than it was asked for")
        return content, found

    # -- writing -------------------------------------------------------------------------------------------------------

    def put(
        self, key: str, content: bytes, sha256: bytes, metadata: Mapping[str, str], condition: Condition
    ) -> FoundObject:
        """Raises ConditionFailed, Contended."""
        checksum = base64_of(sha256)
        headers = {"content-type": _TYPE, "x-amz-checksum-sha256": checksum, **_ours(metadata), **_on(condition)}
        answer = self.wire.ask("PUT", key, headers=headers, body=content, sha256=sha256.hex())
        stored, etag, version = answer.headers.get("x-amz-checksum-sha256", ""), _etag(answer), _version(answer)
        _agree(stored in ("", checksum), "it stored another content than was sent")
        if stored:
            return FoundObject(key, etag, len(content), version, dict(metadata), stored)
        # A store that says nothing of the checksum at least says the size.
        return self._verified(key, etag, version, len(content), "", metadata)

    def put_folder(self, key: str, command: str, condition: Condition) -> None:
        """A directory's marker. Raises ConditionFailed, Contended. A bucket that locks by itself wants a checksum of it."""
        headers = {"content-type": f"{FOLDER_TYPE}; command={command}", **_ours({COMMAND: command}), **_on(condition)}
        headers["x-amz-checksum-sha256"] = _OF_NOTHING
        try:
            self.wire.ask("PUT", key, headers=headers | self._retained_briefly())
        except StoreRefuses:
            if not self._retains:
                raise
            self.wire.ask("PUT", key, headers=headers)

    def _retained_briefly(self) -> dict[str, str]:
        """Where the bucket locks by itself what is written: some stores keep no versions of directories, and would not let one be
        removed. What says for how long it is retained is retained for no longer."""
        if self._retains is None:
            self._retains = self._locks_by_itself()
        if not self._retains:
            return {}
        until = datetime.now(UTC) + timedelta(seconds=MARKER_SECONDS)
        return {
            "x-amz-object-lock-mode": "GOVERNANCE",
            "x-amz-object-lock-retain-until-date": f"{until:%Y-%m-%dT%H:%M:%SZ}",
        }

    def _locks_by_itself(self) -> bool:
        """Asked once. A store that does not say it has no such thing, as far as we can know."""
        try:
            return b"<DefaultRetention>" in self.wire.ask("GET", None, query={"object-lock": ""}).body
        except (Missing, FilestoreError, OSError):
            return False

    def copy(self, source: FoundObject, key: str, metadata: Mapping[str, str], condition: Condition) -> FoundObject:
        """A copy made by the store of exactly this object, whose own metadata comes along; `metadata` says what of ours
        it gets. Raises Missing, ConditionFailed (on either side), Contended."""
        strangers = {name: value for name, value in source.metadata.items() if name not in OURS}
        wanted = {**strangers, **metadata}
        if source.size > self.copy_max:
            made = self._copy_in_parts(source, key, wanted, condition)
            etag, version = made.etag, made.version
        else:
            kept = {_KEPT[name]: value for name, value in source.headers.items()}
            which = f"?versionId={quote(source.version, safe='')}" if source.version else ""
            headers = {
                **kept,
                "x-amz-copy-source": f"{quote(self.name)}/{quote(source.key)}{which}",
                "x-amz-copy-source-if-match": quoted(source.etag),
                "x-amz-metadata-directive": "REPLACE",
                **_ours(wanted),
                **_on(condition),
            }
            answer = self.wire.ask("PUT", key, headers=headers)
            etag, version = _etag_of_copy(answer), _version(answer)
            if etag == source.etag and _MD5.fullmatch(etag):
                # The ETag is a hash of the content: it is all there, and needs no look.
                return FoundObject(key, etag, source.size, version, wanted, source.checksum, source.headers)
        return self._verified(key, etag, version, source.size, source.checksum, wanted)

    def delete(self, key: str, etag: str | None = None) -> None:
        """`etag`: delete only while this content is there. Raises ConditionFailed, also when it is gone already.

        A store without conditional deletes ignores the condition (or says so); every caller has looked right before. The marker
        of a directory that is retained goes with a right of its own, or not before its time: raises StoreRefuses."""
        headers = {} if etag is None else {"if-match": quoted(etag)}
        try:
            self.wire.ask("DELETE", key, headers=headers)
        except StoreRefuses:
            if not key.endswith("/"):
                raise
            self.wire.ask("DELETE", key, headers=headers | {"x-amz-bypass-governance-retention": "true"})

    # -- in parts ------------------------------------------------------------------------------------------------------

    def begin_parts(self, key: str, metadata: Mapping[str, str], **headers: Any) -> str:
        with explaining():
            answer = self.client.create_multipart_upload(
                Bucket=self.name, Key=key, ChecksumAlgorithm="SHA256", Metadata=dict(metadata),
                **({"ContentType": _TYPE} | headers),
            )  # fmt: skip
        return answer["UploadId"]

    def put_part(self, key: str, upload: str, number: int, content: Content, sha256: bytes) -> UploadedPart:
        checksum = base64_of(sha256)
        answer = self.wire.ask(
            "PUT", key, query={"partNumber": str(number), "uploadId": upload},
            headers={"x-amz-checksum-sha256": checksum}, body=content, sha256=sha256.hex(),
        )  # fmt: skip
        stored = answer.headers.get("x-amz-checksum-sha256", checksum)
        _agree(stored == checksum, "it stored another part than was sent")
        return UploadedPart(number, _etag(answer), checksum, len(content))

    def end_parts(
        self, key: str, upload: str, parts: Iterable[UploadedPart], metadata: Mapping[str, str], condition: Condition
    ) -> FoundObject:
        """The parts appear as one object. Raises ConditionFailed, Contended, UploadGone."""
        parts = list(parts)
        named: Any = [
            {"PartNumber": part.number, "ETag": quoted(part.etag), "ChecksumSHA256": part.checksum} for part in parts
        ]
        for part in named:
            if not part["ChecksumSHA256"]:
                del part["ChecksumSHA256"]
        with explaining():
            wanted: Any = dict(condition)
            answer = self.client.complete_multipart_upload(
                Bucket=self.name, Key=key, UploadId=upload, MultipartUpload={"Parts": named}, **wanted
            )
        size = sum(part.size for part in parts)
        return self._verified(key, _bare_etag(answer.get("ETag")), answer.get("VersionId") or "", size, "", metadata)

    def abort_parts(self, key: str, upload: str) -> None:
        try:
            with explaining():
                self.client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload)
        except (UploadGone, Missing):
            return

    # -- inside --------------------------------------------------------------------------------------------------------

    def _copy_in_parts(
        self, source: FoundObject, key: str, metadata: Mapping[str, str], condition: Condition
    ) -> FoundObject:
        upload = self.begin_parts(key, metadata, **source.headers)

        def copy_part(number: int) -> UploadedPart:
            start = (number - 1) * self.copy_part
            end = min(start + self.copy_part, source.size)
            with explaining():
                answer = self.client.upload_part_copy(
                    Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, CopySource=self._source(source),
                    CopySourceRange=f"bytes={start}-{end - 1}", CopySourceIfMatch=quoted(source.etag),
                )  # fmt: skip
            result = answer["CopyPartResult"]
            return UploadedPart(number, _bare_etag(result.get("ETag")), result.get("ChecksumSHA256", ""), end - start)

        with self._noting(key, upload):
            try:
                with budgets.S3_COPIES.build() as threads:
                    parts = list(threads.map(copy_part, range(1, -(-source.size // self.copy_part) + 1)))
                return self.end_parts(key, upload, parts, metadata, condition)
            except BaseException:
                self.abort_parts(key, upload)
                raise

    def _source(self, source: FoundObject) -> Any:
        which = {"VersionId": source.version} if source.version else {}
        return {"Bucket": self.name, "Key": source.key, **which}

    def _verified(
        self, key: str, etag: str, version: str, size: int, checksum: str, metadata: Mapping[str, str]
    ) -> FoundObject:
        """Look at what came out: the object the answer names (by its `etag`), whole, and ours."""
        found = self.head(key)
        _agree(found is not None, "what it said to have stored is not there")
        assert found is not None
        if found.etag != etag and found.command != metadata.get(COMMAND, ""):
            # Another program wrote there in the meantime: ours is what the answer said.
            return FoundObject(key, etag, size, version, dict(metadata))
        _agree(found.etag == etag and found.size == size, "it stored another content than was sent")
        same_kind = bool(checksum) and ("-" in checksum) == ("-" in found.checksum)
        _agree(not same_kind or not found.checksum or found.checksum == checksum, "the copy has another checksum")
        return found


def _ours(metadata: Mapping[str, str]) -> dict[str, str]:
    return {_META + name: value for name, value in metadata.items()}


def _on(condition: Condition) -> dict[str, str]:
    return {_CONDITIONS[name]: value for name, value in condition.items()}


def _found(key: str, answer: WireAnswer, size: int) -> FoundObject:
    headers = answer.headers
    return FoundObject(
        key,
        _etag(answer),
        size,
        _version(answer),
        {name[len(_META) :]: value for name, value in headers.items() if name.startswith(_META)},
        headers.get("x-amz-checksum-sha256", ""),
        {ours: headers[name] for ours, name in _KEPT.items() if name in headers},
    )


def _version(answer: WireAnswer) -> str:
    """Buckets that never kept versions say nothing; objects from before say "null", which names a version too."""
    return answer.headers.get("x-amz-version-id", "")


def _etag(answer: WireAnswer) -> str:
    return _bare_etag(answer.headers.get("etag"))


def _etag_of_copy(answer: WireAnswer) -> str:
    """The head of an answer to a copy may be on its way before the copy is made: only its body says how it ended."""
    found = _ETAG.search(answer.body)
    if found is None:
        raise answered(500, code_of(answer.body), "a copy")
    return _bare_etag(unescape(found[1].decode("latin-1"), {"&quot;": '"', "&#34;": '"'}))


def _bare_etag(quoted: str | None) -> str:
    etag = (quoted or "").strip('"')
    _agree(bool(etag), "it says no ETag of what it stored")
    return etag


def _agree(holds: bool, otherwise: str) -> None:
    if not holds:
        raise OSError(errno.EIO, f"the store can not be trusted with this object: {otherwise}")
