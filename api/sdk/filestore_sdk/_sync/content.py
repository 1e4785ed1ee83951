# Made of _async by `python -m filestore_sdk.unasync`: change that, and make this again.
"""Bytes: put and get, whole or in parts, side by side, checked by SHA-256."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from collections.abc import Iterator, Callable, Sequence
from typing import IO, Any, TypeAlias

import httpx2

from filestore_sdk import errors, half_written, paths
from filestore_sdk._sync import machine, ranges
from filestore_sdk._sync.changes import Changes, Version, condition
from filestore_sdk._sync.fetching import SMALL, Fetch, Progress, checked
from filestore_sdk._sync.part import AnyMount
from filestore_sdk._sync.sending import Sending, TooSlow
from filestore_sdk._sync.uploads import Uploads
from filestore_sdk.models import Document, Node, Outcome, decode
from filestore_sdk.requests import Request, new_key, parameters

AnySource: TypeAlias = "bytes | os.PathLike[str] | os.PathLike[bytes] | IO[bytes]"
MEMORY = 1024 * 1024
"""Bytes. What is larger is sent from the file, piece by piece."""
AT_ONCE = 30.0
"""Seconds. What takes longer to send goes as a resumable upload: a line that breaks costs no more than this."""


class Content(Uploads, Changes):
    def put(
        self, mount: AnyMount, path: paths.AnyPath, source: AnySource, *, overwrite: bool = True,
        if_match: Version = None, metadata: Document | None = None, media_type: str | None = None,
        parents: bool = False, progress: Progress | None = None, key: str | None = None,
    ) -> Outcome:  # fmt: skip
        """Make `source` the file at a path: bytes, an `os.PathLike` of a local file, or an open binary file.

        It is there whole or not at all. What takes longer than half a minute, or breaks off, goes as a resumable upload, and a
        broken connection goes on where it was. `overwrite=False` raises NodeExists where there is a file; `if_match`
        replaces that version only.
        """
        if parents and (above := paths.parent(path)):
            self.makedirs(mount, above)
        opened, size, own = machine.blocking(_open, source)
        try:
            return self.send(
                mount, path, opened, size, overwrite=overwrite, if_match=if_match, metadata=metadata,
                media_type=media_type, progress=progress, key=key,
            )  # fmt: skip
        finally:
            if own:
                machine.blocking(opened.close)

    def send(
        self, mount: AnyMount, path: paths.AnyPath, source: IO[bytes], size: int, *, overwrite: bool = True,
        if_match: Version = None, metadata: Document | None = None, media_type: str | None = None,
        progress: Progress | None = None, key: str | None = None, begun: Callable[[str], None] | None = None,
    ) -> Outcome:  # fmt: skip
        """The same for `size` bytes of an open file. `begun` gets the id of the resumable upload, where it becomes one."""
        key, base = key or new_key(), machine.blocking(source.tell)
        headers = _headers(overwrite, if_match, metadata, media_type)
        place: dict[str, Any] = {"backendMountId": self.mount_id(mount), **paths.wire(path)}
        address, params = "/v1/files/by-path", parameters(**place)
        if size <= MEMORY:
            content = machine.blocking(source.read, size + 1)
            headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"
            outcome = self._put(Request("PUT", address, params, None, headers, content, key), path, overwrite)
            if progress:
                progress(len(content), len(content))
            return outcome
        told = (lambda sent: progress(sent, size)) if progress else None
        body = Sending(source, base, size, seconds=AT_ONCE, progress=told)
        try:
            outcome = self._put(Request("PUT", address, params, None, headers, body, key), path, overwrite)
        except (TooSlow, errors.BrokenOff):
            machine.blocking(source.seek, base)
            return self.upload(
                mount, path, source, size, overwrite=overwrite, if_match=if_match, metadata=metadata,
                media_type=media_type, progress=progress, key=key, begun=begun,
            )  # fmt: skip
        return _as_sent(outcome, body)

    def _put(self, request: Request, path: paths.AnyPath, overwrite: bool) -> Outcome:
        try:
            return decode(Outcome, self._http.data(request))
        except errors.VersionConflict as taken:
            if overwrite or "If-Match" in request.headers:
                raise
            raise errors.NodeExists(
                f"{paths.shown(path)} is there already.", status=412, details=taken.details
            ) from taken

    def read(
        self,
        mount: AnyMount,
        path: paths.AnyPath,
        *,
        start: int = 0,
        end: int | None = None,
        version: int | None = None,
    ) -> bytes:
        """The bytes of a file, or those from `start` to before `end`. A whole file is checked by its SHA-256."""
        pieces = self.stream(mount, path, start=start, end=end, version=version)
        return b"".join([piece for piece in pieces])

    def stream(
        self,
        mount: AnyMount,
        path: paths.AnyPath,
        *,
        start: int = 0,
        end: int | None = None,
        version: int | None = None,
    ) -> Iterator[bytes]:
        """The same, piece by piece. The last piece comes only if the whole was right."""
        node = self._file(mount, path)
        for piece in self.chunks(node, start=start, end=end, version=version):
            yield piece

    def chunks(
        self,
        node: Node | int,
        *,
        start: int = 0,
        end: int | None = None,
        version: int | None = None,
        if_match: str | None = None,
    ) -> Iterator[bytes]:
        """The bytes of a node, piece by piece. Raises Incomplete where they end early, or are not what was announced."""
        id = node if isinstance(node, int) else node.id
        if end is not None and end <= start:
            return
        ranged = start > 0 or end is not None
        headers = {"Accept-Encoding": "identity"}
        if ranged:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        if if_match:
            headers["If-Match"] = if_match
        params = parameters(version=version)
        try:
            with self._http.stream("GET", f"/v1/files/{id}/content", params=params, headers=headers) as answer:
                if ranged and answer.status_code != 206:
                    raise errors.Incomplete("The server sent the whole file instead of a range.")
                for piece in checked(answer, whole=not ranged):
                    yield piece
        except errors.Refused as refused:
            if refused.status == 416 and start > 0:
                return
            raise
        except httpx2.TransportError as error:
            raise errors.Incomplete(f"The content broke off: {error or type(error).__name__}.") from error

    def ranges(self, node: Node, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes from each start to before its end, in few requests: all of the content that `node` has. Raises
        VersionConflict where it has another one by now."""
        inside = [(min(start, node.size_bytes), min(end, node.size_bytes)) for start, end in spans]
        return ranges.read(self._http, f"/v1/files/{node.id}/content", node.content_hash, inside)

    def get(
        self, mount: AnyMount, path: paths.AnyPath, to: str | os.PathLike[str], *, version: int | None = None,
        progress: Progress | None = None, at_once: int = 4,
    ) -> Node:  # fmt: skip
        """A file of the mount as the local file `to`: there whole and checked, or as it was before.

        A large one comes in ranges, `at_once` side by side. All are of one version: where the file changes meanwhile,
        VersionConflict is raised and nothing is left behind. It goes on where its connection breaks, and where an earlier
        call was interrupted or killed.
        """
        node = self._file(mount, path)
        self.fetch(node, to, version=version, progress=progress, at_once=at_once)
        return node

    def fetch(
        self, node: Node, to: str | os.PathLike[str], *, version: int | None = None, progress: Progress | None = None,
        at_once: int = 4,
    ) -> None:  # fmt: skip
        """The same of a node that is known: VersionConflict where it has another content by now."""
        size, digest = node.size_bytes, node.content_hash
        if version is not None:
            size, digest = self._announced(node, version)
        half = machine.blocking(half_written.begin, os.fspath(to))
        try:
            fetch = Fetch(self.chunks, half, node, size, digest, version, progress, self._http.retries)
            fetch.all(at_once)
            machine.blocking(half.publish)
        except BaseException as error:
            # What was interrupted, or lost its connection, is gone on with by the next call.
            passing = not isinstance(error, Exception) or isinstance(error, (errors.Unreachable, errors.Incomplete))
            machine.blocking(half.keep if passing and size > SMALL else half.discard)
            raise

    def _announced(self, node: Node, version: int) -> tuple[int, str | None]:
        """Size and SHA-256 of an older version."""
        address, params = f"/v1/files/{node.id}/content", parameters(version=version)
        with self._http.stream("HEAD", address, params=params) as answer:
            return int(answer.headers["content-length"]), answer.headers.get("x-filestore-content-hash")

    def _file(self, mount: AnyMount, path: paths.AnyPath) -> Node:
        node = self._living(mount, path)
        if node.is_directory:
            raise errors.NotADirectory(f"{paths.shown(path)} is a directory.", status=409)
        return node

    def link(self, mount: AnyMount, path: paths.AnyPath, *, expires: int = 300) -> str:
        """An address under which everyone can read this content for so many seconds; mounts in buckets only."""
        node = self._file(mount, path)
        return str((self._get(f"/v1/files/{node.id}/presign", expiresIn=expires))["url"])


