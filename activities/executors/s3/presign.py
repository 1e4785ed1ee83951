"""Content that a client puts straight into a stage of the bucket, and the proof that it is what was announced.

The link is good for one key, one length and one SHA-256, and only while nothing lies there: a client that has it can put
this content where nothing is visible, once, and nothing else. What a store says of a checksum counts where it has been seen to
refuse a wrong one; elsewhere the content is read.
"""

import hashlib
import threading
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from activities.executors.contract.identity import Identity
from activities.executors.contract.stage import Stage, UploadLink
from activities.executors.s3.bucket import FREE, SHA256, FoundObject, base64_of
from activities.executors.s3.errors import ConditionFailed, Missing, explaining
from activities.executors.s3.mount import Store
from schema.errors import ChecksumMismatch, PayloadTooLarge
from schema.ids import CommandId, new_command_id

PUT_MAX = 5 << 30
"""Bytes in one request, everywhere."""
LINK_MAX = 7 * 24 * 3600
"""Seconds: the most that signatures of this kind allow."""
BLOCK = 8 << 20
_TYPE = "application/octet-stream"
"""The media type of every object that is put here. The type that the client gave stands in the record."""
_REFUSED = ("BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch")


class Uploads:
    """Of one mount."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._proves: bool | None = None
        self._guard = threading.Lock()

    def link(self, stage: CommandId, size: int, sha256: bytes, seconds: int) -> UploadLink:
        """Sends no request. Raises PayloadTooLarge."""
        return self.link_to(self._store.keys.stage(stage), size, sha256, seconds)

    def link_to(self, key: str, size: int, sha256: bytes, seconds: int) -> UploadLink:
        """The same for any key."""
        if size > PUT_MAX:
            raise PayloadTooLarge(
                f"One request holds {PUT_MAX} bytes; send more as a resumable upload, at /v1/uploads."
            )
        wanted: Any = {
            "Bucket": self._store.bucket.name,
            "Key": key,
            "ContentLength": size,
            "ContentType": _TYPE,
            "ChecksumSHA256": base64_of(sha256),
            "Metadata": {SHA256: sha256.hex()},
            **FREE,
        }
        with explaining():
            url = self._store.bucket.client.generate_presigned_url(
                "put_object", Params=wanted, ExpiresIn=max(1, min(seconds, LINK_MAX))
            )
        return UploadLink(url, _headers(size, sha256))

    def find(self, stage: CommandId, size: int, sha256: bytes) -> Stage | None:
        """The object that was put there, after proof. None: nothing yet. Raises ChecksumMismatch, and removes the
        object so that the right content can come."""
        found = self.proven(self._store.keys.stage(stage), size, sha256)
        if found is None:
            return None
        # The ETag alone says which object this is: its metadata could come from the client that put it.
        return Stage(stage, Identity(0, 0, 0, size, 0, 0, False, tag=f"object:{found.etag}"), sha256)

    def proven(self, key: str, size: int, sha256: bytes) -> FoundObject | None:
        """The same of any key."""
        found = self._store.bucket.head(key)
        if found is None:
            self._store.sure()
            return None
        try:
            self._prove(found, size, sha256)
        except ChecksumMismatch:
            self._remove(found)
            raise
        return found

    def _prove(self, found: FoundObject, size: int, sha256: bytes) -> None:
        if found.size != size:
            raise ChecksumMismatch(expectedBytes=size, foundBytes=found.size)
        if found.headers.get("ContentEncoding"):
            raise ChecksumMismatch("The content was sent with Content-Encoding. Send exactly the headers of the link.")
        if found.checksum and found.checksum == base64_of(sha256) and self._refuses_wrong_ones():
            return
        read = self._read(found)
        if read != sha256:
            raise ChecksumMismatch(expected=f"sha256:{sha256.hex()}", found=f"sha256:{read.hex()}")

    def _refuses_wrong_ones(self) -> bool:
        """Asked once. A store may keep a checksum as it keeps other headers, and then only the client vouches for it."""
        with self._guard:
            if self._proves is None:
                self._proves = self._ask()
            return self._proves

    def _ask(self) -> bool:
        bucket, key = self._store.bucket, self._store.keys.stage(new_command_id())
        wrong = base64_of(hashlib.sha256(b"wrong").digest())
        with explaining():
            try:
                bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"content", ChecksumSHA256=wrong)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _REFUSED:
                    return True
                raise
        bucket.delete(key)
        return False

    def _read(self, found: FoundObject) -> bytes:
        digest = hashlib.sha256()
        for start in range(0, found.size, BLOCK):
            try:
                block, _ = self._store.bucket.read(found.key, start, min(start + BLOCK, found.size), found)
            except (ConditionFailed, Missing) as error:
                raise ChecksumMismatch("The content was changed while it was read. Send it again.") from error
            digest.update(block)
        return digest.digest()

    def _remove(self, found: FoundObject) -> None:
        try:
            self._store.bucket.delete(found.key, found.etag)
        except (ConditionFailed, Missing):
            return


def _headers(size: int, sha256: bytes) -> Mapping[str, str]:
    return {
        "content-length": str(size),
        "content-type": _TYPE,
        "if-none-match": "*",
        "x-amz-checksum-sha256": base64_of(sha256),
        f"x-amz-meta-{SHA256}": sha256.hex(),
    }
