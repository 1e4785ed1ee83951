"""One request and its answer: retries, refusals as exceptions, commands that take longer than their answer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from filestore_sdk import errors
from filestore_sdk._async import machine
from filestore_sdk.requests import Request, wait_before, worth_again

AGENT = "filestore-sdk/0.1"
MOST = 64
"""Connections. All of them are kept: a new one for each small file costs more than the file."""
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


class AsyncHttp:
    """`retries`: attempts after the first. `patience`: seconds that a call waits for the end of a change."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = 60.0,
        retries: int = 5,
        patience: float = 3600.0,
        correlation_id: str | None = None,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.retries = retries
        self.patience = patience
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": AGENT}
        if correlation_id:
            self._headers["X-Correlation-Id"] = correlation_id
        self._own = http is None
        self._http = http or httpx2.AsyncClient(
            timeout=timeout,
            limits=httpx2.Limits(max_connections=MOST, max_keepalive_connections=MOST),
            verify=not self.url.startswith("http://"),  # reading the certificates costs a start 30 ms
        )

    async def close(self) -> None:
        if self._own:
            await self._http.aclose()

    # Answers

    async def data(self, request: Request) -> Any:
        """What stands in `data`; an ended command's outcome where the first answer was 202."""
        answer = await self.answer(request)
        place = str(answer.headers.get("location", ""))
        if answer.status_code == 202 and place.startswith("/v1/commands/"):
            return await self.outcome(place.rpartition("/")[2])
        return _json(answer).get("data")

    async def answer(self, request: Request) -> httpx2.Response:
        """The first answer that is no passing refusal. Raises what `filestore_sdk.errors` has."""
        attempt = 0
        while True:
            try:
                answer = await self._send(request)
            except httpx2.TransportError as error:
                never_sent = isinstance(error, NEVER_SENT)
                if request.broken and not never_sent:
                    raise errors.BrokenOff(
                        f"The connection to {self.url} ended: {error or type(error).__name__}."
                    ) from error
                if not self._again(request, attempt, never_sent=never_sent):
                    raise self._lost(request, error) from error
                await machine.sleep(wait_before(attempt, None))
            else:
                refused = refusal_of(answer)
                if refused is None:
                    return answer
                if not (request.safe and worth_again(refused.status, refused.code) and attempt < self.retries):
                    raise self._final(request, refused)
                await machine.sleep(wait_before(attempt, refused.retry_after))
            attempt += 1

    def _again(self, request: Request, attempt: int, *, never_sent: bool) -> bool:
        return attempt < self.retries and (request.safe or never_sent)

    def _lost(self, request: Request, error: httpx2.TransportError) -> errors.FilestoreError:
        what = str(error) or type(error).__name__
        if request.changes and not isinstance(error, NEVER_SENT):
            return errors.OutcomeUnknown(f"No answer came to {request.method} {request.path}: {what}.", request)
        return errors.Unreachable(f"{self.url} did not answer: {what}.")

    def _final(self, request: Request, refused: errors.Refused) -> errors.FilestoreError:
        if request.changes and (refused.code == "OUTCOME_UNKNOWN" or refused.status in (502, 504)):
            return errors.OutcomeUnknown(refused.message, request, command_id=refused.command_id)
        if refused.code in ("HTTP_404", "HTTP_405") or (refused.code == "NOT_FOUND" and _is_a_collection(request.path)):
            return errors.NotOffered(f"{self.url} does not know {request.path}.")
        return refused

    async def _send(self, request: Request) -> httpx2.Response:
        content = request.content
        if content is not None and not isinstance(content, bytes):
            content = content.pieces()
        return await self._http.request(
            request.method,
            self.url + request.path,
            params=dict(request.params),
            json=request.json,
            content=content,
            headers={**self._headers, **request.all_headers()},
        )

    # Bodies that are streamed

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[httpx2.Response]:
        """An answer whose body is read as it comes. Retried until it has begun; what breaks later is the reader's."""
        attempt = 0
        while True:
            request = self._http.build_request(
                method, self.url + path, params=dict(params or {}), headers={**self._headers, **(headers or {})}
            )
            try:
                answer = await self._http.send(request, stream=True)
            except httpx2.TransportError as error:
                if attempt >= self.retries:
                    raise errors.Unreachable(f"{self.url} did not answer: {error or type(error).__name__}.") from error
                await machine.sleep(wait_before(attempt, None))
                attempt += 1
                continue
            try:
                if answer.is_success:
                    yield answer
                    return
                await answer.aread()
                refused = refusal_of(answer)
                assert refused is not None
                if not worth_again(refused.status, refused.code) or attempt >= self.retries:
                    raise self._final(Request(method, path), refused)
            finally:
                await answer.aclose()
            await machine.sleep(wait_before(attempt, refused.retry_after))
            attempt += 1

    # Commands that go on

    async def outcome(self, command_id: str, patience: float | None = None) -> Any:
        """The outcome of a command, once it has ended. Raises its refusal, or StillRunning after `patience` seconds."""
        end = time.monotonic() + (self.patience if patience is None else patience)
        while True:
            answer = await self.answer(Request("GET", f"/v1/commands/{command_id}"))
            standing = _json(answer)["data"]
            if standing["status"] not in ("queued", "running"):
                return ended(standing, command_id)
            if time.monotonic() > end:
                raise errors.StillRunning(f"The command {command_id} is still running.", command_id=command_id)
            await machine.sleep(float(answer.headers.get("retry-after", 1)))


def ended(standing: Mapping[str, Any], command_id: str) -> Any:
    """The outcome of an ended command, or its refusal as an exception."""
    outcome = standing.get("outcome") or {}
    if standing["status"] == "succeeded":
        return outcome.get("data", outcome)
    error = outcome.get("error") or {
        "code": standing.get("code"),
        "message": f"The command ended {standing['status']}.",
    }
    raise errors.refusal(0, error, command_id=command_id)


def refusal_of(answer: httpx2.Response) -> errors.Refused | None:
    if answer.status_code < 400:
        return None
    document = _json(answer)
    return errors.refusal(
        answer.status_code,
        document.get("error") or document,
        retry_after=_seconds(answer.headers.get("retry-after")),
        command_id=answer.headers.get("x-filestore-command-id"),
        request_id=answer.headers.get("x-request-id"),
    )


def _json(answer: httpx2.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _seconds(value: str | None) -> float | None:
    return float(value) if value and value.isdigit() else None


def _is_a_collection(path: str) -> bool:
    """`/v1/drift` and its like: an address that is either offered or not; one with an id can be missing by itself."""
    return path.count("/") <= 2
