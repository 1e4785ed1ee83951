"""The events of a client whose server ends each stream: they go on where they were, and the server is not asked in a rush."""

import httpx2
import pytest
from filestore_sdk import Client


def test_a_stream_that_ends_with_nothing_is_asked_for_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses, asked = list[float](), list[str]()
    monkeypatch.setattr("filestore_sdk._sync.machine.sleep", pauses.append)

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers["last-event-id"])
        told = b'id: 7\ndata: {"type": "filestore.node.created", "data": {}}\n\n'
        return httpx2.Response(200, content=told if len(asked) in (4, 5) else b"")

    with Client("http://server", "fst_x", http=httpx2.Client(transport=httpx2.MockTransport(answer))) as client:
        events = client.events(after=5)
        assert [next(events).position for _ in range(2)] == ["7", "7"]
    assert asked == ["5", "5", "5", "5", "7"], "what comes behind the last event is asked for"
    assert len(pauses) == 3 and min(pauses) > 0, "after an event it goes on at once"
