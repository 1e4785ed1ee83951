# Made of _async by `python -m filestore_sdk.unasync`: change that, and make this again.
"""What was done, and what happens: the journal, and events as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator, Iterable
from datetime import datetime
from typing import Any

import httpx2

from filestore_sdk import errors, paths
from filestore_sdk._sync import machine
from filestore_sdk._sync.part import AnyMount, Part
from filestore_sdk.models import Entry, Event, decode
from filestore_sdk.requests import parameters, wait_before

LONG_POLL = 20


class History(Part):
    def journal(
        self, mount: AnyMount | None = None, path: paths.AnyPath | None = None, *, prefix: paths.AnyPath | None = None,
        principal: str | None = None, correlation_id: str | None = None, command: Iterable[str] | None = None,
        outcome: Iterable[str] | None = None, since: datetime | None = None, until: datetime | None = None,
        oldest_first: bool = False,
    ) -> Iterator[Entry]:  # fmt: skip
        """Entries of everything that was tried, newest first; those of one path, or of all below a prefix. `oldest_first`: only
        those that no entry can precede any more, so that the newest come a moment later."""
        asked: dict[str, Any] = {"principal": principal, "correlationId": correlation_id, "from": since, "to": until}
        asked |= {"command": list(command) if command else None, "outcome": list(outcome) if outcome else None}
        asked |= {"backendMountId": None if mount is None else self.mount_id(mount)}
        asked |= paths.wire(path) if path is not None else {}
        asked |= paths.wire(prefix, "pathPrefix") if prefix is not None else {}
        place: dict[str, Any] = {"after": 0} if oldest_first else {}
        while True:
            page = self._get("/v1/journal", limit=200, **asked, **place)
            for document in page["entries"]:
                yield decode(Entry, document)
            pagination = page["pagination"]
            if not pagination["more"]:
                return
            place = {"after": pagination["nextAfter"]} if oldest_first else {"before": pagination["nextBefore"]}

    def events(
        self, *, after: str | int | None = None, mount: AnyMount | None = None, prefix: paths.AnyPath | None = None,
        types: Iterable[str] | None = None, follow: bool = True,
    ) -> Iterator[Event]:  # fmt: skip
        """Events in the order of their commits: from now on, or right behind `after` (an event's `position`).

        Nothing is missed and nothing comes twice: a broken stream goes on behind the last event, and where streams do
        not come through, events are pulled. Without `follow` it ends where the feed ends. Raises CursorExpired where the
        events behind `after` are not kept any more: read the lists anew, then go on.
        """
        asked: dict[str, Any] = {"backendMountId": None if mount is None else self.mount_id(mount)}
        asked |= paths.wire(prefix, "pathPrefix") if prefix is not None else {}
        asked |= {"events": list(types) if types else None}
        position = None if after is None else str(after)
        if follow and position is None:
            position = self._end_of_feed(asked)
        streaming, failures = follow, 0
        while True:
            before = position
            try:
                source = self._streamed(position, asked) if streaming else self._pulled(position, asked, follow)
                for event in source:
                    position = event.position
                    if event.type:
                        yield event
                if not follow:
                    return
                if position == before:
                    machine.sleep(wait_before(0, None))  # it ended and told nothing: no server is asked in a rush
            except (errors.Unreachable, errors.Passing, httpx2.TransportError) as error:
                failures = 0 if position != before else failures + 1
                if failures > self._http.retries:
                    raise errors.Unreachable(f"The feed broke off: {error or type(error).__name__}.") from error
                machine.sleep(wait_before(failures, None))
            except (errors.NotOffered, errors.NotFound):
                if not streaming:
                    raise
                streaming = False

    def _end_of_feed(self, asked: dict[str, Any]) -> str:
        try:
            page = self._get("/v1/events", limit=1, after=None, **asked)
        except errors.CursorExpired as expired:
            return str(expired.details["earliest"])
        return str(page["last"])

    def _pulled(self, after: str | None, asked: dict[str, Any], follow: bool) -> Iterator[Event]:
        """Page by page; where it follows, each answer is held back until there is something to tell."""
        while True:
            page = self._get("/v1/events", after=after, limit=500, wait=LONG_POLL if follow else None, **asked)
            for document in page["events"]:
                yield _event(str(document.get("position", document.get("cursor"))), document)
            following = str(page.get("next", page.get("nextCursor")))
            if not follow and not page["events"] and following == after:
                return
            after = following
            # It says how far was looked, though nothing was wanted.
            yield Event(raw={}, position=after)

    def _streamed(self, after: str | None, asked: dict[str, Any]) -> Iterator[Event]:
        """Server-sent events."""
        headers = {"Accept": "text/event-stream"}
        if after is not None:
            headers["Last-Event-ID"] = after
        with self._http.stream("GET", "/v1/events/stream", params=parameters(**asked), headers=headers) as answer:
            position, data = after or "", ""
            for line in answer.iter_lines():
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if name == "id":
                    position = value
                elif name == "data":
                    data += value
                elif not line:
                    document = json.loads(data) if data else {}
                    if document.get("type") == "filestore.stream.reset":
                        raise errors.CursorExpired(
                            "Events in between are not kept any more.", status=410,
                            details={"earliest": document["data"]["resumedAfter"]},
                        )  # fmt: skip
                    if position:
                        yield _event(position, document)
                    data = ""


def _event(position: str, document: dict[str, Any]) -> Event:
    return Event(raw=document, position=position, type=document.get("type", ""), data=document.get("data", {}))
