# Made of _async by `python -m filestore_sdk.unasync`: change that, and make this again.
"""Bytes: put and get, whole or in parts, side by side, checked by SHA-256."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator, Callable
from contextlib import suppress
from typing import IO, Any, TypeAlias

import httpx2

from filestore_sdk import errors, paths
from filestore_sdk._sync import machine
from filestore_sdk._sync.changes import Changes, Version, condition
from filestore_sdk._sync.part import AnyMount
from filestore_sdk._sync.uploads import Uploads
from filestore_sdk.models import Document, Node, Outcome, decode
from filestore_sdk.requests import Request, new_key, parameters

AnySource: TypeAlias = "bytes | os.PathLike[str] | os.PathLike[bytes] | IO[bytes]"
Progress = Callable[[int, int], None]
"""Called with the bytes that are done and the bytes of the whole."""

SMALL = 8 * 1024 * 1024
"""Bytes. What is larger goes as a resumable upload, and comes in several ranges at once."""
PIECE = 16 * 1024 * 1024
CHUNK = 1024 * 1024


class Content(Uploads, Changes):
    def put(
        self, mount: AnyMount, path: paths.AnyPath, source: AnySource, *, overwrite: bool = True,
        if_match: Version = None, metadata: Document | None = None, media_type: str | None = None,
        parents: bool = False, progress: Progress | None = None, key: str | None = None,
    ) -> Outcome:  # fmt: skip
        """Make `source` the file at a path: bytes, an `os.PathLike` of a local file, or an open binary file.

        It is there whole or not at all. Above 8 MiB it goes as a resumable upload, and a broken connection goes on where it
        was. `overwrite=False` raises NodeExists where there is a file; `if_match` replaces that version only.
        """
        if parents and (above := paths.parent(path)):
            self.makedirs(mount, above)
        opened, size, own = machine.blocking(_open, source)
        try:
            if size <= SMALL:
                content = machine.blocking(opened.read, size + 1)
                return self._put_small(
                    mount, path, content, overwrite, if_match, metadata, media_type, progress, key
                )
            return self.upload(
                mount, path, opened, size, overwrite=overwrite, if_match=if_match, metadata=metadata,
                media_type=media_type, progress=progress, key=key,
            )  # fmt: skip
        finally:
            if own:
                machine.blocking(opened.close)

    def _put_small(
        self, mount: AnyMount, path: paths.AnyPath, content: bytes, overwrite: bool, if_match: Version,
        metadata: Document | None, media_type: str | None, progress: Progress | None, key: str | None,
    ) -> Outcome:  # fmt: skip
        headers = {
            "Content-Type": media_type or "application/octet-stream",
            "Repr-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:",
        }
        if metadata:
            headers["x-filestore-metadata"] = base64.b64encode(json.dumps(metadata).encode()).decode()
        if not overwrite:
            headers["If-None-Match"] = "*"
        if (version := condition(if_match)) is not None:
            headers["If-Match"] = version
        place: dict[str, Any] = {"backendMountId": self.mount_id(mount), **paths.wire(path)}
        request = Request(
            "PUT",
            "/v1/files/by-path",
            params=parameters(**place),
            headers=headers,
            content=content,
            key=key or new_key(),
        )
        try:
            outcome = decode(Outcome, self._http.data(request))
        except errors.VersionConflict as taken:
            if overwrite or if_match is not None:
                raise
            raise errors.NodeExists(
                f"{paths.shown(path)} is there already.", status=412, details=taken.details
            ) from taken
        if progress:
            progress(len(content), len(content))
        return outcome

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
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if ranged else {}
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

    def get(
        self, mount: AnyMount, path: paths.AnyPath, to: str | os.PathLike[str], *, version: int | None = None,
        progress: Progress | None = None, at_once: int = 4,
    ) -> Node:  # fmt: skip
        """A file of the mount as the local file `to`: there whole and checked, or as it was before.

        A large one comes in ranges, `at_once` side by side. All are of one version: where the file changes meanwhile,
        VersionConflict is raised and nothing is left behind.
        """
        node = self._file(mount, path)
        size = node.size_bytes if version is None else self._size_of(node, version)
        target = os.fspath(to)
        handle, temporary = machine.blocking(_beside, target)
        try:
            try:
                self._fill(handle, node, size, version, progress, at_once)
            finally:
                os.close(handle)
            machine.blocking(os.replace, temporary, target)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        return node

    def _size_of(self, node: Node, version: int) -> int:
        with self._http.stream(
            "HEAD", f"/v1/files/{node.id}/content", params=parameters(version=version)
        ) as answer:
            return int(answer.headers["content-length"])

    def _fill(
        self, handle: int, node: Node, size: int, version: int | None, progress: Progress | None, at_once: int
    ) -> None:
        done = 0

        def write(start: int, end: int | None) -> None:
            nonlocal done
            place = start
            for piece in self.chunks(node, start=start, end=end, version=version, if_match=tag):
                machine.blocking(os.pwrite, handle, piece, place)
                place += len(piece)
                done += len(piece)
                if progress:
                    progress(done, size)

        tag = f'"{node.content_hash}"' if node.content_hash and version is None else None
        if size <= SMALL:
            write(0, None)
        else:
            spans = [(start, min(start + PIECE, size)) for start in range(0, size, PIECE)]
            machine.side_by_side([_job(write, start, end) for start, end in spans], at_once)
            if version is None:
                machine.blocking(_compare, handle, size, node.content_hash)
        if progress and size == 0:
            progress(0, 0)

    def _file(self, mount: AnyMount, path: paths.AnyPath) -> Node:
        node = self._living(mount, path)
        if node.is_directory:
            raise errors.NotADirectory(f"{paths.shown(path)} is a directory.", status=409)
        return node

    def link(self, mount: AnyMount, path: paths.AnyPath, *, expires: int = 300) -> str:
        """An address under which everyone can read this content for so many seconds; mounts in buckets only."""
        node = self._file(mount, path)
        return str((self._get(f"/v1/files/{node.id}/presign", expiresIn=expires))["url"])


def _job(write: Any, start: int, end: int) -> Any:
    return lambda: write(start, end)


def _beside(target: str) -> tuple[int, str]:
    """A temporary file in the same directory: it can take the place of `target` in one step."""
    return tempfile.mkstemp(prefix=".filestore-", dir=os.path.dirname(os.path.abspath(target)))


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


def checked(answer: httpx2.Response, *, whole: bool) -> Iterator[bytes]:
    """The body, counted and, where it is whole, hashed. One piece is held back until all is known to be right."""
    digest, count, held = hashlib.sha256(), 0, b""
    for piece in answer.iter_bytes(CHUNK):
        digest.update(piece)
        count += len(piece)
        if held:
            yield held
        held = piece
    length = answer.headers.get("content-length")
    if length is not None and int(length) != count:
        raise errors.Incomplete(f"{count} of {length} bytes came.")
    announced = answer.headers.get("x-filestore-content-hash")
    if whole and announced and announced != digest.hexdigest():
        raise errors.Incomplete("The content is not the one that was announced: its SHA-256 differs.")
    if held:
        yield held


def _compare(handle: int, size: int, announced: str | None) -> None:
    digest, place = hashlib.sha256(), 0
    while place < size:
        piece = os.pread(handle, CHUNK, place)
        if not piece:
            raise errors.Incomplete(f"{place} of {size} bytes came.")
        digest.update(piece)
        place += len(piece)
    if announced and digest.hexdigest() != announced:
        raise errors.Incomplete("The content is not the one that was announced: its SHA-256 differs.")
