"""Is there one order of concurrent commands, true to real time, in which the model gives every client the answer it got?

The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with Lowe's memory of configurations
("Testing for linearizability", 2017): whichever commands have been ordered already, and whatever the state is after them, is
tried once. Commands whose outcome no client knows may take effect at any time after they were sent, or never. Commands
that change nothing and were answered as the state says need no choice: if they fit now, then they fit now in any order
there is. A history falls into parts that share no name at the top of the tree, and each is searched for itself: Horn
and Kroening ("Faster linearizability checking via P-compositionality", 2015).
"""

import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.model import model
from tests.model.model import ModelAnswer, ModelCommand, ModelMount, ModelNode, NodeName, Step

NEVER = float("inf")

WITHOUT_EFFECT = ("PATH_BUSY", "RATE_LIMITED", "UNAVAILABLE", "STAGE_LOST")
"""Refusals that say nothing about the tree, and promise that nothing has happened"""


def observed(mount: ModelMount, command: ModelCommand, name: NodeName) -> tuple[ModelMount, ModelAnswer]:
    """The model's `carry_out`, and what readers are told: `get` the living node at a path, `list` it with all below, `read`
    the content of a node."""
    if command.kind == "read":
        node: ModelNode | None = mount.nodes.get(command.node)
        found = node is not None and (node.living or node.is_directory)
    elif command.kind in ("get", "list"):
        node = mount.at(command.path)
        found = node is not None
    else:
        return model.carry_out(mount, command, name)
    if node is None or not found:
        return mount, ModelAnswer(404, "NODE_NOT_FOUND")
    match command.kind:
        case "get":
            return mount, model.success(mount, node, 200)
        case "list":
            return mount, ModelAnswer(
                200, metadata=listing((mount.path(one), one.version) for one in model.listed(mount, node))
            )
        case _ if node.is_directory:
            return mount, ModelAnswer(409, "NOT_A_DIRECTORY")
        case _:
            return mount, ModelAnswer(200, sha256=node.sha256)


def listing(shown: Iterable[tuple[str, int]]) -> str:
    """What a list says, as one text that can be compared."""
    return json.dumps(list(shown))


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command as its client saw it. `answer` tells of nodes by the ids of the service."""

    name: str
    """Its own in the history: what it makes is named after it"""
    command: ModelCommand
    sent: float
    answered: float = NEVER
    answer: ModelAnswer | None = None
    """None: no client knows what became of it"""
    echo: bool = False
    """The client had to ask again: a stored answer does not tell whether it was 200 or 201 at first"""

    @property
    def tops(self) -> set[str]:
        """The names at the top of the tree that it is about."""
        paths = [self.command.path, self.command.target]
        return {model.names_of(path)[0] for path in paths if path and model.names_of(path)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`stuck` explains a refusal: the longest order that was found, and which operations could not come next."""

    ok: bool
    configurations: int
    ordered: Sequence[Invocation] = ()
    stuck: Sequence[Invocation] = ()

    def __str__(self) -> str:
        if self.ok:
            return f"linearizable ({self.configurations} configurations)"
        lines = [f"not linearizable ({self.configurations} configurations); the longest order that was found ends with"]
        lines += [f"    {one.name}: {one.command} -> {one.answer}" for one in self.ordered[-12:]]
        lines += ["and none of these can be next:"]
        lines += [f"    {one.name}: {one.command} -> {one.answer}" for one in self.stuck]
        return "\n".join(lines)


def check(history: Sequence[Invocation], start: ModelMount, ids: Mapping[NodeName, int], step: Step = observed,
          most: int = 500_000) -> Verdict:  # fmt: skip
    """`ids`: of the nodes in `start`. The history names the nodes it made by itself: see `identities`."""
    known = identities(history, ids)
    tried = 0
    for part in parts(history):
        verdict = _Search(part, known, step, most).run(start)
        tried += verdict.configurations
        if not verdict.ok:
            return replace(verdict, configurations=tried)
    return Verdict(True, tried)


def identities(history: Iterable[Invocation], ids: Mapping[NodeName, int]) -> dict[NodeName, int]:
    """Which node of the model is which of the service's: a client that got 201 has made the node in its answer. One
    that had to ask again perhaps got 200: it made the node, if it could have and no other client says so."""
    named = [one for one in history if one.answer is not None and isinstance(one.answer.node, int)]
    known = dict(ids)
    makers = [one for one in named if one.answer is not None and one.answer.status == 201]
    for one in sorted(named, key=lambda one: one.sent):
        if one.echo and one.command.kind in ("mkdir", "upload", "copy"):
            makers.append(one)
    for one in makers:
        if one.answer is not None and isinstance(one.answer.node, int) and one.answer.node not in known.values():
            known[one.name] = one.answer.node
    return known


