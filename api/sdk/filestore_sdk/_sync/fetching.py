# Made of _async by `python -m filestore_sdk.unasync`: change that, and make this again.
"""A file on its way down: in one piece or in ranges side by side, into a local file, checked by SHA-256."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Callable
from typing import Any

import httpx2

from filestore_sdk import errors
from filestore_sdk._sync import machine
from filestore_sdk.following import Arriving
from filestore_sdk.half_written import HalfWritten, Span
from filestore_sdk.models import Node
from filestore_sdk.requests import wait_before

Progress = Callable[[int, int], None]
"""Called with the bytes that are done and the bytes of the whole."""

SMALL = 8 * 1024 * 1024
"""Bytes. What is larger comes in several ranges at once."""
PIECE = 16 * 1024 * 1024
"""Bytes of a range"""
FAST = 64 * 1024 * 1024
"""Bytes a second"""
GATHER = 256 * 1024
"""Bytes that are written in one go"""
UNSURE = 1024 * 1024
"""Bytes before a hole that come again: file systems tell holes in blocks, and the last block may be half written."""


class Fetch:
    """`chunks`: as `Content.chunks`. A thread writes and hashes the pieces of a large one while the next ones come."""

    def __init__(
        self, chunks: Callable[..., Iterator[bytes]], half: HalfWritten, node: Node, size: int, digest: str | None,
        version: int | None, progress: Progress | None, retries: int,
    ) -> None:  # fmt: skip
        self._chunks, self._half, self._node, self._size, self._digest = chunks, half, node, size, digest
        self._version, self._progress, self._retries = version, progress, retries
        self._tag = f'"{digest}"' if digest and version is None else None
        self._arriving: Arriving | None = None
        self._done = 0

    def all(self, at_once: int) -> None:
        """Raises Incomplete where it is not what was announced."""
        if self._size <= SMALL:
            machine.blocking(self._half.empty)
            for _ in self._written(0, None):
                pass
            self._tell(0)
        elif not self._in_parts(self._there(), at_once):
            raise errors.Incomplete("The content is not the one that was announced: its SHA-256 differs.")

    def _there(self) -> list[Span]:
        """What an interrupted run has left of it. Only where the digest can tell whether it is of this content."""
        found = machine.blocking(self._half.spans, self._size) if self._digest else []
        return [(start, end - UNSURE) for start, end in found if end - UNSURE > start]

    def _in_parts(self, there: list[Span], at_once: int) -> bool:
        if not there:
            machine.blocking(self._half.empty)
        right = self._checked(there, at_once)
        if right or not there:
            return right
        return self._in_parts([], at_once)  # what was left was of another content

    def _checked(self, there: list[Span], at_once: int) -> bool:
        self._done = 0
        arriving = self._arriving = Arriving(self._half, self._size) if self._digest else None
        try:
            for start, end in there:
                machine.blocking(self._known, start, end)
            self._missing(there, at_once)
            return arriving is None or machine.blocking(arriving.result) == self._digest
        finally:
            if arriving is not None:
                machine.blocking(arriving.stop)

    def _known(self, start: int, end: int) -> None:
        if self._arriving is not None:
            self._arriving.there(start, end)
        self._tell(end - start)

    def _missing(self, there: list[Span], at_once: int) -> None:
        """The first range alone. Where one connection is fast, several only cost: the rest comes through one as well."""
        (start, end), *others = gaps(there, self._size, PIECE)
        began = time.monotonic()
        self._range(start, end)
        if (end - start) / max(time.monotonic() - began, 1e-6) > FAST:
            others, at_once = gaps([*there, (start, end)], self._size, self._size), 1
        machine.side_by_side([self._job(*gap) for gap in others], at_once)

    def _job(self, start: int, end: int) -> Any:
        return lambda: self._range(start, end)

    def _range(self, start: int, end: int) -> None:
        """It goes on where it broke off: the tag keeps it to one content."""
        place, failures = start, 0
        while place < end:
            before = place
            try:
                for reached in self._written(place, end):
                    place = reached
                if place == before:
                    raise errors.Incomplete(f"The content ends at {place}, before {end}.")
            except errors.Incomplete:
                failures = failures + 1 if place == before else 1
                if self._tag is None or failures > self._retries:
                    raise
                machine.sleep(wait_before(failures - 1, None))

    def _written(self, start: int, end: int | None) -> Iterator[int]:
        """To where it is written by now."""
        place, gathered, held = start, 0, list[bytes]()
        for piece in self._chunks(self._node, start=start, end=end, version=self._version, if_match=self._tag):
            held.append(piece)
            gathered += len(piece)
            if gathered >= GATHER:
                place = self._put(held, place)
                gathered, held = 0, []
                yield place
        yield self._put(held, place)

    def _put(self, pieces: list[bytes], place: int) -> int:
        if not pieces:
            return place
        machine.blocking(self._arriving.write if self._arriving else self._half.write, pieces, place)
        count = sum(map(len, pieces))
        self._tell(count)
        return place + count

    def _tell(self, more: int) -> None:
        self._done += more
        if self._progress:
            self._progress(self._done, self._size)


def gaps(there: list[Span], size: int, most: int) -> list[Span]:
    """What is missing, in ranges of at most so many bytes."""
    missing, place = list[Span](), 0
    for start, end in [*sorted(there), (size, size)]:
        missing += [(one, min(one + most, start)) for one in range(place, start, most)]
        place = end
    return missing


def checked(answer: httpx2.Response, *, whole: bool) -> Iterator[bytes]:
    """The body as it comes, counted and, where it is whole, hashed. One piece is held back until all is known to be right."""
    digest, count, held = hashlib.sha256(), 0, b""
    for piece in answer.iter_raw():
        if whole:
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
