"""Named places where a test can stop, slow or kill this process. Off unless FILESTORE_FAULT is set.

FILESTORE_FAULT is a list separated by ';' of `point=kind[:argument][~needle][@n]`:

    apply.acted=kill             SIGKILL this process when the point is reached
    apply.acted=kill@3           ... the third time
    begin.committed=wait:/dir    write /dir/<point>.reached, then wait until /dir/<point>.go exists (once)
    apply.act=hold:/dir          while /dir/<point>.hold exists: write /dir/<point>.<n>.reached and wait (everyone)
    apply.act=sleep:20~slow      sleep 20 s, only where the subject (a path) contains "slow"
    commit.item=fail~poison      raise an error there

Each point stands in the code under its name; POINTS is the one list, and a test proves that both agree.
"""

import asyncio
import itertools
import os
import pathlib
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

POINTS: dict[str, str] = {
    "api.sealed": "the stages of a list are durable, its workflow is not started",
    "api.started": "Temporal has accepted the workflow, no client is answered",
    "begin.before_commit": "the transaction with intents and claims is about to commit",
    "begin.committed": "intents and claims are durable, nothing is visible",
    "stage.laid": "some of what a directory holds lies where it goes, all or not; the record does not know (subject: its path)",
    "stage.staged": "a copy is staged and durable, the intent does not know its identity (subject: the source's path)",
    "stage.recorded": "the intent knows what was staged, nothing is visible",
    "apply.locked": "the locks are held and the rows read again",
    "apply.act": "about to take the visible step of one item (subject: its path)",
    "apply.acted": "the visible step of one item is taken, not flushed (subject: its path)",
    "apply.flushed": "the visible steps are durable, the record does not know",
    "commit.item": "one item is about to be recorded (subject: its path)",
    "commit.taken_back": "the effects of an atomic list are taken back, the record does not know",
    "commit.before_commit": "the transaction with the record is about to commit",
    "commit.committed": "the record is durable, no client is answered",
    "finish.cleared": "some originals of a tree have left, all or not (subject: the path of the tree)",
    "finish.acted": "the leftovers of one command are cleared, its cleanup row is open",
    "finish.closed": "the cleanup rows are closed",
    "operation.planned": "a page of a plan is durable",
    "operation.next": "the next items of an operation are handed out, their commands are not begun",
    "operation.worked": "a file was read again, its item is in flight",
    "purge.marked": "content is kept no longer, and lies in the trash still",
    "purge.unlinked": "it is removed, the record does not say so",
    "import.written": "a page of an import is written, its transaction has not ended",
    "forget.done": "a page of an import has left the record again, no event of it is sent",
    "tag.done": "some hundred records of an operation are changed, its runner does not know",
    "import.page": "a page of an import and where its scan goes on are durable",
    "import.hashed": "hashes of an import and where it goes on are durable",
    "drift.begun": "a look has begun, and the hints that it is about are taken; its run does not know",
    "drift.differing": "a page of directories was compared as wholes, and what differs in it was looked at",
    "drift.page": "a look has read a page of the storage; what it came upon so far may be kept or not",
    "drift.read": "a look has read all it is about, nothing is judged",
    "drift.judged": "the transaction with the conclusion of a look is about to commit",
    "drift.staged": "copies for heals are staged, none of their commands has begun",
    "drift.healed": "the commands of heals have ended, their findings do not know of those that failed",
    "drift.scrubbed": "a page of contents was read again, how far that is was not kept",
    "approval.passed": "the time has done something to an approval, its workflow does not know",
    "approval.agreed": "the last yes to an act is durable, nothing was started that does it",
    "approval.done": "an act that was agreed to is done, its workflow does not know",
    "locks.noted": "objects below a hold are noted, their locks in the bucket are not set",
    "drift.concluded": "the conclusion of a look is durable",
    "recompute.page": "a page of directories is recomputed, and its corrections and where it ends are durable",
    "publish.positioned": "events have their positions, Redis has not seen them",
    "metastore.taken": "a batch of events is in the records, its transaction is not committed",
    "deliver.sent": "the target of a webhook has answered, the record does not know",
    "timestore.taken": "a batch of events and the cursor are in the lake, nothing else was told",
    "publish.sent": "Redis has the events, the feed does not know",
    "archive.written": "a segment of the journal is in the archive, where the next one begins is not kept",
    "sync.committed": "a commit of a project is durable, the hot store was not told",
    "sync.archived": "a content of a project has a verified cold copy, its row does not say so",
    "sync.packed": "contents of a project lie in a verified pack, their rows do not say so",
    "sync.repacked": "contents of mostly dead packs lie in a new one, their rows do not say so",
    "sync.evicted": "a content of a project left the hot store, its row does not say so",
    "sync.collected": "a content of a project that nothing needs left both stores, its row is still there",
    "sync.purged": "the copies of a deleted project left both stores, its rows are still there",
}


