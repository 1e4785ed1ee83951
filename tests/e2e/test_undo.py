"""Undo by selection on the real stack: everything of a session goes back, and nothing that anybody else has changed since."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.test_commands import result
from tests.e2e.test_operations import ended, items, steered
from tests.fix_service import MountOfTest, Service


@dataclass
class Writer:
    """Sends commands under a token and a session of its own."""

    service: Service
    mount: MountOfTest
    token: str
    session: str | None = None
    done: list[str] = field(default_factory=list)
    """Addresses, of all commands"""

    def __call__(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        if self.session is not None:
            headers["X-Correlation-Id"] = self.session
        answer = self.service.call(method, path, headers=headers, **options)
        self.done.append(path)
        assert answer.status_code in (200, 201), (method, path, options, answer.text)
        data: dict[str, Any] = answer.json()["data"]
        return data

    def mkdir(self, path: str) -> dict[str, Any]:
        return self("POST", "/v1/directories", json={"backendMountId": self.mount.id, "path": path})

    def put(self, path: str, content: bytes) -> dict[str, Any]:
        place = {"backendMountId": str(self.mount.id), "path": path, "overwrite": "true"}
        return self("POST", "/v1/files", data=place, files={"file": ("f", content, "application/octet-stream")})

    def delete(self, path: str, **body: Any) -> dict[str, Any]:
        return self("DELETE", "/v1/nodes", json={"backendMountId": self.mount.id, "path": path, **body})

    def move(self, path: str, target: str, **body: Any) -> dict[str, Any]:
        asked = {"backendMountId": self.mount.id, "path": path, "targetPath": target, **body}
        return self("POST", "/v1/nodes/move", json=asked)

    def copy(self, path: str, target: str, **body: Any) -> dict[str, Any]:
        asked = {"backendMountId": self.mount.id, "path": path, "targetPath": target, **body}
        return self("POST", "/v1/nodes/copy", json=asked)

    def describe(self, path: str, **values: Any) -> dict[str, Any]:
        node = result(self.service.at(self.mount, path), 200)["id"]
        return self("PATCH", f"/v1/nodes/{node}/metadata", json={"backendMountId": self.mount.id, "set": values})

    def say(self, path: str, *tags: str) -> dict[str, Any]:
        """Of a record of the Metastore."""
        node = result(self.service.at(self.mount, path), 200)["id"]
        return self("PATCH", f"/v1/metastore/records/{node}", json={"tags": tags})


@pytest.fixture
def agent(service: Service, mount: MountOfTest) -> Writer:
    return Writer(service, mount, service.make_token("agent", "write"), f"session {mount.key}")


@pytest.fixture
def other(service: Service, mount: MountOfTest) -> Writer:
    writer = Writer(service, mount, service.make_token("other", "write"))
    for path in ("a", "a/b", "z"):
        writer.mkdir(path)
    for path, content in {"a/f": b"one", "a/g": b"two", "a/b/h": b"three", "z/x": b"four"}.items():
        writer.put(path, content)
    return writer


def undo(service: Service, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    return result(service.call("POST", "/v1/operations", json={"kind": "undo", **body}, headers=headers), 202)


def metadata(service: Service, mount: MountOfTest, path: str) -> dict[str, Any]:
    found: dict[str, Any] = result(service.at(mount, path), 200)["metadata"]
    return found


def tags(service: Service, mount: MountOfTest, path: str) -> list[str]:
    node = result(service.at(mount, path), 200)["id"]
    found: list[str] = result(service.call("GET", f"/v1/metastore/records/{node}"), 200)["tags"]
    return found


def test_a_session_of_every_kind_of_change_goes_back_and_comes_again(
    service: Service, mount: MountOfTest, other: Writer, agent: Writer
) -> None:
    before = mount.on_disk()
    agent.mkdir("n")
    agent.put("n/new", b"new")
    agent.put("a/f", b"ONE")
    agent.describe("a/f", by="agent")
    agent.put("a/f", b"one again, and other")
    other.say("a/b/h", "old")
    agent.say("a/b/h", "agent's")
    agent.move("a/f", "n/f")
    agent.move("a/b", "n/b")
    agent.copy("n/b", "a/copy")
    agent.delete("a/g")
    agent.put("a/g", b"another file of the same name")
    agent.move("z/x", "a/g", overwrite=True)
    agent.delete("z")
    other.copy("n/b", "elsewhere")  # reads what the agent has changed
    after = mount.on_disk()
    done = ended(
        service, undo(service, {"selection": {"correlationId": agent.session}}, **{"X-Correlation-Id": "undo"})
    )
    assert mount.on_disk() == before | {"elsewhere": None, "elsewhere/h": b"three"}
    assert (metadata(service, mount, "a/f"), tags(service, mount, "a/b/h")) == ({}, ["old"])
    assert done["selection"] == {"correlationId": agent.session} and done["correlationId"] == "undo"
    entries = service.journal(mount, operationId=done["id"])
    assert {(entry["principal"], entry["correlationId"]) for entry in entries} == {("admin", "undo")}
    ended(service, steered(service, done, "undo"))
    assert mount.on_disk() == after and metadata(service, mount, "n/f") == {"by": "agent"}
    assert tags(service, mount, "n/b/h") == ["agent's"]


def test_what_another_principal_changed_since_is_left_and_listed(
    service: Service, mount: MountOfTest, other: Writer, agent: Writer
) -> None:
    agent.put("a/f", b"agent 1")
    other.put("a/f", b"other's")
    agent.put("a/f", b"agent 2")
    agent.put("a/g", b"agent's")
    other.put("a/g", b"other's too")
    agent.delete("a/b/h")
    other.put("a/b/h", b"a new file of the other one")
    agent.put("z/mine", b"agent's own")
    done = ended(service, undo(service, {"backendMountId": mount.id, "selection": {"principal": "agent"}}), "partial")
    disk = mount.on_disk()
    assert disk["a/f"] == b"other's", "back to before the latest run, and no further"
    assert disk["a/g"] == b"other's too" and disk["a/b/h"] == b"a new file of the other one" and "z/mine" not in disk
    assert {one["path"]: one["code"] for one in items(service, done, state="skipped")} == {
        "a/g": "VERSION_CONFLICT", "a/b/h": "NODE_EXISTS",
    }  # fmt: skip


@dataclass
class Mixed:
    """Random commands of an agent in `mine`, with commands of another principal between them. What lies in `mine` is known here."""

    agent: Writer
    other: Writer
    chance: random.Random
    kinds: dict[str, str] = field(default_factory=lambda: {"mine": "directory"})
    shared: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    count: int = 0

    def run(self, commands: int) -> None:
        while len(self.agent.done) < commands:
            self.chance.choice([self.new, self.new, self.change, self.describe, self.move, self.over, self.copy, self.drop,
                                self.both, self.both, self.theirs])()  # fmt: skip

    def some(self, kind: str) -> str | None:
        return self.chance.choice([path for path, one in sorted(self.kinds.items()) if one == kind] or [""]) or None

    def fresh(self) -> str:
        self.count += 1
        return f"{self.some('directory')}/n{self.count}"

    def content(self) -> bytes:
        self.count += 1
        return b"content %d" % self.count

    def new(self) -> None:
        path = self.fresh()
        if self.chance.random() < 0.3:
            self.agent.mkdir(path)
            self.kinds[path] = "directory"
        else:
            self.agent.put(path, self.content())
            self.kinds[path] = "file"

    def change(self) -> None:
        if path := self.some("file"):
            self.agent.put(path, self.content())

    def describe(self) -> None:
        if path := self.some("file"):
            self.agent.describe(path, n=self.count)

    def move(self) -> None:
        path, target = self.some(self.chance.choice(["file", "directory"])), self.fresh()
        if path and path != "mine" and not target.startswith(path + "/"):
            self.agent.move(path, target)
            self._rename(path, target)

    def over(self) -> None:
        path, target = self.some("file"), self.some("file")
        if path and target and path != target:
            self.agent.move(path, target, overwrite=True)
            self._rename(path, target)

    def copy(self) -> None:
        path, target = self.some(self.chance.choice(["file", "directory"])), self.fresh()
        if path and path != "mine" and not target.startswith(path + "/"):
            self.agent.copy(path, target)
            self.kinds |= {target + one[len(path) :]: kind for one, kind in self._below(path).items()}

    def drop(self) -> None:
        path = self.some(self.chance.choice(["file", "file", "directory"]))
        if path and path != "mine":
            self.agent.delete(path, recursive=True)
            for one in self._below(path):
                del self.kinds[one]

    def both(self) -> None:
        path = f"both/{self.chance.randrange(12)}"
        who, content = self.chance.choice([self.agent, self.other]), self.content()
        who.put(path, content)
        self.shared.setdefault(path, []).append((who.token, content))

    def theirs(self) -> None:
        self.other.put(f"theirs/{self.chance.randrange(12)}", self.content())

    def _below(self, path: str) -> dict[str, str]:
        return {one: kind for one, kind in self.kinds.items() if one == path or one.startswith(path + "/")}

    def _rename(self, path: str, target: str) -> None:
        moved = self._below(path)
        for one in moved:
            del self.kinds[one]
        self.kinds |= {target + one[len(path) :]: kind for one, kind in moved.items()}

    def left(self, path: str) -> bytes | None:
        """What the undo leaves: where the agent was last, what was there before its latest run, otherwise what there is."""
        history = list(self.shared[path])
        while history and history[-1][0] == self.agent.token:
            history.pop()
        return history[-1][1] if history else None


def _undo_mixed(service: Service, mount: MountOfTest, other: Writer, agent: Writer, commands: int, seed: int) -> None:
    for path in ("mine", "both", "theirs"):
        other.mkdir(path)
    mixed = Mixed(agent, other, random.Random(seed))
    for path in ("mine/d", "mine/d/e"):
        other.mkdir(path)
        mixed.kinds[path] = "directory"
    for path in ("mine/f", "mine/d/g", "mine/d/e/h", "mine/d/e/i"):
        other.put(path, b"before")
        mixed.kinds[path] = "file"
    before = mount.on_disk()
    mixed.run(commands)
    after = mount.on_disk()
    assert {path for path in after if path.startswith("mine")} == set(mixed.kinds), "the test knows what there is"
    done = ended(service, undo(service, {"selection": {"correlationId": agent.session}}), _outcome(mixed))
    expected = {path: content for path, content in before.items() if path.startswith(("mine", "a", "z"))}
    expected |= {path: content for path, content in after.items() if path.startswith("theirs")} | {"both": None}
    expected |= {path: content for path in mixed.shared if (content := mixed.left(path)) is not None}
    assert mount.on_disk() == expected, _told(service, done, seed)
    listed = {one["path"] for one in items(service, done, state="skipped")}
    assert listed == {path for path, history in mixed.shared.items() if _left_to_another(mixed, history)}, seed


def _told(service: Service, done: dict[str, Any], seed: int) -> str:
    """What a person needs to find out what went wrong."""
    bad = [one for one in items(service, done) if one["state"] in ("failed", "skipped")]
    fields = ("item", "kind", "path", "targetPath", "code", "message", "version")
    return "\n".join([f"seed {seed}", *(str([one[name] for name in fields]) for one in bad)])


def _left_to_another(mixed: Mixed, history: list[tuple[str, bytes]]) -> bool:
    return history[-1][0] != mixed.agent.token and any(who == mixed.agent.token for who, _ in history)


def _outcome(mixed: Mixed) -> str:
    return "partial" if any(_left_to_another(mixed, history) for history in mixed.shared.values()) else "succeeded"


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.sampled(1)
def test_mixed_commands_go_back_and_none_of_the_others_do(
    service: Service, mount: MountOfTest, other: Writer, agent: Writer, seed: int
) -> None:
    _undo_mixed(service, mount, other, agent, 60, seed)


@pytest.mark.slow
def test_five_hundred_commands_of_a_session_go_back_and_none_of_the_others_do(
    service: Service, mount: MountOfTest, other: Writer, agent: Writer
) -> None:
    _undo_mixed(service, mount, other, agent, 500, 77)
