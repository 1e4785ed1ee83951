"""`HotStore` on JetStream. A small content is one message under its SHA-256; a stream that takes one message for each subject and
refuses more makes a put of the same content twice one put. A large one is chunks under a name of their own, then a head under its
SHA-256 in the layout of NATS' object store (ADR-20). Reading asks for messages directly, many with one request.

Each project has streams of its own: to drop one frees its disk at once, to delete single messages does so late.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import uuid
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from activities.sync.hot import SMALL_MAX, HotMissing, HotUnavailable
from activities.sync.nats.audit import NatsAudit
from activities.sync.nats.index import NatsIndex, encoded, index_of
from activities.sync.nats.link import (
    NO_STREAM,
    WINDOW_BYTES,
    WRONG_SEQUENCE,
    NatsLink,
    Refusal,
)
from activities.sync.nats.streams import NatsStreams, all_there
from activities.sync.nats.sweep import age_of, subjects

if TYPE_CHECKING:
    from nats.aio.msg import Msg

CHUNK = 512 * 1024
ASKED_AT_ONCE = 512
"""Small contents of one request"""
_BATCH_BYTES = 8 << 20
_EVENTS = "FS_EVENTS"
_EVENTS_SECONDS = 14 * 86400


class NatsHot:
    def __init__(self, link: NatsLink) -> None:
        self._link, self._streams = link, NatsStreams(link)
        self._index, self._audit = NatsIndex(link, self._streams), NatsAudit(link, self._streams)

    async def ready(self) -> bool:
        try:
            await self._link.client()
        except HotUnavailable:
            return False
        return True

    # -- small and large -----------------------------------------------------------------------------------------------

    async def put(self, project: str, sha: str, content: bytes) -> None:
        if len(content) > SMALL_MAX:
            await self.put_pieces(project, sha, len(content), _cut(content))
        else:
            await self.put_many(project, {sha: content})

    async def put_many(self, project: str, contents: Mapping[str, bytes]) -> None:
        await self._streams.once_more(_small(project), lambda: self._put_small(project, contents))

    async def _put_small(self, project: str, contents: Mapping[str, bytes]) -> None:
        await self._streams.make(
            _small(project), [f"hot.{project}.>"], max_msgs_per_subject=1, discard="new", discard_new_per_subject=True
        )
        waiting: deque[Awaitable[Any]] = deque()
        held = 0
        for sha, content in contents.items():
            waiting.append(await self._link.send(f"hot.{project}.{sha}", content))
            held += len(content)
            if held > WINDOW_BYTES or len(waiting) > 1000:
                await all_there(waiting)
                held = 0
        await all_there(waiting)

    async def put_pieces(self, project: str, sha: str, size: int, pieces: AsyncIterator[bytes]) -> None:
        bucket = _large(project)
        await self._streams.make(
            f"OBJ_{bucket}", [f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"], allow_rollup_hdrs=True, discard="new"
        )
        nuid = uuid.uuid4().hex[:22]
        try:
            chunks = await self._put_chunks(f"$O.{bucket}.C.{nuid}", sha, size, pieces)
            await self._put_head(bucket, sha, size, nuid, chunks)
        except BaseException as error:
            if isinstance(error, HotUnavailable):
                self._streams.forget(f"OBJ_{bucket}")  # if it is gone, who sends the content again makes it
            await asyncio.shield(self._purge(bucket, nuid))
            raise

    async def _put_chunks(self, subject: str, sha: str, size: int, pieces: AsyncIterator[bytes]) -> int:
        digest, held, count, total = hashlib.sha256(), 0, 0, 0
        waiting: deque[tuple[Awaitable[Any], int]] = deque()
        async for piece in _gathered(pieces):
            waiting.append((asyncio.ensure_future(_awaited(await self._link.send(subject, piece))), len(piece)))
            await _hash(digest, piece)
            held, count, total = held + len(piece), count + 1, total + len(piece)
            while held > WINDOW_BYTES:
                answer, length = waiting.popleft()
                await answer
                held -= length
        for answer, _ in waiting:
            await answer
        if digest.hexdigest() != sha or total != size:
            raise ValueError("the content is not what its name says")
        return count

    async def _put_head(self, bucket: str, sha: str, size: int, nuid: str, chunks: int) -> None:
        """Only where none is: who comes second takes its own chunks back."""
        head = {
            "name": f"objects/{sha}", "bucket": bucket, "nuid": nuid, "size": size, "chunks": chunks,
            "digest": "SHA-256=" + base64.urlsafe_b64encode(bytes.fromhex(sha)).decode(), "options": {"max_chunk_size": CHUNK},
        }  # fmt: skip
        headers = {
            "Nats-Rollup": "sub",
            "Nats-Expected-Last-Subject-Sequence": str(await self._deleted_at(bucket, sha)),
        }
        try:
            await self._link.publish(_head_of(bucket, sha), json.dumps(head).encode(), headers)
        except Refusal as refusal:
            if refusal.code != WRONG_SEQUENCE:
                raise HotUnavailable from refusal
            await self._purge(bucket, nuid)

    async def _deleted_at(self, bucket: str, sha: str) -> int:
        message = await self._streams.direct(f"OBJ_{bucket}", _head_of(bucket, sha))
        if message is None or not json.loads(message.data).get("deleted"):
            return 0
        return int((message.headers or {})["Nats-Sequence"])

    async def get(self, project: str, sha: str, size: int) -> bytes:
        if size <= SMALL_MAX:
            found = await self.get_many(project, [sha])
            if sha not in found:
                raise HotMissing(sha)
            return found[sha]
        return b"".join([piece async for piece in self.pieces(project, sha, size)])

    async def get_many(self, project: str, shas: Iterable[str]) -> Mapping[str, bytes]:
        wanted, found = list(dict.fromkeys(shas)), dict[str, bytes]()
        for start in range(0, len(wanted), ASKED_AT_ONCE):
            subjects = [f"hot.{project}.{sha}" for sha in wanted[start : start + ASKED_AT_ONCE]]
            async for message in self._streams.asked(_small(project), {"multi_last": subjects, "batch": ASKED_AT_ONCE}):
                sha = (message.headers or {}).get("Nats-Subject", "").rpartition(".")[2]
                if hashlib.sha256(message.data).hexdigest() == sha:
                    found[sha] = message.data
        return found

    async def pieces(self, project: str, sha: str, size: int) -> AsyncIterator[bytes]:
        if size <= SMALL_MAX:
            yield await self.get(project, sha, size)
            return
        head = await self._head(project, sha)
        bucket, digest, got, last = _large(project), hashlib.sha256(), 0, 0
        subject = f"$O.{bucket}.C.{head['nuid']}"
        while got < head["chunks"]:
            before = got
            asked = {"seq": last + 1, "batch": 4096, "next_by_subj": subject, "max_bytes": _BATCH_BYTES}
            async for message in self._streams.asked(f"OBJ_{bucket}", asked):
                last = int((message.headers or {})["Nats-Sequence"])
                got += 1
                await _hash(digest, message.data)
                yield message.data
            if got == before:
                raise HotMissing(sha)
        if digest.hexdigest() != sha:
            raise HotMissing(sha)

    async def _head(self, project: str, sha: str) -> dict[str, Any]:
        message = await self._streams.direct(f"OBJ_{_large(project)}", _head_of(_large(project), sha))
        head: dict[str, Any] = {} if message is None else json.loads(message.data)
        if not head or head.get("deleted"):
            raise HotMissing(sha)
        return head

    async def has(self, project: str, sizes: Mapping[str, int]) -> set[str]:
        small = [sha for sha, size in sizes.items() if size <= SMALL_MAX]
        there = set(await self.get_many(project, small))
        for sha in sizes.keys() - set(small):
            try:
                await self._head(project, sha)
                there.add(sha)
            except HotMissing:
                continue
        return there

    async def delete(self, project: str, sha: str, size: int) -> None:
        """By its sequence: a put that comes later is another message."""
        if size <= SMALL_MAX:
            message = await self._streams.direct(_small(project), f"hot.{project}.{sha}")
            if message is not None:
                await self._forget(_small(project), message)
            return
        bucket = _large(project)
        message = await self._streams.direct(f"OBJ_{bucket}", _head_of(bucket, sha))
        if message is not None:
            nuid = json.loads(message.data)["nuid"]
            await self._forget(f"OBJ_{bucket}", message)
            await self._purge(bucket, nuid)

    async def _forget(self, stream: str, message: Msg) -> None:
        try:
            await self._link.api(
                f"STREAM.MSG.DELETE.{stream}", seq=int((message.headers or {})["Nats-Sequence"]), no_erase=True
            )
        except Refusal:
            return  # gone already

    async def drop(self, project: str) -> None:
        for stream in (_small(project), f"OBJ_{_large(project)}"):
            self._streams.forget(stream)
            try:
                await self._link.api(f"STREAM.DELETE.{stream}")
            except Refusal as refusal:
                if refusal.code != NO_STREAM:
                    raise HotUnavailable from refusal

    # -- what nobody knows of ------------------------------------------------------------------------------------------

    async def listed(self, project: str) -> AsyncIterator[set[str]]:
        async with aclosing(subjects(self._link, _small(project), f"hot.{project}.>")) as pages:
            async for page in pages:
                yield {subject.rpartition(".")[2] for subject in page}
        async with aclosing(self._heads(project)) as heads:
            async for page in heads:
                yield {_sha_of(subject) for subject in page}

    def _heads(self, project: str) -> AsyncGenerator[list[str]]:
        return subjects(self._link, f"OBJ_{_large(project)}", f"$O.{_large(project)}.M.>")

    async def sizes(self, project: str, shas: Iterable[str]) -> Mapping[str, int]:
        wanted = set(shas)
        found = {sha: len(content) for sha, content in (await self.get_many(project, wanted)).items()}
        for sha in wanted - found.keys():
            with suppress(HotMissing):
                found[sha] = int((await self._head(project, sha))["size"])
        return found

    async def sweep(self, project: str, seconds: float) -> int:
        bucket, used, swept = _large(project), set[str](), 0
        async with aclosing(self._heads(project)) as heads:
            async for page in heads:
                for subject in page:
                    message = await self._streams.direct(f"OBJ_{bucket}", subject)
                    used.add("" if message is None else str(json.loads(message.data or b"{}").get("nuid")))
        async with aclosing(subjects(self._link, f"OBJ_{bucket}", f"$O.{bucket}.C.>")) as chunks:
            async for page in chunks:
                for subject in page:
                    nuid = subject.rpartition(".")[2]
                    swept += nuid not in used and await self._swept(bucket, subject, nuid, seconds)
        return swept

    async def _swept(self, bucket: str, subject: str, nuid: str, seconds: float) -> bool:
        """Chunks whose last one came so long ago: an upload that goes on adds to them."""
        last = await self._streams.direct(f"OBJ_{bucket}", subject)
        if last is None or age_of(last) < seconds:
            return False
        await self._purge(bucket, nuid)
        return True

    # -- pointers, events, the audit stream, the doorbell --------------------------------------------------------------

    async def point(self, tenant: str, name: str, project: str, revision: int, manifest: str) -> None:
        await self._index.point(tenant, name, project, revision, manifest)

    async def describe(self, tenant: str, objects: Mapping[str, Mapping[str, Any]]) -> None:
        await self._index.describe(tenant, objects)

    async def forget(self, tenant: str, name: str, project: str) -> None:
        await self._index.forget(tenant, name, project)

    async def unsay(self, tenant: str, shas: Iterable[str]) -> None:
        await self._index.unsay(tenant, shas)

    async def tell(self, events: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        made = {"max_age": _EVENTS_SECONDS * 10**9, "duplicate_window": 600 * 10**9}
        await self._streams.make(_EVENTS, ["fs.events.>"], **made)
        await self._streams.once_more(_EVENTS, lambda: self._tell(events))

    async def _tell(self, events: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        """All are on their way at once, and each is taken behind the one before it alone: none passes one that got lost."""
        waiting, before = deque[Awaitable[Any]](), dict[str, str]()
        for subject, id, event in events:
            waiting.append(await self._link.send(subject, json.dumps(event).encode(), {"Nats-Msg-Id": id} | before))
            before = {"Nats-Expected-Last-Msg-Id": id}
        await all_there(waiting)

    async def note(self, entries: Sequence[tuple[str, str, bytes]]) -> None:
        await self._audit.add(entries)

    def noted(self) -> AsyncIterator[list[bytes]]:
        return self._audit.read()

    async def bell(self, project: str) -> None:
        client = await self._link.client()
        await client.publish(f"fs.commits.{project}", b"")

    async def ring(self, heard: Callable[[str], None]) -> None:
        async def rang(message: Msg) -> None:
            heard(message.subject.rpartition(".")[2])

        await self._link.listen("fs.commits.*", rang)

    async def close(self) -> None:
        await self._link.close()

    async def _purge(self, bucket: str, nuid: str) -> None:
        try:
            await self._link.api(f"STREAM.PURGE.OBJ_{bucket}", filter=f"$O.{bucket}.C.{nuid}")
        except (HotUnavailable, Refusal):
            return  # chunks without a head are swept


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


async def _hash(digest: Any, piece: bytes) -> None:
    if len(piece) < 64 * 1024:
        digest.update(piece)
    else:
        await asyncio.to_thread(digest.update, piece)


async def _gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """In chunks of one size."""
    held = bytearray()
    async for piece in pieces:
        held += piece
        while len(held) >= CHUNK:
            yield bytes(held[:CHUNK])
            del held[:CHUNK]
    if held:
        yield bytes(held)


async def _cut(content: bytes) -> AsyncIterator[bytes]:
    yield content


def readable(tenant: str, name: str, project: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a reader of one project may ask for directly, and hear: its contents, its pointer, its bell."""
    small, large, index = _small(project), f"OBJ_{_large(project)}", index_of(tenant)
    pointer = f"KV_{index}.$KV.{index}.projects/{encoded(name)}/current"
    return (small, f"{small}.>", large, f"{large}.>", pointer), (f"fs.commits.{project}",)


def _small(project: str) -> str:
    return f"HOT_{project}"


def _large(project: str) -> str:
    return f"fs_{project}"


def _head_of(bucket: str, sha: str) -> str:
    return f"$O.{bucket}.M.{base64.urlsafe_b64encode(f'objects/{sha}'.encode()).decode()}"


def _sha_of(head: str) -> str:
    return base64.urlsafe_b64decode(head.rpartition(".")[2]).decode().removeprefix("objects/")