class InjectedFault(RuntimeError):
    """A test asked for this failure with FILESTORE_FAULT."""


@dataclass
class _Fault:
    kind: str
    argument: str
    needle: str
    at: int
    seen: int = field(default=0)


def _read(text: str) -> dict[str, _Fault]:
    faults: dict[str, _Fault] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        point, _, rest = part.partition("=")
        if point not in POINTS:
            raise ValueError(f"FILESTORE_FAULT names the unknown point {point!r}")
        rest, _, at = rest.partition("@")
        rest, _, needle = rest.partition("~")
        kind, _, argument = rest.partition(":")
        if kind not in ("kill", "wait", "hold", "sleep", "fail"):
            raise ValueError(f"FILESTORE_FAULT names the unknown kind {kind!r}")
        faults[point] = _Fault(kind, argument, needle, int(at or 1))
    return faults


_numbers = itertools.count()
_faults: dict[str, _Fault] = {}


def arm() -> None:
    """The faults that the environment asks for, and no others."""
    _faults.clear()
    _faults.update(_read(os.environ.get("FILESTORE_FAULT", "")))


arm()


def _due(point: str, subject: str) -> _Fault | None:
    fault = _faults.get(point)
    if fault is None or fault.needle not in subject:
        return None
    fault.seen += 1
    once = fault.kind in ("kill", "wait")
    return fault if (fault.seen == fault.at if once else fault.seen >= fault.at) else None


def _strike(fault: _Fault, point: str) -> None:
    if fault.kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault.kind == "sleep":
        time.sleep(float(fault.argument))
    else:
        raise InjectedFault(f"injected at {point}")


def _waits(fault: _Fault, point: str) -> Callable[[], bool] | None:
    """For a fault that waits: says that it is reached, and returns what tells whether to wait longer."""
    folder = pathlib.Path(fault.argument)
    if fault.kind == "wait":
        (folder / f"{point}.reached").touch()
        return lambda: not (folder / f"{point}.go").exists()
    if fault.kind == "hold":
        gate = folder / f"{point}.hold"
        if gate.exists():
            (folder / f"{point}.{next(_numbers)}.reached").touch()
        return gate.exists
    return None


def reach(point: str, subject: str = "") -> None:
    """Say that `point` is reached, from a thread that may block."""
    if _faults and (fault := _due(point, subject)):
        waits = _waits(fault, point)
        if waits is None:
            return _strike(fault, point)
        while waits():
            time.sleep(0.01)


async def areach(point: str, subject: str = "") -> None:
    """The same from a coroutine: the event loop goes on while this point waits, and no thread is kept."""
    if _faults and (fault := _due(point, subject)):
        waits = _waits(fault, point)
        if waits is not None:
            while waits():  # noqa: ASYNC110 - another process opens the gate
                await asyncio.sleep(0.01)
        elif fault.kind == "kill":
            _strike(fault, point)
        else:
            await asyncio.to_thread(_strike, fault, point)
