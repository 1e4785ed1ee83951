"""`filestore://mount/path` for fsspec: what pandas, pyarrow, DuckDB, polars and universal_pathlib read and write through.

    fs = fsspec.filesystem("filestore", url="http://127.0.0.1:8080", token="fst_...")
    with fs.open("docs/reports/a.csv") as file: ...

Without `url` and `token` the environment and the configuration of the `filestore` command say where the server is. A file is
there whole or not at all: it appears when it is closed. In `with fs.transaction:` files appear together, up to 64 of a mount
as one atomic list.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from fsspec.asyn import AsyncFileSystem, sync
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractBufferedFile
from fsspec.transaction import Transaction
from fsspec.utils import tokenize

from filestore_sdk import errors, paths
from filestore_sdk._async.client import AsyncClient
from filestore_sdk._async.fetching import SMALL
from filestore_sdk.models import Node

ATOMIC_MOST = 64
"""Commands of one mount that the server takes as one atomic list."""


class Together(Transaction):  # type: ignore[misc]
    """Files of a transaction: their content is at the server, under other names, until all of them take their places."""

    fs: Any

    def complete(self, commit: bool = True) -> None:
        files = [self.files.popleft() for _ in range(len(self.files))]
        if commit:
            self.fs.publish(files)
        else:
            for file in files:
                file.discard()
        self.fs._intrans = False
        self.fs._transaction = None
        self.fs = None


class FilestoreFileSystem(AsyncFileSystem):  # type: ignore[misc]
    protocol = "filestore"
    cachable = True
    mirror_sync_methods = True
    transaction_type = Together

    def __init__(
        self, url: str | None = None, token: str | None = None, profile: str | None = None, *, endpoint: str | None = None,
        asynchronous: bool = False, loop: Any = None, correlation_id: str | None = None, **options: Any,
    ) -> None:  # fmt: skip
        """`endpoint` is `url` by another name: pandas and `fsspec.open` have a `url` of their own, which is the file's."""
        super().__init__(asynchronous=asynchronous, loop=loop, **options)
        self.client = AsyncClient(url or endpoint, token, profile=profile, correlation_id=correlation_id)

    # Addresses

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = os.fspath(path) if isinstance(path, os.PathLike) else str(path)
        return text.removeprefix("filestore://").strip("/")

    @staticmethod
    def _split(path: str) -> tuple[str, str]:
        mount, _, below = path.strip("/").partition("/")
        return mount, below

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        return {}

    # Looking

    async def _stat(self, path: str) -> Node:
        mount, below = self._split(self._strip_protocol(path))
        try:
            return await self.client.stat(mount, below)
        except errors.Missing as missing:
            raise FileNotFoundError(path) from missing

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if not path:
            return {"name": "", "size": 0, "type": "directory"}
        return _entry(path, await self._stat(path))

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        found = await self._entries(path)
        return found if detail else sorted(one["name"] for one in found)

    async def _entries(self, path: str) -> list[dict[str, Any]]:
        if not path:
            return [{"name": one.mount_key, "size": 0, "type": "directory"} async for one in self.client.mounts.list()]
        mount, below = self._split(path)
        try:
            return [_entry(f"{mount}/{one.path}", one) async for one in self.client.children(mount, below)]
        except errors.NotADirectory:
            return [await self._info(path)]
        except errors.Missing as missing:
            raise FileNotFoundError(path) from missing

    async def _find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **options: Any
    ) -> Any:
        """All below a path from few requests: pages of the whole tree, not a request for each directory."""
        path = self._strip_protocol(path)
        if not path or maxdepth is not None:
            return await super()._find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail, **options)
        try:
            here = await self._info(path)
        except FileNotFoundError:
            return {} if detail else []
        mount, below = self._split(path)
        found = {path: here} if here["type"] == "file" or withdirs else {}
        if here["type"] == "directory":
            async for one in self.client.tree(mount, below):
                if one.path != below and (withdirs or not one.is_directory):
                    found[f"{mount}/{one.path}"] = _entry(f"{mount}/{one.path}", one)
        found = dict(sorted(found.items()))
        return found if detail else list(found)

    async def _created(self, path: str) -> datetime | None:
        return (await self._stat(path)).created_at

    async def _modified(self, path: str) -> datetime | None:
        return (await self._stat(path)).last_modified_at

    def created(self, path: str) -> datetime | None:
        found: datetime | None = sync(self.loop, self._created, path)
        return found

    def modified(self, path: str) -> datetime | None:
        found: datetime | None = sync(self.loop, self._modified, path)
        return found

    def ukey(self, path: str) -> str:
        """The SHA-256 of the content: caches that compare it are exact."""
        found = sync(self.loop, self._stat, path)
        return str(found.content_hash or tokenize(found.id, found.version))

    def checksum(self, path: str) -> int:
        return int(tokenize(self.ukey(path)), 16)

    def sign(self, path: str, expiration: int = 100, **_: Any) -> str:
        """An address that needs no token; for mounts in buckets."""
        mount, below = self._split(self._strip_protocol(path))
        return str(sync(self.loop, self.client.link, mount, below, expires=expiration))

    # Bytes

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        mount, below = self._split(self._strip_protocol(path))
        try:
            if (start or 0) < 0 or (end or 0) < 0:
                size = (await self._stat(path)).size_bytes
                start = max(0, size + start) if start is not None and start < 0 else start
                end = max(0, size + end) if end is not None and end < 0 else end
            return await self.client.read(mount, below, start=start or 0, end=end)
        except errors.NotADirectory as directory:
            raise IsADirectoryError(path) from directory
        except errors.Missing as missing:
            raise FileNotFoundError(path) from missing

    async def _cat_ranges(
        self, paths: Any, starts: Any, ends: Any, max_gap: int | None = None, batch_size: int | None = None,
        on_error: str = "return", **_: Any,
    ) -> list[Any]:  # fmt: skip
        """Each file is looked at once, and its ranges come in few requests."""
        if not isinstance(paths, list):
            raise TypeError("paths have to be a list")
        starts = list(starts) if isinstance(starts, Iterable) else [starts] * len(paths)
        ends = list(ends) if isinstance(ends, Iterable) else [ends] * len(paths)
        if not len(starts) == len(ends) == len(paths):
            raise ValueError("a start and an end for each path")
        of: dict[str, list[int]] = defaultdict(list)
        for number, path in enumerate(paths):
            of[path].append(number)
        found: list[Any] = [None] * len(paths)

        async def one(path: str, numbers: list[int]) -> None:
            try:
                read = await self._ranges(path, [(starts[number], ends[number]) for number in numbers])
            except Exception as error:
                if on_error != "return":
                    raise
                read = [error] * len(numbers)
            for number, part in zip(numbers, read, strict=True):
                found[number] = part

        await asyncio.gather(*(one(path, numbers) for path, numbers in of.items()))
        return found

    async def _ranges(self, path: str, spans: list[tuple[int | None, int | None]]) -> list[Any]:
        node = await self._stat(path)
        if node.is_directory:
            raise IsADirectoryError(path)
        size = node.size_bytes
        return await self.client.ranges(
            node, [(_place(start, 0, size), _place(end, size, size)) for start, end in spans]
        )

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        await self._write(path, bytes(value), overwrite=mode != "create")

    async def _write(self, path: str, source: Any, *, overwrite: bool = True) -> None:
        mount, below = self._split(self._strip_protocol(path))
        try:
            await self.client.put(mount, below, source, overwrite=overwrite, parents=True)
        except errors.NodeExists as taken:
            raise FileExistsError(path) from taken
        except errors.NotADirectory as other:
            raise IsADirectoryError(path) from other

    async def _put_file(
        self, lpath: str, rpath: str, callback: Any = DEFAULT_CALLBACK, mode: str = "overwrite", **_: Any
    ) -> None:
        if os.path.isdir(lpath):  # noqa: ASYNC240  (one look at a local disk)
            await self._makedirs(rpath, exist_ok=True)
            return
        with open(lpath, "rb") as opened:  # noqa: ASYNC230  (its reads run in threads)
            callback.set_size(os.fstat(opened.fileno()).st_size)
            await self._write(rpath, opened, overwrite=mode != "create")
        callback.absolute_update(callback.size or 0)

    async def _get_file(self, rpath: str, lpath: str, callback: Any = DEFAULT_CALLBACK, **_: Any) -> None:
        found = await self._info(rpath)
        if found["type"] == "directory":
            os.makedirs(lpath, exist_ok=True)
            return
        os.makedirs(os.path.dirname(os.path.abspath(lpath)), exist_ok=True)  # noqa: ASYNC240  (one step on a local disk)
        mount, below = self._split(self._strip_protocol(rpath))
        callback.set_size(found["size"])
        await self.client.get(mount, below, lpath, progress=lambda done, _: callback.absolute_update(done))

    def _open(
        self, path: str, mode: str = "rb", block_size: int | str | None = None, autocommit: bool = True, **options: Any
    ) -> Any:
        size = 4 * 1024 * 1024 if block_size in (None, "default") else block_size
        return FilestoreFile(self, path, mode, block_size=size, autocommit=autocommit, **options)

    # Changing

    async def _mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        mount, below = self._split(self._strip_protocol(path))
        if not below:
            return
        try:
            await self.client.mkdir(mount, below, parents=create_parents)
        except errors.NodeExists as taken:
            raise FileExistsError(path) from taken
        except errors.ParentNotFound as missing:
            raise FileNotFoundError(path) from missing

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        mount, below = self._split(self._strip_protocol(path))
        if below:
            try:
                await self.client.mkdir(mount, below, parents=True, exist_ok=exist_ok)
            except errors.NodeExists as taken:
                raise FileExistsError(path) from taken

    async def _rmdir(self, path: str) -> None:
        mount, below = self._split(self._strip_protocol(path))
        await self._stat(path)
        try:
            await self.client.delete(mount, below)
        except errors.ChildrenExist as full:
            raise OSError(f"{path} is not empty") from full

    async def _rm_file(self, path: str, **_: Any) -> None:
        mount, below = self._split(self._strip_protocol(path))
        await self._stat(path)
        await self.client.delete(mount, below)

    async def _rm(self, path: Any, recursive: bool = False, batch_size: int | None = None, **_: Any) -> None:
        """A directory goes as a whole: one command, however large it is."""
        for one in await self._expand_path(path, recursive=False):
            mount, below = self._split(one)
            await self._stat(one)
            try:
                await self.client.delete(mount, below, recursive=recursive)
            except errors.ChildrenExist as full:
                raise OSError(f"{one} is not empty") from full

    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:
        (mount, below), (other, target) = (
            self._split(self._strip_protocol(path1)),
            self._split(self._strip_protocol(path2)),
        )
        found = await self._stat(path1)
        if found.is_directory:
            await self._makedirs(path2, exist_ok=True)
            return
        if above := paths.parent(target):
            await self.client.makedirs(other, above)
        await self.client.copy(mount, below, target, target_mount=None if mount == other else other, overwrite=True)

    async def _mv(self, path1: str, path2: str) -> None:
        (mount, below), (other, target) = (
            self._split(self._strip_protocol(path1)),
            self._split(self._strip_protocol(path2)),
        )
        found = await self._stat(path1)
        if above := paths.parent(target):
            await self.client.makedirs(other, above)
        elsewhere = None if mount == other else other
        await self.client.move(mount, below, target, target_mount=elsewhere, overwrite=not found.is_directory)

    def mv(self, path1: str, path2: str, recursive: bool = False, maxdepth: int | None = None, **_: Any) -> None:
        """One rename, for a directory with everything below it as well."""
        sync(self.loop, self._mv, path1, path2)

    def mv_file(self, path1: str, path2: str, **_: Any) -> None:
        sync(self.loop, self._mv, path1, path2)

    def publish(self, files: list[FilestoreFile]) -> None:
        """Files of a transaction take their places: of each mount as atomic lists of up to 64."""
        sync(self.loop, self._publish, files)

    async def _publish(self, files: list[FilestoreFile]) -> None:
        by_mount: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for file in files:
            mount, target = self._split(file.path)
            by_mount[mount].append((file.staged_at, target))
        for mount, moves in by_mount.items():
            id = await self.client.mount_id(mount)
            for start in range(0, len(moves), ATOMIC_MOST):
                commands = [
                    {
                        "command": "moveNode",
                        "backendMountId": id,
                        "path": staged,
                        "targetPath": target,
                        "overwrite": True,
                    }
                    for staged, target in moves[start : start + ATOMIC_MOST]
                ]
                results = await self.client.batch(commands, mode="atomic")
                if failed := [one.error for one in results if one.error]:
                    causes = [error for error in failed if not isinstance(error, errors.NotAttempted)]
                    raise (causes or failed)[0]


