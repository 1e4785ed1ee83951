"""A service that is right by construction: each command takes effect at one moment between question and answer."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

from tests.model.clients import History, beginning, choose
from tests.model.linearizable import Invocation, observed
from tests.model.model import ModelAnswer, ModelCommand, ModelMount, Step


class Simulation:
    """Clients on a clock of their own. `lost`: how often no client hears the answer."""

    def __init__(self, history: History, seed: int, lost: float = 0.0, step: Step = observed) -> None:
        self.history, self.dice, self.lost, self.step = history, random.Random(seed), lost, step
        self.mount: ModelMount = history.start
        self.ids = itertools.count(1000)

    def run(self, clients: int, each: int, tops: Sequence[str]) -> None:
        """Each client's next question comes when its last answer has come; effects happen in between, in any order."""
        for command in beginning(tops):
            self.ask(command)
        free = [self.history.operations[-1].answered] * clients
        waiting: list[tuple[float, float, float, ModelCommand]] = []
        for _ in range(clients * each):
            number = min(range(clients), key=free.__getitem__)
            sent = free[number] + self.dice.random() * 0.2
            effect = sent + self.dice.random()
            answered = effect + self.dice.random()
            free[number] = answered
            # What a client asks for depends on what was told by then.
            self._take_effect([one for one in waiting if one[1] <= sent])
            waiting = [one for one in waiting if one[1] > sent]
            waiting.append((sent, effect, answered, choose(self.history, self.dice, tops)))
        self._take_effect(waiting)

    def ask(self, command: ModelCommand, seconds: float = 0.1, after: float = 0.01) -> Invocation:
        """One more, after all that was; or while the one before is still under way, with a negative `after`."""
        last = max((one.answered for one in self.history.operations if one.answer), default=0.0)
        sent = last + after
        self._take_effect([(sent, sent + seconds / 2, sent + seconds, command)])
        return self.history.operations[-1]

    def _take_effect(self, commands: Sequence[tuple[float, float, float, ModelCommand]]) -> None:
        for sent, _, answered, command in sorted(commands, key=lambda one: one[1]):
            name = f"s{next(self.history.numbers)}"
            self.mount, modelled = self.step(self.mount, self._meant(command), name)
            answer = self._as_the_service(modelled)
            if self.dice.random() < self.lost and command.kind not in ("get", "list", "read"):
                self.history.operations.append(Invocation(name, command, sent))
                continue
            self.history.operations.append(Invocation(name, command, sent, answered, answer))
            if isinstance(answer.node, int) and answer.path and answer.version:
                self.history.seen[answer.path] = (answer.node, answer.version)
                if answer.status == 201:
                    self.history.made[answer.node] = answer.path

    def _meant(self, command: ModelCommand) -> ModelCommand:
        names = {id: name for name, id in self.history.ids.items()}
        return replace(command, node=names[command.node]) if isinstance(command.node, int) else command

    def _as_the_service(self, answer: ModelAnswer) -> ModelAnswer:
        if answer.node is None:
            return answer
        return replace(answer, node=self.history.ids.setdefault(answer.node, next(self.ids)))
