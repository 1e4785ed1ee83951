"""Hypothesis chooses what a walk does: rules for every command on names that collide, for keys that come again, for crashes."""

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.fix_service import MountOfTest, Service
from tests.model import model
from tests.model.crashes import IN_API, IN_WORKER, at_a_moment, at_a_point, in_the_worker
from tests.model.model import ROOT, ModelCommand, ModelNode
from tests.model.walk import Disturbance, Walk

NAMES = (
    "a", "b", "A", "a b", " a", "a_b", "axb", "a%b", "\U0001f600", "\u00e9", "e\u0301", "*?[]", "-rf", "x" * 255,
    "\u00e9" * 127 + "y",
)  # fmt: skip
"""Some differ by case, by spaces or only in how Unicode spells them; some are patterns in SQL or a shell; two are as long
as a name can be."""

CONTENTS = (b"", b"one", b"two", b"three" * 100, bytes(range(256)) * 300)
METADATA = (None, "{}", '{"n": 1}', '{"n": "1", "t": true}', '{"deep": {"x": [1.5, null]}, "\\u00e9": false}')
CONDITIONS = (None,) * 16 + ("*", "now", "content", "before", "never")

name = st.sampled_from(NAMES)
pick = st.integers(0, 63)
odd = st.sampled_from(("a/../b", "..", "./a", "x" * 256, "nobody", "no/where"))


def somewhere(**weights: int) -> st.SearchStrategy["Where"]:
    """A way to find a path in the tree as it is, a number to choose by, and a name where the path needs one."""
    hows = [how for how, weight in weights.items() for _ in range(weight)]
    return st.tuples(st.sampled_from(hows), pick, name, odd)


where = somewhere(living=12, deleted=2, below=1, odd=1)
"""Of what there is"""
whither = somewhere(free=12, deleted=3, living=4, below=1, odd=1)
"""Of what may appear"""
condition = st.sampled_from(CONDITIONS)
Where = tuple[str, int, str, str]

new = st.one_of(
    st.builds(ModelCommand, st.just("mkdir"), metadata=st.sampled_from(METADATA)),
    st.builds(
        ModelCommand, st.just("upload"), content=st.integers(0, len(CONTENTS) - 1).map(CONTENTS.__getitem__),
        metadata=st.sampled_from(METADATA), overwrite=st.booleans(),
    ),
)  # fmt: skip
change = st.one_of(
    st.builds(ModelCommand, st.just("delete"), recursive=st.booleans()),
    st.builds(ModelCommand, st.just("move"), target=st.just(""), overwrite=st.booleans()),
    st.builds(ModelCommand, st.just("copy"), target=st.just(""), overwrite=st.booleans()),
)

BEGINNING = {
    "a": None, "a/a": None, "a/a/f": b"one", "a/b": b"two", "a_b": None, "a_b/f": b"three", "axb": None, "axb/f": b"four",
    "e\u0301": b"five",
}  # fmt: skip
LIMIT = 40
"""Nodes that may live at once: a tree that is copied into itself again and again grows for ever."""


