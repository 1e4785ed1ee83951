"""Many clients at once on a few shared paths of one mount, and the history of what each of them asked and was told."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

from tests.fix_service import MountOfTest, Service
from tests.model import model, wire
from tests.model.linearizable import NEVER, Invocation, listing
from tests.model.model import ROOT, ModelAnswer, ModelCommand, ModelMount, NodeName

WEIGHTS = {
    "upload": 6, "get": 5, "move": 4, "delete": 3, "mkdir": 3, "copy": 3, "read": 2, "list": 2, "describe": 2, "restore": 2,
}  # fmt: skip


@dataclass
class History:
    """Filled while the clients are at work."""

    place: wire.WirePlace
    start: ModelMount
    ids: dict[NodeName, int]
    operations: list[Invocation] = field(default_factory=list)
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Node and version that a client was last told of, by path: what conditions name"""
    made: dict[int, str] = field(default_factory=dict)
    """Nodes that a client was told it has made, and where"""
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def tally(self) -> Counter[tuple[str, int, str | None]]:
        return Counter(
            (one.command.kind, one.answer.status if one.answer else 0, one.answer.code if one.answer else None)
            for one in self.operations
        )


def begin(mount: MountOfTest) -> History:
    return History(wire.WirePlace(mount), model.empty(), {ROOT: 0})


async def ask(
    history: History, client: httpx2.AsyncClient, command: ModelCommand, patience: float = 0.0
) -> ModelAnswer | None:
    """One operation of the history. None: what became of it is not known. With `patience` the client asks again with the
    same key for so many seconds, before he gives up."""
    name, sent = f"c{next(history.numbers)}", time.monotonic()
    answer, echo = None, False
    while answer is None:
        try:
            answer = await _told(history, client, command, f"{history.place.mount.key}-{name}")
        except httpx2.ConnectError:
            if not echo:
                return None  # it was never sent
        except httpx2.HTTPError:
            pass
        if answer is not None and answer.code == "OUTCOME_UNKNOWN":
            answer = None
        if answer is None and time.monotonic() - sent >= patience:
            break
        if answer is None:
            echo = True
            await asyncio.sleep(0.2)
    over = NEVER if answer is None else time.monotonic()
    history.operations.append(Invocation(name, command, sent, over, answer, echo))
    if answer is not None and isinstance(answer.node, int) and answer.path and answer.version:
        history.seen[answer.path] = (answer.node, answer.version)
        if answer.status == 201:
            history.made[answer.node] = answer.path
    return answer


async def _told(history: History, client: httpx2.AsyncClient, command: ModelCommand, key: str) -> ModelAnswer:
    place = history.place
    match command.kind:
        case "get":
            response = await client.get(
                "/v1/nodes/by-path", params={"backendMountId": place.mount.id, "path": command.path}
            )
            body = response.json()
            if "error" in body:
                return ModelAnswer(response.status_code, body["error"]["code"])
            if body["data"]["state"] == "deleted":
                return ModelAnswer(404, "NODE_NOT_FOUND")  # nothing lives there
            return wire.node(place, body["data"])
        case "list":
            params: dict[str, Any] = {"backendMountId": place.mount.id, "path": command.path, "limit": 200}
            nodes = (await client.get("/v1/nodes", params=params)).json()["data"]["nodes"]
            listed = listing((one["path"], one["version"]) for one in nodes)
            return ModelAnswer(200, metadata=listed) if nodes else ModelAnswer(404, "NODE_NOT_FOUND")
        case "read":
            response = await client.get(f"/v1/files/{command.node}/content")
            if response.status_code == 200:
                return ModelAnswer(200, sha256=model.digest(response.content))
            return ModelAnswer(response.status_code, response.json()["error"]["code"])
        case _:
            call = wire.call(place, command, key, lambda node: node if isinstance(node, int) else 0)
            response = await client.request(call.method, call.url, **call.options)
            return wire.answer(place, response.status_code, response.json())


def beginning(tops: Sequence[str]) -> list[ModelCommand]:
    """Somewhere to begin."""
    return [ModelCommand("mkdir", path) for top in tops for path in (top, f"{top}/d", f"{top}/e")]


async def work(
    history: History, service: Service, seed: int, clients: int, each: int, tops: Sequence[str], patience: float = 0.0
) -> None:
    """Each client asks this many things, one after the other, as its own dice say. The first two never ask again."""
    async with service.async_client() as client:
        for command in beginning(tops):
            await ask(history, client, command)
        await asyncio.gather(*[
            _client(history, client, random.Random(f"{seed}/{number}"), each, tops, patience if number > 1 else 0.0)
            for number in range(clients)
        ])  # fmt: skip


async def _client(
    history: History, client: httpx2.AsyncClient, dice: random.Random, each: int, tops: Sequence[str], patience: float
) -> None:
    for _ in range(each):
        if await ask(history, client, choose(history, dice, tops), patience) is None:
            await asyncio.sleep(0.2)


def choose(history: History, dice: random.Random, tops: Sequence[str]) -> ModelCommand:
    """Few names, so that all meet."""

    def anywhere() -> str:
        top = dice.choice(tops)
        return f"{top}/" + dice.choice(("d", "e", "f", "f", "g", "d/f", "d/f", "d/g", "d/d", "e/f", "e/d"))

    path, (kind,) = anywhere(), dice.choices(list(WEIGHTS), list(WEIGHTS.values()))
    node, version = history.seen.get(path, (None, 0))
    tag = str(version) if version and dice.random() < 0.4 else None
    match kind:
        case "upload":
            content = b"%d" % dice.randrange(10**6)
            path = path if dice.random() < 0.1 or path[-1] in "fg" else f"{path}/f"
            return ModelCommand(kind, path, content=content, overwrite=dice.random() < 0.5, if_match=tag)
        case "delete":
            return ModelCommand(kind, path, recursive=dice.random() < 0.3, if_match=tag)
        case "move" | "copy":
            target = anywhere()
            while target == path:
                target = anywhere()
            return ModelCommand(kind, path, target, overwrite=dice.random() < 0.5, if_match=tag)
        case "describe":
            return ModelCommand(kind, path, metadata=model.canonical({"by": dice.randrange(1000)}), if_match=tag)
        case "read" | "restore" if node is not None:
            if kind == "read":
                return ModelCommand(kind, path, node=node)
            made = dice.choice(sorted(history.made)) if history.made else None
            if made is not None:
                return ModelCommand(kind, history.made[made], dice.choice((None, anywhere())), node=made)
            return ModelCommand("get", path)
        case "list":
            return ModelCommand(kind, dice.choice((path, *tops)))
        case "mkdir":
            return ModelCommand(kind, path.replace("f", "d").replace("g", "e"))
        case _:
            return ModelCommand("get", path)


def falsified(history: Sequence[Invocation], which: int, **changes: Any) -> list[Invocation]:
    """The same history, but for one answer."""
    one = history[which]
    assert one.answer is not None
    return [*history[:which], replace(one, answer=replace(one.answer, **changes)), *history[which + 1 :]]


def fields(answer: ModelAnswer) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in ModelAnswer.__slots__}
