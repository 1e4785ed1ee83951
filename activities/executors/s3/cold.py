"""Cold copies in a bucket: objects below our own prefix. The store says their SHA-256 where it knows it; otherwise they are read
again and hashed whenever they are trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

from activities.executors.contract.cold import ColdFile
from activities.executors.contract.stage import UploadLink
from activities.executors.s3.archived import thaw
from activities.executors.s3.bucket import FREE, Bucket, FoundObject, UploadedPart, base64_of
from activities.executors.s3.errors import ConditionFailed, Missing, PastTheEnd
from activities.executors.s3.keys import Keys
from activities.executors.s3.presign import Uploads

PART = 16 << 20
"""What has more bytes goes up in parts of so many"""
_BLOCK = 4 << 20


class S3Cold:
    """`ColdCopies` of a mount in a bucket."""

    def __init__(self, bucket: Bucket, keys: Keys, uploads: Uploads) -> None:
        self._bucket, self._prefix, self._uploads = bucket, f"{keys.reserved}cold/", uploads

    def put(self, key: str, content: BinaryIO, sha: str, size: int) -> None:
        """Raises ValueError for another content than its name says: then nothing is there."""
        if size > PART:
            self._put_parts(key, content, sha, size)
        else:
            body = content.read(size + 1)
            if len(body) != size or hashlib.sha256(body).hexdigest() != sha:
                raise ValueError("the content is not what its name says")
            try:
                self._bucket.put(self._prefix + key, body, bytes.fromhex(sha), {}, FREE)
            except ConditionFailed:
                if not self.holds(key, sha, size):
                    raise

    def _put_parts(self, key: str, content: BinaryIO, sha: str, size: int) -> None:
        """The parts appear as one object only once all of them together are what the name says."""
        name = self._prefix + key
        upload, digest = self._bucket.begin_parts(name, {}), hashlib.sha256()
        parts: list[UploadedPart] = []
        try:
            while part := content.read(PART):
                digest.update(part)
                parts.append(self._bucket.put_part(name, upload, len(parts) + 1, part, hashlib.sha256(part).digest()))
            if digest.hexdigest() != sha or sum(part.size for part in parts) != size:
                raise ValueError("the content is not what its name says")
            self._bucket.end_parts(name, upload, parts, {}, FREE)
        except BaseException as error:
            self._bucket.abort_parts(name, upload)
            if not (isinstance(error, ConditionFailed) and self.holds(key, sha, size)):
                raise

    def holds(self, key: str, sha: str, size: int) -> bool:
        found = self._bucket.head(self._prefix + key)
        if found is None or found.size != size:
            return False
        if found.checksum == base64_of(bytes.fromhex(sha)):
            return True
        if found.checksum and "-" not in found.checksum:
            return False
        try:
            digest = hashlib.sha256()
            for piece in self._read(found):
                digest.update(piece)
        except Missing:
            return False
        return digest.hexdigest() == sha

    def read(self, key: str, start: int = 0, size: int | None = None) -> Iterator[bytes]:
        """Raises FileNotFoundError."""
        found = self._bucket.head(self._prefix + key)
        if found is None:
            raise FileNotFoundError(key)
        yield from self._read(found, start, size)

    def _read(self, found: FoundObject, first: int = 0, size: int | None = None) -> Iterator[bytes]:
        end = found.size if size is None else min(found.size, first + size)
        for start in range(first, end, _BLOCK):
            try:
                piece, _ = self._bucket.read(found.key, start, min(start + _BLOCK, end), found)
            except PastTheEnd as error:
                raise Missing(found.key) from error
            yield piece

    def link(self, key: str, sha: str, size: int, seconds: int) -> UploadLink:
        """Raises PayloadTooLarge."""
        return self._uploads.link_to(self._prefix + key, size, bytes.fromhex(sha), seconds)

    def proven(self, key: str, sha: str, size: int) -> float | None:
        """Raises ChecksumMismatch."""
        name = self._prefix + key
        if self._uploads.proven(name, size, bytes.fromhex(sha)) is None:
            return None
        return next((one.age for one in self._bucket.first(name, 1) if one.key == name), None)

    def thaw(self, key: str) -> bool:
        """Raises FileNotFoundError."""
        try:
            return thaw(self._bucket.wire, self._prefix + key)
        except Missing as error:
            raise FileNotFoundError(key) from error

    def delete(self, key: str) -> None:
        self._bucket.delete(self._prefix + key)

    def keys(self, prefix: str) -> Iterator[ColdFile]:
        for found in self._bucket.every(f"{self._prefix}{prefix}/"):
            yield ColdFile(found.key.removeprefix(self._prefix), found.age, found.size)
