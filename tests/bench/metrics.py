"""What counting costs a command, and what a scrape costs: `python -m tests.bench.metrics [--requests 200000]`.

The same request goes through the same empty application with and without the counting around it, in turns; the best round of each.
"""

import argparse
import asyncio
import time
from typing import Any

from prometheus_client.exposition import generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.observe.metrics.commands import CountedCommands
from api.observe.metrics.counts import Counts
from api.observe.metrics.gauges import Page
from api.observe.metrics.requests import CountedRequests
from api.submission import Queued, Submission
from schema.commands.command import Command, CommandKind, Status
from schema.commands.payloads import Outcome
from schema.ids import CommandId, MountId

ROUTES = 50
ENDED = Outcome(CommandId("0"), Status.SUCCEEDED, "{}")
SUBMISSION = Submission(Command(CommandId("0"), CommandKind.CREATE_DIRECTORY, MountId(1), "a", "main", "me", 1))


class NothingDone:
    async def submit(self, submission: Submission) -> Outcome:
        return ENDED

    async def submit_atomic(self, submissions: Any) -> list[Outcome]:
        return [ENDED for _ in submissions]

    def queued(self, command: CommandId) -> Queued | None:
        return None


class Route:
    path = "/v1/directories"


def application(commands: Any) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = Route
        await commands.submit(SUBMISSION)
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return answer


async def microseconds(app: ASGIApp, requests: int) -> float:
    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        pass

    began = time.perf_counter()
    for _ in range(requests):
        await app({"type": "http", "method": "POST"}, receive, send)
    return (time.perf_counter() - began) / requests * 1e6


def scrape_milliseconds(counts: Counts) -> tuple[float, int]:
    """Of a process where each route has had each kind of answer, and each kind of command some ends."""
    for route in range(ROUTES):
        for status in (200, 400, 500):
            counts.request("GET", f"/v1/{route}", status, 0.01)
    for kind in CommandKind:
        for outcome in ("succeeded", "failed", "replayed", "refused"):
            counts.command(kind, outcome, None, 0.01)
    page = Page(counts, "bench", 0, [], {}, None, None, None)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        text = generate_latest(page)
        times.append((time.perf_counter() - began) * 1e3)
    return min(times), text.count(b"\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    counts = Counts()
    bare, counted = (
        application(NothingDone()),
        CountedRequests(application(CountedCommands(NothingDone(), counts)), counts),
    )
    without, with_ = [], []
    for _ in range(chosen.rounds):
        without.append(asyncio.run(microseconds(bare, chosen.requests)))
        with_.append(asyncio.run(microseconds(counted, chosen.requests)))
    print(f"a command without counting {min(without):6.2f} us")
    print(f"              and with it  {min(with_):6.2f} us: {min(with_) - min(without):.2f} us more")
    milliseconds, lines = scrape_milliseconds(counts)
    print(f"a scrape of {lines} lines   {milliseconds:6.2f} ms")


if __name__ == "__main__":
    main()
