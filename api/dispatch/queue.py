"""What waits for one mount, and which of it is the next list. Pure: no clock and no event loop of its own.

Fair: principals take turns, and an atomic list has one turn, like a single one. Orderly: a command waits
while an earlier one holds its path, and everything behind it on that path waits with it. Bounded: beyond `most` a caller has
to slow down.
"""

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from activities.executors.contract.executor import Locks
from api.submission import Submission
from schema import errors
from schema.commands.claims import Claim, conflicts
from schema.commands.command import Command
from schema.commands.payloads import LIST_MAX

LIST_BYTES = 200 * 1024
"""Of payload in one list: well below what Temporal takes."""


@dataclass(eq=False, slots=True)
class WaitingCommand:
    submission: Submission
    claims: Sequence[Claim]
    """On this mount"""
    deadline: float
    locks: Locks | None = None
    bounced: bool = False
    """Another process held the path when it was this one's turn"""
    sealed: Command | None = None
    """The request with its stage, once that is durable"""
    atomic: Sequence["WaitingCommand"] = ()
    """The whole atomic list it belongs to, itself included"""
    turns: int = 0
    """How often it was in a list, and its path was busy"""

    @property
    def request(self) -> Command:
        return self.sealed or self.submission.request

    @property
    def key(self) -> tuple[str, str]:
        return self.request.principal, self.request.effective_key


Turn = Sequence[WaitingCommand]
"""What is taken at once: one command, or an atomic list, which is a list of its own."""


class Queue:
    def __init__(self, *, lanes: int, most: int) -> None:
        self._lanes, self._most = lanes, most
        self._by_principal: OrderedDict[str, deque[Turn]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, *turn: WaitingCommand) -> None:
        """Raises RateLimited when the queue is full. One turn is never too long for an empty queue."""
        if self._size and self._size + len(turn) > self._most:
            raise errors.RateLimited(waiting=self._size)
        self._of(turn).append(turn)
        self._size += len(turn)

    def put_back(self, *turn: WaitingCommand) -> None:
        """Put it to the front: it had its turn, and another process held a path."""
        for waiting in turn:
            waiting.bounced = True
        self._of(turn).appendleft(turn)
        self._size += len(turn)

    def _of(self, turn: Turn) -> deque[Turn]:
        return self._by_principal.setdefault(turn[0].request.principal, deque())

    def _share(self, in_flight: int) -> int:
        """A lane's part of all commands that wait: lists of one size end sooner than a long and a short one."""
        return -(-(self._size + in_flight) // self._lanes)

    def worth_a_list(self, in_flight: int) -> bool:
        """A list costs much the same however short it is. So while another list is under way, a new one starts only
        with a full share; commands wait for more at the longest until that other list is done."""
        return self._size > 0 and (in_flight == 0 or self._size >= self._share(in_flight))

    def take(self, in_flight: Collection[WaitingCommand], now: float) -> list[WaitingCommand]:
        """The next list: every command whose path is free, with no earlier command waiting for it. A command that has waited
        for a path beyond its deadline comes along too, to be refused and journaled."""
        batch: list[WaitingCommand] = []
        taken = _Taken(in_flight)
        passed: dict[str, deque[Turn]] = {}
        next_alone: str | None = None
        most, size = min(LIST_MAX, self._share(len(in_flight))), 0
        while self._by_principal and len(batch) < most and size < LIST_BYTES:
            turn = self._next()
            principal = turn[0].request.principal
            blocked = taken.by(turn)
            late = now >= turn[0].deadline
            alone = len(turn) > 1
            if (blocked and not late) or (alone and batch):
                passed.setdefault(principal, deque()).append(turn)
                if alone and (late or not blocked):
                    next_alone = next_alone or principal
                continue
            if late and (blocked or any(waiting.bounced for waiting in turn)):
                busy = errors.PathBusy()
                for waiting in turn:
                    waiting.sealed = replace(waiting.request, failure=busy.code, failure_message=busy.message)
            taken.keys.update(waiting.key for waiting in turn)
            batch.extend(turn)
            size += weight(turn)
            if alone:
                break
        for principal, those in passed.items():
            # They keep their place at the front.
            those.extend(self._by_principal.pop(principal, ()))
            self._by_principal[principal] = those
        if next_alone is not None:
            # It could go, but not in this list. The next one is its own: it must not wait until nothing else is in the queue.
            self._by_principal.move_to_end(next_alone, last=False)
        self._size -= len(batch)
        return batch

    def _next(self) -> Turn:
        principal, theirs = self._by_principal.popitem(last=False)
        turn = theirs.popleft()
        if theirs:
            self._by_principal[principal] = theirs
        return turn


def weight(turn: Turn) -> int:
    """Bytes of payload, about."""
    return sum(700 + 2 * sum(len(claim.path) for claim in waiting.claims) for waiting in turn)


class _Taken:
    """Claims and keys that are in use, and those of the commands that were looked at before."""

    def __init__(self, in_flight: Collection[WaitingCommand]) -> None:
        self.keys = {waiting.key for waiting in in_flight}
        self._claims: list[Claim] = []
        self._paths: dict[bytes, Claim] = {}
        """One claim for each path: an exclusive one, where there is any"""
        self._trees: list[Claim] = []
        self._take(claim for waiting in in_flight for claim in waiting.claims)

    def by(self, turn: Turn) -> bool:
        """Is another command in the way of this one? From now on it is in the way of those behind it. (Whether the commands of
        an atomic list are in each other's way is for `begin` to say.)"""
        blocked = any(waiting.key in self.keys for waiting in turn)
        claims = [claim for waiting in turn for claim in waiting.claims]
        blocked = blocked or any(self._conflicts(claim) for claim in claims)
        self._take(claims)
        return blocked

    def _take(self, claims: Iterable[Claim]) -> None:
        for claim in claims:
            if claim.path not in self._paths or not claim.shared:
                self._paths[claim.path] = claim
            self._claims.append(claim)
            if claim.subtree:
                self._trees.append(claim)

    def _conflicts(self, claim: Claim) -> bool:
        same = self._paths.get(claim.path)
        if same is not None and conflicts(claim, same):
            return True
        # Where paths differ only a subtree on either side can still be in the way.
        others: Sequence[Claim] = self._claims if claim.subtree else self._trees
        return any(conflicts(claim, other) for other in others)
