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
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from activities.sync.hot import SMALL_MAX, HotMissing, HotUnavailable
from activities.sync.nats.link import (
    NO_STREAM,
    STREAM_EXISTS,
    TOO_MANY_FOR_SUBJECT,
    WINDOW_BYTES,
    WRONG_SEQUENCE,
    NatsLink,
    NoStream,
    Refusal,
    status_of,
)
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
        self._link = link
        self._made: set[str] = set()

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
        await self._once_more(_small(project), lambda: self._put_small(project, contents))

    async def _put_small(self, project: str, contents: Mapping[str, bytes]) -> None:
        await self._make(
            _small(project), [f"hot.{project}.>"], max_msgs_per_subject=1, discard="new", discard_new_per_subject=True
        )
        waiting: deque[Awaitable[Any]] = deque()
        held = 0
        for sha, content in contents.items():
            waiting.append(await self._link.send(f"hot.{project}.{sha}", content))
            held += len(content)
            if held > WINDOW_BYTES or len(waiting) > 1000:
                await _all_there(waiting)
                held = 0
        await _all_there(waiting)

    async def put_pieces(self, project: str, sha: str, size: int, pieces: AsyncIterator[bytes]) -> None:
        bucket = _large(project)
        await self._make(
            f"OBJ_{bucket}", [f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"], allow_rollup_hdrs=True, discard="new"
        )
        nuid = uuid.uuid4().hex[:22]
        try:
            chunks = await self._put_chunks(f"$O.{bucket}.C.{nuid}", sha, size, pieces)
            await self._put_head(bucket, sha, size, nuid, chunks)
        except BaseException:
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
        message = await self._direct(f"OBJ_{bucket}", _head_of(bucket, sha))
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
            async for message in self._asked(_small(project), {"multi_last": subjects, "batch": ASKED_AT_ONCE}):
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
            async for message in self._asked(f"OBJ_{bucket}", asked):
                last = int((message.headers or {})["Nats-Sequence"])
                got += 1
                await _hash(digest, message.data)
                yield message.data
            if got == before:
                raise HotMissing(sha)
        if digest.hexdigest() != sha:
            raise HotMissing(sha)

    async def _head(self, project: str, sha: str) -> dict[str, Any]:
        message = await self._direct(f"OBJ_{_large(project)}", _head_of(_large(project), sha))
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
            message = await self._direct(_small(project), f"hot.{project}.{sha}")
            if message is not None:
                await self._forget(_small(project), message)
            return
        bucket = _large(project)
        message = await self._direct(f"OBJ_{bucket}", _head_of(bucket, sha))
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
            self._made.discard(stream)
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
                    message = await self._direct(f"OBJ_{bucket}", subject)
                    used.add("" if message is None else str(json.loads(message.data or b"{}").get("nuid")))
        async with aclosing(subjects(self._link, f"OBJ_{bucket}", f"$O.{bucket}.C.>")) as chunks:
            async for page in chunks:
                for subject in page:
                    nuid = subject.rpartition(".")[2]
                    swept += nuid not in used and await self._swept(bucket, subject, nuid, seconds)
        return swept

    async def _swept(self, bucket: str, subject: str, nuid: str, seconds: float) -> bool:
        """Chunks whose last one came so long ago: an upload that goes on adds to them."""
        last = await self._direct(f"OBJ_{bucket}", subject)
        if last is None or age_of(last) < seconds:
            return False
        await self._purge(bucket, nuid)
        return True

    # -- pointers, events, the doorbell --------------------------------------------------------------------------------

    async def point(self, tenant: str, name: str, project: str, revision: int, manifest: str) -> None:
        stream, bucket = await self._index(tenant)
        subject = f"$KV.{bucket}.projects/{_encoded(name)}/current"
        pointer = {"manifest_sha": manifest, "rev": revision, "project": project}
        while True:
            before = await self._direct(stream, subject)
            if before is not None and json.loads(before.data or b"{}").get("rev", -1) > revision:
                break
            last = 0 if before is None else int((before.headers or {})["Nats-Sequence"])
            headers = {"Nats-Expected-Last-Subject-Sequence": str(last)}
            try:
                await self._link.publish(subject, json.dumps(pointer).encode(), headers)
                break
            except Refusal as refusal:
                if refusal.code != WRONG_SEQUENCE:
                    raise HotUnavailable from refusal
        client = await self._link.client()
        await client.publish(f"fs.commits.{project}", json.dumps(pointer).encode())

    async def describe(self, tenant: str, objects: Mapping[str, Mapping[str, Any]]) -> None:
        _, bucket = await self._index(tenant)
        waiting: deque[Awaitable[Any]] = deque()
        for sha, described in objects.items():
            waiting.append(await self._link.send(f"$KV.{bucket}.objects/{sha}", json.dumps(described).encode()))
            if len(waiting) > 1000:
                await _all_there(waiting)
        await _all_there(waiting)

    async def forget(self, tenant: str, name: str, project: str) -> None:
        """By its sequence: another project of this name may have one by now."""
        stream, bucket = await self._index(tenant)
        subject = f"$KV.{bucket}.projects/{_encoded(name)}/current"
        there = await self._direct(stream, subject)
        if there is not None and json.loads(there.data or b"{}").get("project") == project:
            await self._drop_key(stream, subject, int((there.headers or {})["Nats-Sequence"]) + 1)

    async def unsay(self, tenant: str, shas: Iterable[str]) -> None:
        stream, bucket = await self._index(tenant)
        for sha in shas:
            await self._drop_key(stream, f"$KV.{bucket}.objects/{sha}", None)

    async def _drop_key(self, stream: str, subject: str, before: int | None) -> None:
        upto = {} if before is None else {"seq": before}
        try:
            await self._link.api(f"STREAM.PURGE.{stream}", filter=subject, **upto)
        except Refusal as refusal:
            if refusal.code != NO_STREAM:
                raise HotUnavailable from refusal

    async def _index(self, tenant: str) -> tuple[str, str]:
        bucket = _index_of(tenant)
        await self._make(
            f"KV_{bucket}",
            [f"$KV.{bucket}.>"],
            max_msgs_per_subject=1,
            discard="new",
            allow_rollup_hdrs=True,
            deny_delete=True,
        )
        return f"KV_{bucket}", bucket

    async def tell(self, subject: str, id: str, event: Mapping[str, Any]) -> None:
        made = {"max_age": _EVENTS_SECONDS * 10**9, "duplicate_window": 600 * 10**9}
        await self._make(_EVENTS, ["fs.events.>"], **made)
        await self._once_more(
            _EVENTS, lambda: self._link.publish(subject, json.dumps(event).encode(), {"Nats-Msg-Id": id})
        )

    async def bell(self, project: str) -> None:
        client = await self._link.client()
        await client.publish(f"fs.commits.{project}", b"")

    async def ring(self, heard: Callable[[str], None]) -> None:
        async def rang(message: Msg) -> None:
            heard(message.subject.rpartition(".")[2])

        await self._link.listen("fs.commits.*", rang)

    async def close(self) -> None:
        await self._link.close()

    # -- streams -------------------------------------------------------------------------------------------------------

    async def _make(self, stream: str, subjects: list[str], **options: Any) -> None:
        if stream in self._made:
            return
        config = {
            "name": stream, "subjects": subjects, "retention": "limits", "storage": "file", "num_replicas": 1,
            "allow_direct": True, "max_consumers": 100, **options,
        }  # fmt: skip
        try:
            await self._link.api(f"STREAM.CREATE.{stream}", **config)
        except Refusal as refusal:
            if refusal.code != STREAM_EXISTS:
                raise HotUnavailable from refusal
        self._made.add(stream)

    async def _once_more(self, stream: str, put: Callable[[], Awaitable[Any]]) -> None:
        """A server that was wiped has no stream any more, which shows as silence: it is made again."""
        try:
            await put()
        except HotUnavailable:
            self._made.discard(stream)
            await put()
        except Refusal as refusal:
            raise HotUnavailable from refusal

    async def _direct(self, stream: str, subject: str) -> Msg | None:
        """The last message of a subject."""
        try:
            message = await self._link.ask(f"$JS.API.DIRECT.GET.{stream}.{subject}")
        except NoStream:
            await self._link.has_no_stream()
            return None
        return None if status_of(message) in ("404", "408") else message

    async def _asked(self, stream: str, asked: Mapping[str, Any]) -> AsyncGenerator[Msg]:
        """The messages of one request, as they come; none where there is no such stream."""
        async with aclosing(
            self._link.messages(f"$JS.API.DIRECT.GET.{stream}", json.dumps(asked).encode())
        ) as messages:
            async for message in messages:
                if status_of(message) == "503":
                    await self._link.has_no_stream()
                if status_of(message):
                    return
                yield message

    async def _purge(self, bucket: str, nuid: str) -> None:
        try:
            await self._link.api(f"STREAM.PURGE.OBJ_{bucket}", filter=f"$O.{bucket}.C.{nuid}")
        except (HotUnavailable, Refusal):
            return  # chunks without a head are swept


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


async def _all_there(waiting: deque[Awaitable[Any]]) -> None:
    """A message that is refused because there is one already is there."""
    for answer in await asyncio.gather(*waiting, return_exceptions=True):
        if isinstance(answer, Refusal) and answer.code == TOO_MANY_FOR_SUBJECT:
            continue
        if isinstance(answer, BaseException):
            raise answer if isinstance(answer, HotUnavailable) else HotUnavailable() from answer
    waiting.clear()


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
    small, large, index = _small(project), f"OBJ_{_large(project)}", _index_of(tenant)
    pointer = f"KV_{index}.$KV.{index}.projects/{_encoded(name)}/current"
    return (small, f"{small}.>", large, f"{large}.>", pointer), (f"fs.commits.{project}",)


def _index_of(tenant: str) -> str:
    """The bucket `fs.index` of a tenant: a bucket's name has no dots."""
    return "fs_index" if tenant == "main" else f"fs_index_{_encoded(tenant)}"


def _small(project: str) -> str:
    return f"HOT_{project}"


def _large(project: str) -> str:
    return f"fs_{project}"


def _head_of(bucket: str, sha: str) -> str:
    return f"$O.{bucket}.M.{base64.urlsafe_b64encode(f'objects/{sha}'.encode()).decode()}"


def _sha_of(head: str) -> str:
    return base64.urlsafe_b64decode(head.rpartition(".")[2]).decode().removeprefix("objects/")


def _encoded(name: str) -> str:
    """A key takes few letters; others are spelled out."""
    return "".join(
        letter if (letter.isalnum() and letter.isascii()) or letter in "-_" else f"={ord(letter):x}=" for letter in name
    )