def _open(source: AnySource) -> tuple[IO[bytes], int, bool]:
    """The source as an open file, its size from here on, and whether it has to be closed again."""
    if isinstance(source, bytes):
        return io.BytesIO(source), len(source), True
    if isinstance(source, os.PathLike):
        opened: IO[bytes] = open(source, "rb")  # noqa: SIM115  (its caller closes it)
        return opened, os.fstat(opened.fileno()).st_size, True
    here = source.tell()
    end = source.seek(0, os.SEEK_END)
    source.seek(here)
    return source, end - here, False


def _headers(overwrite: bool, if_match: Version, metadata: Document | None, media_type: str | None) -> dict[str, str]:
    headers = {"Content-Type": media_type or "application/octet-stream"}
    if metadata:
        headers["x-filestore-metadata"] = base64.b64encode(json.dumps(metadata).encode()).decode()
    if not overwrite:
        headers["If-None-Match"] = "*"
    if (version := condition(if_match)) is not None:
        headers["If-Match"] = version
    return headers


def _as_sent(outcome: Outcome, body: Sending) -> Outcome:
    """A server that keeps other bytes than those that were sent is found out, if late."""
    kept = outcome.node.content_hash if outcome.node else None
    if kept and body.sha256 and kept != body.sha256:
        raise errors.Incomplete("The server has other bytes than those that were sent: their SHA-256 differs.")
    return outcome