class FilestoreFile(AbstractBufferedFile):  # type: ignore[misc]
    """Reads in blocks of one version; what is written appears when it is closed, or committed."""

    staged_at = ""

    def __init__(
        self, fs: FilestoreFileSystem, path: str, mode: str = "rb", autocommit: bool = True, **options: Any
    ) -> None:
        self.closed = True  # until it is open: what is refused here is not closed again
        if mode == "xb" and fs.exists(path):
            raise FileExistsError(path)
        super().__init__(fs, path, mode, autocommit=autocommit, **options)
        if mode in ("wb", "xb", "ab"):
            self._kept = tempfile.SpooledTemporaryFile(max_size=SMALL)  # noqa: SIM115  (closed with the file)
            if mode == "ab":
                self._take_over()

    def _take_over(self) -> None:
        """Appending rewrites: a file is one content."""
        try:
            self._kept.write(self.fs.cat_file(self.path))
            self.loc = self._kept.tell()
        except FileNotFoundError:
            pass

    def _fetch_range(self, start: int, end: int) -> bytes:
        return bytes(sync(self.fs.loop, self._range, start, end))

    async def _range(self, start: int, end: int) -> bytes:
        """All blocks are of one content: where the file was replaced meanwhile, VersionConflict is raised."""
        node, tag = self.details["id"], self.details["contentHash"]
        parts = [
            part
            async for part in self.fs.client.chunks(node, start=start, end=end, if_match=f'"{tag}"' if tag else None)
        ]
        return b"".join(parts)

    def _initiate_upload(self) -> None:
        self.offset = 0

    def _upload_chunk(self, final: bool = False) -> bool:
        self.buffer.seek(0)
        self._kept.write(self.buffer.read())
        if final:
            self._kept.seek(0)
            try:
                self._arrive()
            except BaseException:
                self.closed = True  # its end is told once: not again when it is collected
                raise
            finally:
                self._kept.close()
        return True

    def _arrive(self) -> None:
        if self.autocommit:
            sync(self.fs.loop, self.fs._write, self.path, self._kept, overwrite=self.mode != "xb")
        else:
            self._stage()

    def _stage(self) -> None:
        """The content is at the server under another name, beside its place."""
        mount, target = self.fs._split(self.path)
        self.staged_at = paths.join(paths.parent(target), f".{uuid.uuid4().hex}.part")
        sync(self.fs.loop, self.fs._write, f"{mount}/{self.staged_at}", self._kept)

    def commit(self) -> None:
        self.fs.publish([self])

    def discard(self) -> None:
        if self.staged_at:
            mount, _ = self.fs._split(self.path)
            self.fs.rm_file(f"{mount}/{self.staged_at}")


def _place(given: int | None, otherwise: int, size: int) -> int:
    """As slices have it: from the end where it is negative."""
    if given is None:
        return otherwise
    return max(0, size + given) if given < 0 else given


def _entry(name: str, node: Node) -> dict[str, Any]:
    return {
        "name": name,
        "size": node.size_bytes if not node.is_directory else 0,
        "type": node.kind,
        "id": node.id,
        "version": node.version,
        "contentHash": node.content_hash,
        "mtime": node.last_modified_at,
        "metadata": dict(node.metadata),
    }