def parts(history: Sequence[Invocation]) -> list[list[Invocation]]:
    """Operations that share a top name, directly or through others, stay together."""
    leader: dict[str, str] = {}

    def find(top: str) -> str:
        while leader.setdefault(top, top) != top:
            top = leader[top]
        return top

    for one in history:
        first, *others = sorted(one.tops)
        for other in others:
            leader[find(other)] = find(first)
    found: dict[str, list[Invocation]] = defaultdict(list)
    for one in history:
        found[find(min(one.tops))].append(one)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Point:
    """A configuration: the operations that are ordered already (as bits), and the state after them."""

    done: int
    mount: ModelMount
    order: tuple[int, ...]
    before: ModelMount | None = None
    """Where the last one is unheard: the state before it"""


class _Search:
    def __init__(self, history: Sequence[Invocation], known: Mapping[NodeName, int], step: Step, most: int) -> None:
        self.history = sorted(history, key=lambda one: (one.answered, one.sent))
        self.known, self.step, self.most = known, step, most
        self.names = {id: name for name, id in known.items()}
        self.answered = sum(1 << place for place, one in enumerate(self.history) if one.answer is not None)

    def run(self, start: ModelMount) -> Verdict:
        """Depth first, without recursion: a history can be long."""
        seen: set[tuple[int, Hashable]] = set()
        best: tuple[int, tuple[int, ...], int] = (-1, (), 0)
        waiting: list[_Point] = [_Point(0, start, ())]
        while waiting:
            point = waiting.pop()
            mount = point.mount
            done, order = self._settle(point.done, mount, point.order)
            # An operation that fits only after an unheard one is a reason for that one to be where it is.
            before = point.before if done == point.done else None
            if done & self.answered == self.answered:
                return Verdict(True, len(seen))
            if (done, mount.key) in seen:
                continue
            seen.add((done, mount.key))
            if len(seen) > self.most:
                raise AssertionError(f"the history is too wide: {self.most} configurations were not enough")
            if (count := (done & self.answered).bit_count()) > best[0]:
                best = (count, order, done)
            # The one that was answered first is tried first: it comes off the end of the list.
            for place in reversed(self._candidates(done)):
                one = self.history[place]
                after = self._after(mount, one)
                if after is None or (before is not None and self._as_well(before, order[-1], place, after)):
                    continue
                unheard = mount if one.answer is None else None
                waiting.append(_Point(done | 1 << place, after, (*order, place), unheard))
        _, order, done = best
        ordered = [self.history[place] for place in order]
        return Verdict(False, len(seen), ordered, [self.history[place] for place in self._candidates(done)])

    def _as_well(self, before: ModelMount, unheard: int, place: int, after: ModelMount) -> bool:
        """The unheard one could come after this one as well, and no client would see a difference: that order is tried
        instead, so that it comes no earlier than another operation needs it. Two unheard ones keep the order they have
        here."""
        if self.history[place].answer is None and place > unheard:
            return False
        first = self._after(before, self.history[place])
        then = None if first is None else self._after(first, self.history[unheard])
        return then is not None and then.key == after.key

    def _candidates(self, done: int) -> list[int]:
        """Operations that can be next: none that is still to come was answered before they were sent."""
        left = [place for place in range(len(self.history)) if not done >> place & 1]
        first = self.history[left[0]].answered if left else NEVER
        return [place for place in left if self.history[place].sent <= first]

    def _settle(self, done: int, mount: ModelMount, order: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """With all that fit here and change nothing."""
        while True:
            settled = done
            for place in self._candidates(done):
                one = self.history[place]
                if one.answer is not None and self._after(mount, one) is mount:
                    done, order = done | 1 << place, (*order, place)
            if settled == done:
                return done, order

    def _after(self, mount: ModelMount, one: Invocation) -> ModelMount | None:
        """None: this is not what its client was told."""
        answer, command = one.answer, one.command
        if answer is not None and answer.code in WITHOUT_EFFECT:
            return mount
        if isinstance(command.node, int):
            if command.node not in self.names:
                return mount  # it is not known which node of the model it is: anything may be said of it
            command = replace(command, node=self.names[command.node])
            if command.node not in mount.nodes:
                return None  # it is still to be made
        after, expected = self.step(mount, command, one.name)
        if answer is None:
            return None if after is mount else after  # without effect it may as well never happen
        if expected.idempotent and answer.idempotent:
            return (
                after  # of which deleted node it tells depends on the order of deletions, which a state does not know
            )
        if expected.code or answer.code:
            return after if expected.code == answer.code else None
        if one.echo:
            expected = replace(expected, status=answer.status, idempotent=answer.idempotent)
        return after if expected.tells_like(answer) and self._same(expected.node, answer.node) else None

    def _same(self, name: NodeName, id: NodeName) -> bool:
        """Of a node whose maker was told nothing, or which was copied with its directory, the id is not known."""
        if name is None or name in self.known:
            return self.known.get(name) == id
        return id not in self.names
