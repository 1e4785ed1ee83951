"""The body of a request, read as it comes."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import TypeVar

from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.digests import Checksum, Comparing
from schema.errors import InvalidRequest, PayloadTooLarge

M = TypeVar("M", bound=BaseModel)
BODY_MAX = 1024 * 1024
"""Bytes of a JSON body."""


class Disconnected(InvalidRequest):
    """The body was cut short. Nothing was stored; send it again."""


async def read_json(request: Request, model: type[M]) -> M:
    """Raises pydantic's ValidationError, InvalidRequest, PayloadTooLarge, Disconnected."""
    return model.model_validate_json(await read_text(request))


async def read_text(request: Request) -> bytes:
    """A JSON body, as it came; none says as much as `{}`. Raises InvalidRequest, PayloadTooLarge, Disconnected."""
    refuse_coded(request.headers)
    body = bytearray()  # it grows in place: a body in single bytes would be copied for each of them otherwise
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Disconnected()
        body += message.get("body", b"")
        if len(body) > BODY_MAX:
            raise PayloadTooLarge(f"A JSON body may have {BODY_MAX} bytes.")
        if not message.get("more_body", False):
            return bytes(body) or b"{}"


LINGER_BYTES, LINGER_SECONDS = 64 * 1024 * 1024, 5.0
"""How much of an unwanted body is read, so that its sender sees why it is unwanted."""
Pieces = AsyncGenerator[Sequence[bytes], None]
"""A file's bytes as they come. It raises where they break off, or are not what they were said to be."""


def refuse_coded(headers: Headers) -> None:
    """Content is stored as it comes, so it comes as it is. `chunked` alone is how HTTP frames a body, and says nothing of it.
    Raises InvalidRequest."""
    for name, plain in (("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")):
        codings = {one.strip().lower() for one in ",".join(headers.getlist(name)).split(",")} - {"", plain}
        if codings:
            raise InvalidRequest(f"Send the content as it is, without {name}: {', '.join(sorted(codings))}.")


class RequestBody:
    """The request's body, piece by piece. A client that waits for `100 Continue` gets it with the first piece that
    is asked for, so what the headers alone can tell is looked at before that."""

    def __init__(self, request: Request) -> None:
        self._receive = request.receive
        self.announced = request.headers.get("content-length", "")
        self.waits = request.headers.get("expect", "").lower() == "100-continue"
        self.asked = False
        self.ended = self.announced == "0" or not (self.announced or "transfer-encoding" in request.headers)
        self._digest = Comparing(())

    def expect_digest(self, claimed: Sequence[Checksum]) -> None:
        """Expect these digests of the whole body; `check_digest` compares them at its end."""
        self._digest = Comparing(claimed)

    @property
    def length(self) -> int | None:
        """The length that the client names; None where it does not know."""
        return int(self.announced) if self.announced.isdigit() else None

    def check_size(self, size_max: int, beside: int = 0) -> None:
        """Raises PayloadTooLarge where the client itself says that it is. `beside`: what may come beside the file."""
        if self.length is not None and self.length > size_max + beside:
            raise PayloadTooLarge(f"A file may have {size_max} bytes here.")

    async def next(self) -> bytes:
        """Raises Disconnected."""
        self.asked = True
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.ended = True
            raise Disconnected()
        self.ended = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        self._digest.update(piece)
        return piece

    def check_digest(self) -> None:
        """Called at the end of the body. Raises ChecksumMismatch."""
        self._digest.compare()

    async def pieces(self) -> Pieces:
        """Where the body is the file."""
        while not self.ended:
            yield [await self.next()]
        self.check_digest()


def if_unread(answer: Response, body: RequestBody) -> Response:
    """The answer, where the body may not have been read to its end."""
    if body.ended:
        return answer
    if body.waits and not body.asked:
        # Nothing was sent: the client waits to be asked, or gives up. It is not known which, so the connection ends.
        answer.headers["connection"] = "close"
        return answer
    return _Hasty(answer)


class _Hasty(Response):
    """An answer before the body is read to its end. Then it is read on for a moment, because a client that finds the
    connection closed while it sends may never look for an answer; then the connection closes."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.body, answer.status_code, dict(answer.headers), answer.media_type)
        self.headers["connection"] = "close"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await _discard(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _discard(receive: Receive) -> None:
    size = 0
    while size < LINGER_BYTES:
        message = await receive()
        size += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
