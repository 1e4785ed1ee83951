"""One client that sends commands to the service and to the model, and stops at the first difference between the two."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx2

from tests.fix_service import MountOfTest, Service, until
from tests.model import model, wire
from tests.model.model import ROOT, ModelAnswer, ModelCommand, ModelNode, NodeName

Disturbance = Callable[[Service, Callable[[], object]], None]
"""Sends the command while something dies, and leaves a service that runs again"""


class Walk:
    """In a directory of its own: many walks share one mount, and its consistency check."""

    def __init__(self, service: Service, mount: MountOfTest, prefix: str) -> None:
        answer = service.mkdir(mount, prefix)
        assert answer.status_code == 201, answer.text
        self.service, self.place, self.model = service, wire.WirePlace(mount, prefix), model.empty()
        self.mount, self.prefix = mount, prefix
        self.ids: dict[NodeName, int] = {ROOT: answer.json()["data"]["node"]["id"]}
        self.sent: list[tuple[str, ModelCommand]] = []
        self.tally: Counter[tuple[str, int, str | None]] = Counter()
        """How often each kind of command was answered how"""
        self.stored: dict[str, ModelAnswer] = {}
        """What a key gets when it comes again"""

    # Commands

    def send(self, command: ModelCommand, disturbance: Disturbance | None = None) -> None:
        key = f"{self.mount.id}/{self.place.prefix}-{len(self.sent)}"
        self.sent.append((key, command))
        after, expected = model.carry_out(self.model, command, key)
        if disturbance is not None:
            disturbance(self.service, lambda: self._ask(command, key))
        answer = self._settle(command, key)
        if disturbance is None:
            self._agree(expected, answer, command)
        else:
            # The answer may be the first one, or the first one's echo.
            first = model.replayed(expected) if answer.status == 200 and answer.idempotent else expected
            self._agree(first, answer, command)
        self.model = after
        self.tally[command.kind, answer.status, answer.code] += 1
        if expected.recorded:
            self.stored[key] = model.replayed(expected)
        if command.kind == "copy" and answer.kind == "directory":
            self.look()  # and learn which node is which in the copy

    def send_again(self, which: int) -> None:
        """The same key with the same request: the stored outcome, and no effect."""
        key, command = self.sent[which]
        if key not in self.stored:
            # It was refused before it came to the record: the key is still free, and now it may go well.
            after, expected = model.carry_out(self.model, command, key)
            self._agree(expected, self._settle(command, key), command)
            self.model = after
            if expected.recorded:
                self.stored[key] = model.replayed(expected)
            return
        self._agree(self.stored[key], self._settle(command, key), command)

    def send_other(self, which: int) -> None:
        """The same key with another request."""
        key, command = self.sent[which]
        other = another(command)
        _, expected = model.carry_out(self.model, other, key)
        if key not in self.stored or not expected.recorded:
            return
        self._agree(model.ModelRefused("IDEMPOTENCY_CONFLICT").answer, self._settle(other, key), other)

    def _ask(self, command: ModelCommand, key: str) -> ModelAnswer:
        call = wire.call(self.place, command, key, self.ids.__getitem__)
        answer = self.service.call(call.method, call.url, **call.options)
        return wire.answer(self.place, answer.status_code, answer.json())

    def _settle(self, command: ModelCommand, key: str) -> ModelAnswer:
        """As a client that was told nothing: the same key, as often as it takes."""
        end = time.monotonic() + 60
        while True:
            answer = None
            with suppress(httpx2.HTTPError):
                answer = self._ask(command, key)
            if answer is not None and answer.code not in wire.UNSETTLED:
                return answer
            assert time.monotonic() < end, f"no outcome of {command}: {answer}"
            time.sleep(0.1)

    def _agree(self, expected: ModelAnswer, answer: ModelAnswer, command: ModelCommand) -> None:
        known = expected.node is None or self._is(expected.node, answer.node)
        same = known and expected.tells_like(answer)
        assert same, f"{command}\nthe model says {expected}\nthe service says {answer}"

    def _is(self, name: NodeName, id: NodeName) -> bool:
        """A node of the model is one of the service's, from the first answer that tells of it on."""
        if name not in self.ids and isinstance(id, int) and id not in self.ids.values():
            self.ids[name] = id
        return self.ids.get(name) == id

    # What every client can see

    def look(self) -> None:
        """The tree, its totals, and the disk are the model's."""
        root = self.model.nodes[ROOT]
        path = self.place.prefix
        query: dict[str, Any] = {"backendMountId": self.place.mount.id, "path": path, "limit": 200}
        shown: list[dict[str, Any]] = []
        while True:
            page = self._get("/v1/nodes", **query, offset=len(shown))
            shown += page["nodes"]
            if page["pagination"]["nextOffset"] is None:
                break
        expected = model.listed(self.model, root)
        top = shown.pop(0) if shown else {}
        assert top.get("id") == self.ids[ROOT] and self._totals(top) == model.totals(self.model, root), top
        assert [wire.node(self.place, one).path for one in shown] == [self.model.path(one) for one in expected[1:]]
        for one, document in zip(expected[1:], shown, strict=True):
            self._agree_on(one, document)
        # In a bucket what was moved or deleted leaves its old place a moment after the answer.
        expected_there = model.on_disk(self.model)
        assert until(lambda: self.mount.on_disk(self.prefix) == expected_there), self.mount.on_disk(self.prefix)

    def look_at_the_deleted(self) -> None:
        """Each deleted node still tells what it was, by its id; and by its path, if it was the last one there."""
        for node in [one for one in self.model.nodes.values() if not one.living and one.id in self.ids]:
            self._agree_on(node, self._get(f"/v1/nodes/{self.ids[node.id]}"))
            path = self.model.path(node)
            if self.model.at(path) is None and self.model.deleted_at(path) == node:
                found = self._get(
                    "/v1/nodes/by-path", backendMountId=self.place.mount.id, path=self.place.outside(path)
                )
                assert found["id"] == self.ids[node.id], (path, found)

    def read_versions(self, most: int) -> None:
        """The content of every version of these many files, the deleted ones too."""
        files = [one for one in self.model.nodes.values() if not one.is_directory and one.id in self.ids]
        for node in sorted(files, key=lambda one: -one.version)[:most]:
            id = self.ids[node.id]
            snapshots = self._get(f"/v1/nodes/{id}/snapshots", limit=200)["snapshots"]
            states = {one["version"]: one["state"] for one in snapshots}
            assert states == {
                version: "deleted" if content is None else "active" for version, (content, _) in node.contents.items()
            }, (node, states)
            for version, (content, _) in node.contents.items():
                answer = self._content(id, version)
                read = answer.content if answer.status_code == 200 else None
                assert read == content and answer.status_code in (200, 404), (node, version, answer.text)

    def _content(self, id: int, version: int) -> httpx2.Response:
        end = time.monotonic() + 30
        while True:
            answer = self.service.call("GET", f"/v1/files/{id}/content", params={"version": version})
            if answer.status_code != 409 or time.monotonic() > end:
                return answer
            time.sleep(0.1)  # after a crash the old content is on its way until the next sweep

    def _agree_on(self, node: ModelNode, document: dict[str, Any]) -> None:
        self._agree(
            model.success(self.model, node, 200),
            wire.node(self.place, document),
            ModelCommand("look", self.model.path(node)),
        )
        assert node.parent is None or document["parentId"] == self.ids.get(node.parent, document["parentId"]), document
        if node.is_directory and node.living:
            assert self._totals(document) == model.totals(self.model, node), document

    @staticmethod
    def _totals(document: dict[str, Any]) -> model.ModelTotals:
        rollup = document["rollup"]
        return model.ModelTotals(*(rollup[name] for name in ("sizeBytes", "fileCount", "directoryCount", "childCount")))

    def _get(self, url: str, **params: Any) -> dict[str, Any]:
        answer = self.service.call("GET", url, params=params)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])


def another(command: ModelCommand) -> ModelCommand:
    """Nearly the same request."""
    match command.kind:
        case "upload":
            return replace(command, content=command.content + b"!")
        case "mkdir" | "describe":
            return replace(command, metadata=model.canonical({"another": len(command.metadata or "")}))
        case "delete":
            return replace(command, recursive=not command.recursive)
        case "restore" if command.version is not None:
            return replace(command, version=command.version + 1)
        case _:
            return replace(command, target=(command.target or command.path or "x") + "+")