class Machine(RuleBasedStateMachine):
    """Made for a mount by `machine_on`."""

    service: Service
    mount: MountOfTest
    numbers: "itertools.count[int]"
    tally: "Counter[tuple[str, int, str | None]]"

    @initialize()
    def begin(self) -> None:
        self.walk = Walk(self.service, self.mount, f"walk {next(self.numbers)}")
        for path, content in BEGINNING.items():
            self.walk.send(
                ModelCommand("mkdir", path) if content is None else ModelCommand("upload", path, content=content)
            )

    @rule(command=new, at=whither, if_match=condition, if_none_match=condition)
    def make(self, command: ModelCommand, at: Where, if_match: str | None, if_none_match: str | None) -> None:
        self._send(self._meant(command, at, None, if_match, if_none_match))

    @rule(command=st.builds(replace, new, overwrite=st.just(True)), at=where, if_match=condition)
    def write_again(self, command: ModelCommand, at: Where, if_match: str | None) -> None:
        self._send(self._meant(command, at, None, if_match, None))

    @rule(command=change, at=where, to=whither, if_match=condition, if_none_match=condition)
    def take(
        self, command: ModelCommand, at: Where, to: Where, if_match: str | None, if_none_match: str | None
    ) -> None:
        self._send(self._meant(command, at, to, if_match, if_none_match))

    @rule(at=where, set=st.sampled_from(METADATA), unset=st.sets(st.sampled_from(("n", "t", "no"))), by_id=st.booleans(),
          if_match=condition)  # fmt: skip
    def describe(self, at: Where, set: str | None, unset: set[str], by_id: bool, if_match: str | None) -> None:
        keys = tuple(sorted(unset - json.loads(set or "{}").keys()))
        made = self._meant(ModelCommand("describe", metadata=set, unset=keys), at, None, if_match, None)
        self._send(self._by_id(made) if by_id else made)

    @precondition(lambda self: any(not node.living for node in self.walk.model.nodes.values()))
    @rule(which=pick, to=whither, elsewhere=st.booleans(), by_id=st.booleans(), if_match=condition)
    def restore(self, which: int, to: Where, elsewhere: bool, by_id: bool, if_match: str | None) -> None:
        node = self._of(which, lambda one: not one.living)
        made = self._meant(ModelCommand("restore"), ("deleted", which, "", ""), to if elsewhere else None, None, None)
        tag = self._tag(node, if_match)
        made = replace(made, node=node.id) if by_id and node.id in self.walk.ids else made
        self._send(replace(made, if_match=tag))

    @rule(at=where, version=st.integers(1, 6), by_id=st.booleans())
    def restore_version(self, at: Where, version: int, by_id: bool) -> None:
        made = self._meant(ModelCommand("restore", version=version), at, None, None, None)
        self._send(self._by_id(made) if by_id else made)

    @precondition(lambda self: self.walk.sent)
    @rule(which=pick)
    def same_key(self, which: int) -> None:
        self.walk.send_again(which % len(self.walk.sent))

    @precondition(lambda self: self.walk.sent)
    @rule(which=pick)
    def same_key_other_request(self, which: int) -> None:
        self.walk.send_other(which % len(self.walk.sent))

    @rule()
    def look(self) -> None:
        self.walk.look()

    def teardown(self) -> None:
        if hasattr(self, "walk"):
            self.walk.look()
            self.walk.look_at_the_deleted()
            self.walk.read_versions(8)
            self.tally.update(self.walk.tally)

    def _send(self, made: ModelCommand, disturbance: Disturbance | None = None) -> None:
        grows = made.kind == "copy" and len(self.walk.model.names) > LIMIT
        self.walk.send(made if not grows else ModelCommand("delete", made.path, recursive=True), disturbance)

    # From what Hypothesis chose to what it means in the tree as it is

    def _meant(
        self, command: ModelCommand, at: Where, to: Where | None, if_match: str | None, if_none_match: str | None
    ) -> ModelCommand:
        path = self._path(at)
        node = self.walk.model.at(path)
        appears = command.kind not in ("delete", "describe")
        return replace(
            command, path=path, target=self._path(to) if to and command.kind in ("move", "copy", "restore") else None,
            if_match=self._tag(node, if_match),
            if_none_match=self._tag(node, if_none_match) if if_none_match != "*" or appears else None,
        )  # fmt: skip

    def _path(self, where: Where) -> str:
        how, which, own, odd = where
        mount = self.walk.model
        match how:
            case "free":
                above = mount.path(self._of(which, lambda one: one.living and one.is_directory, root=True))
                return f"{above}/{own}" if above else own
            case "below":
                above = mount.path(self._of(which, lambda one: True, root=True))
                return f"{above}/{own}" if above else own
            case "living" | "deleted":
                node = self._of(which, lambda one: one.living is (how == "living"))
                return mount.path(node) or "a"
            case _:
                return odd

    def _of(self, which: int, wanted: Callable[[ModelNode], bool], *, root: bool = False) -> ModelNode:
        nodes = [one for one in self.walk.model.nodes.values() if wanted(one) and (root or one.id != ROOT)]
        return nodes[which % len(nodes)] if nodes else self.walk.model.nodes[ROOT]

    def _by_id(self, made: ModelCommand) -> ModelCommand:
        node = self.walk.model.at(made.path) or self.walk.model.deleted_at(made.path)
        return made if node is None or node.id not in self.walk.ids else replace(made, path="", node=node.id)

    @staticmethod
    def _tag(node: ModelNode | None, kind: str | None) -> str | None:
        match kind:
            case "now":
                return str(node.version if node else 1)
            case "content":
                return f'"{(node and node.sha256) or model.digest(b"one")}"'
            case "before":
                return str(max(node.version - 1, 0) if node else 2)
            case "never":
                return f'"{model.digest(b"never")}"'
            case _:
                return kind


class CrashingMachine(Machine):
    """The same, and processes die while commands are on their way."""

    @rule(command=st.one_of(new, change), at=whither, to=whither, point=st.sampled_from(IN_API))
    def crash_the_api(self, command: ModelCommand, at: Where, to: Where, point: str) -> None:
        self._send(self._meant(command, self._of_what_there_is(command, at), to, None, None), at_a_point(point))

    @rule(command=st.one_of(new, change), at=whither, to=whither, point=st.sampled_from(IN_WORKER),
          again=st.one_of(st.none(), st.sampled_from(IN_WORKER)))  # fmt: skip
    def crash_the_worker(self, command: ModelCommand, at: Where, to: Where, point: str, again: str | None) -> None:
        made = self._meant(command, self._of_what_there_is(command, at), to, None, None)
        self._send(made, in_the_worker(point, again))

    @rule(command=st.one_of(new, change), at=whither, to=whither, milliseconds=st.integers(0, 80))
    def kill_at_some_moment(self, command: ModelCommand, at: Where, to: Where, milliseconds: int) -> None:
        made = self._meant(command, self._of_what_there_is(command, at), to, None, None)
        self._send(made, at_a_moment(milliseconds / 1000))

    @staticmethod
    def _of_what_there_is(command: ModelCommand, at: Where) -> Where:
        """A crash is dear: most of these commands should have something to do."""
        return at if command.kind in ("mkdir", "upload") else ("living", *at[1:])

    @precondition(lambda self: any(not node.living for node in self.walk.model.nodes.values()))
    @rule(which=pick, to=whither, elsewhere=st.booleans(), point=st.sampled_from(IN_API))
    def crash_while_restoring(self, which: int, to: Where, elsewhere: bool, point: str) -> None:
        made = self._meant(ModelCommand("restore"), ("deleted", which, "", ""), to if elsewhere else None, None, None)
        self._send(made, at_a_point(point))


def machine_on(service: Service, mount: MountOfTest, kind: type[Machine] = Machine) -> type[Machine]:
    bound = {"service": service, "mount": mount, "numbers": itertools.count(), "tally": Counter()}
    return type(kind.__name__, (kind,), bound)


def walks(examples: int, steps: int) -> settings:
    """With MODEL_SHRINK=1 a failure is made smaller before it is shown, which takes many minutes."""
    phases = (Phase.generate, Phase.shrink) if os.environ.get("MODEL_SHRINK") else (Phase.generate,)
    return settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None, print_blob=True,
        phases=phases, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
