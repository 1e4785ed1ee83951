"""The index of a tenant, `fs.index` in KV: where its projects are, and what is said of contents. It is a copy of the record."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from activities.sync.hot import HotUnavailable
from activities.sync.nats.link import NO_STREAM, WRONG_SEQUENCE, NatsLink, Refusal
from activities.sync.nats.streams import NatsStreams, all_there


class NatsIndex:
    def __init__(self, link: NatsLink, streams: NatsStreams) -> None:
        self._link, self._streams = link, streams

    async def point(self, tenant: str, name: str, project: str, revision: int, manifest: str) -> None:
        stream, bucket = await self._index(tenant)
        subject = f"$KV.{bucket}.projects/{encoded(name)}/current"
        pointer = {"manifest_sha": manifest, "rev": revision, "project": project}
        while True:
            before = await self._streams.direct(stream, subject)
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
                await all_there(waiting)
        await all_there(waiting)

    async def forget(self, tenant: str, name: str, project: str) -> None:
        """By its sequence: another project of this name may have one by now."""
        stream, bucket = await self._index(tenant)
        subject = f"$KV.{bucket}.projects/{encoded(name)}/current"
        there = await self._streams.direct(stream, subject)
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
        bucket = index_of(tenant)
        await self._streams.make(
            f"KV_{bucket}",
            [f"$KV.{bucket}.>"],
            max_msgs_per_subject=1,
            discard="new",
            allow_rollup_hdrs=True,
            deny_delete=True,
        )
        return f"KV_{bucket}", bucket


def index_of(tenant: str) -> str:
    """The bucket `fs.index` of a tenant: a bucket's name has no dots."""
    return "fs_index" if tenant == "main" else f"fs_index_{encoded(tenant)}"


def encoded(name: str) -> str:
    """A key takes few letters; others are spelled out."""
    return "".join(
        letter if (letter.isalnum() and letter.isascii()) or letter in "-_" else f"={ord(letter):x}=" for letter in name
    )
