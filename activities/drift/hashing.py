"""The content of a file that a look came upon: read through its descriptor, and told only when nothing wrote to it meanwhile."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from activities.executors.contract.executor import Content, Executor
from activities.executors.contract.folders import Folders
from schema.drift.sightings import PHANTOM, Sighting, SightState
from schema.errors import FilestoreError, Forbidden, MountOffline, NodeNotFound, NotADirectory
from schema.nodes import NodeKind
from schema.paths import NodePath

PIECE = 1 << 20
GRAIN_NS = 50_000_000
"""A stamp that is not older than this proves nothing: the clock of the file system may not have moved on since."""
REST_SECONDS = 0.06
_ATTEMPTS = 3
_AGAIN = "UNAVAILABLE"
"""Of what may be read a moment later"""

_FILES, _BYTES = 64, 64 << 20
"""What a thread reads before it lets others in"""

Read = Callable[[int], None]
"""Called with the bytes of each piece: it may slow the reader down"""


def hashed(executor: Executor, sighting: Sighting, read: Read = lambda size: None) -> Sighting:
    """The sighting with the hash of its content; or as changing, or unreadable. `racy`, `restat`."""
    for attempt in range(_ATTEMPTS):
        found = _attempt(executor, sighting, read)
        rests = found.state is not SightState.CHANGING and found.code != _AGAIN
        if rests or attempt == _ATTEMPTS - 1:
            return found
        time.sleep(REST_SECONDS)
        sighting = replace(found, state=SightState.SEEN, code="", message="")
    raise AssertionError("the last attempt returns")


def _attempt(executor: Executor, sighting: Sighting, read: Read) -> Sighting:
    """One file that its storage does not give is a finding; a storage that is not there ends the look. Raises MountOffline."""
    try:
        return _once(executor, sighting, read)
    except MountOffline as error:
        executor.check()
        return replace(sighting, state=SightState.UNREADABLE, code=_AGAIN, message=error.message)
    except FilestoreError as error:
        return replace(sighting, state=SightState.UNREADABLE, code=error.code, message=error.message)


def chunks(sizes: Iterable[tuple[int, int]]) -> Iterator[list[int]]:
    """Numbers of files, with their sizes, that one call of a thread reads: a call for each costs more than a small file."""
    some: list[int] = []
    size = 0
    for number, more in sizes:
        if some and (len(some) == _FILES or size + more > _BYTES):
            yield some
            some, size = [], 0
        some.append(number)
        size += more
    if some:
        yield some


def sighted(executor: Executor, path: bytes) -> Sighting:
    """What lies at a path now, with its hash."""
    try:
        page = next(executor.scan(NodePath(path), most=1), None)
    except NodeNotFound:
        page = None
    found = next((one for one in (page.entries if page else ()) if one.path == path), None)
    if found is None:
        return Sighting(path, SightState.ABSENT)
    seen = Sighting(path, SightState.SEEN, found.kind, found.facts, target=found.target)
    return hashed(executor, seen) if found.kind == NodeKind.FILE else seen


def _once(executor: Executor, sighting: Sighting, read: Read) -> Sighting:
    changing = replace(sighting, state=SightState.CHANGING, sha256=None)
    try:
        content = executor.open(NodePath(sighting.path))
    except (NodeNotFound, NotADirectory):
        # A bucket can go on listing a key that it answers with 404. A directory would be another one by now, and is listed again.
        return changing if isinstance(executor, Folders) else replace(changing, code=PHANTOM)
    except PermissionError:
        return replace(
            sighting, state=SightState.UNREADABLE, code=Forbidden.code, message="Filestore may not read this file."
        )
    except OSError as error:
        return replace(
            sighting, state=SightState.UNREADABLE, code=_AGAIN, message=error.strerror or "It can not be read."
        )
    try:
        facts = _facts(content)
        changing = replace(changing, facts=facts)
        if not _same_place(sighting, facts) or _fresh(facts):
            return changing
        digest = _digest(content, read)
        with_it = executor.open(NodePath(sighting.path))
        after = _facts(with_it)
        with_it.close()
    except (NodeNotFound, NotADirectory):
        return changing
    except OSError as error:
        return replace(
            sighting, state=SightState.UNREADABLE, code=_AGAIN, message=error.strerror or "It can not be read."
        )
    finally:
        content.close()
    if after != facts:
        return changing
    return replace(sighting, state=SightState.SEEN, facts=facts, sha256=digest)


def _facts(content: Content) -> tuple[int | str, ...]:
    return tuple(content.identity.facts())


def _same_place(sighting: Sighting, facts: tuple[int | str, ...]) -> bool:
    """The file that was listed, or the object that was: of those the listing knows no version."""
    return facts[:3] == sighting.facts[:3] and facts[9:10] == sighting.facts[9:10]


def _fresh(facts: tuple[int | str, ...]) -> bool:
    return bool(facts[5]) and time.time_ns() - int(facts[5]) < GRAIN_NS


def _digest(content: Content, read: Read) -> bytes:
    digest, offset = hashlib.sha256(), 0
    while piece := content.read(offset, PIECE):
        digest.update(piece)
        offset += len(piece)
        read(len(piece))
    return digest.digest()
