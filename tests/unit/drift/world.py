"""A disk and a record in memory: what a look would see of the one, judged against the other, and applied to it."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import count

from schema.drift.acts import Act, Deed, LookOutcome, Terms, weigh
from schema.drift.judge import Judgement, Scope, judge, lost
from schema.drift.policy import DriftAction, Phase, Policy
from schema.drift.sightings import Believed, Record, Sighting, SightState, key_of, unchanged

ENFORCED = Policy(phase=Phase.ENFORCE)
ASKED = Policy(phase=Phase.ENFORCE, on_new=DriftAction.ASK, on_changed=DriftAction.ASK, on_missing=DriftAction.ASK)
ROOT = 1


@dataclass
class DiskFile:
    inode: int
    kind: str
    content: bytes = b""
    time: int = 0

    @property
    def facts(self) -> tuple[int | str, ...]:
        size = len(self.content)
        return (0, self.inode, self.inode, size, self.time, self.time, int(self.kind == "directory"), 0o600, 1)


@dataclass
class World:
    disk: dict[bytes, DiskFile] = field(default_factory=dict)
    nodes: dict[int, Believed] = field(default_factory=dict)
    clock: "count[int]" = field(default_factory=lambda: count(100))
    generation: int = 0

    # The stranger

    def put(self, path: bytes, content: bytes = b"", kind: str = "file") -> DiskFile:
        now = next(self.clock)
        self.disk[path] = DiskFile(now, kind, content, now)
        return self.disk[path]

    def edit(self, path: bytes, content: bytes) -> None:
        self.disk[path] = replace(self.disk[path], content=content, time=next(self.clock))

    def rename(self, path: bytes, target: bytes) -> None:
        """Replaces what lies there; a directory takes along what it holds."""
        self.remove(target)
        for old in [p for p in self.disk if p == path or p.startswith(path + b"/")]:
            self.disk[target + old[len(path) :]] = self.disk.pop(old)
        self.disk[target].time = next(self.clock)

    def remove(self, path: bytes) -> None:
        for old in [p for p in self.disk if p == path or p.startswith(path + b"/")]:
            del self.disk[old]

    # The record

    def path_of(self, id: int) -> bytes:
        node = self.nodes[id]
        above = b"" if node.parent in (None, ROOT) else self.path_of(node.parent or 0)
        return above + b"/" + node.name if above else node.name

    def at(self, path: bytes) -> Believed | None:
        return next((self.now(id) for id in self.nodes if id != ROOT and self.path_of(id) == path), None)

    def now(self, id: int) -> Believed:
        return replace(self.nodes[id], path=self.path_of(id))

    @property
    def believed(self) -> list[Believed]:
        return [self.now(id) for id in self.nodes if id != ROOT]

    # A look

    def see(self, paths: Iterable[bytes] | None = None) -> list[Sighting]:
        """What a look comes upon. As the reader does it: a directory is known by its file first, then by its name."""
        found: list[Sighting] = []
        owner = {one.key: one.id for one in self.believed if one.kind == "directory" and not one.is_missing}
        nodes = {(one.parent, one.name): one for one in self.believed}
        directory: dict[bytes, int | None] = {b"": ROOT}
        for path in sorted(self.disk, key=lambda p: (p.count(b"/"), p)):
            file = self.disk[path]
            above, _, name = path.rpartition(b"/")
            parent = directory.get(above)
            here = nodes.get((parent, name)) if parent is not None else None
            if file.kind == "directory":
                same_kind = here.id if here is not None and here.kind == "directory" else None
                directory[path] = owner.get(key_of(file.facts), same_kind)
            if here is None or not unchanged(here, file.facts) or here.state != "active" or here.missed_in is not None:
                found.append(Sighting(path, SightState.SEEN, file.kind, file.facts, file.content or None, parent))
        for top, id in directory.items():
            for node in self.believed:
                path = top + b"/" + node.name if top else node.name
                if node.parent == id and path not in self.disk and b"\0" not in node.name:
                    found.append(Sighting(path, SightState.ABSENT, within=id))
        found += self.lost(found)
        return [one for one in found if paths is None or one.path in paths]

    def lost(self, found: list[Sighting]) -> list[Sighting]:
        """What was in directories that are nowhere, down to directories that are elsewhere."""
        seen, out = {one.key for one in found if one.there}, list[Sighting]()
        waiting = [(node.id, path) for node, path in lost(found, self.record())]
        while waiting:
            top, path = waiting.pop()
            for node in self.believed:
                if node.parent == top:
                    below = path + b"/" + node.name
                    out.append(Sighting(below, SightState.ABSENT, within=top))
                    if node.is_directory and node.key not in seen:
                        waiting.append((node.id, below))
        return out

    def record(self, change: Callable[[Believed], Believed] = lambda node: node) -> Record:
        return Record([change(node) for node in self.believed])

    def look(self, policy: Policy = ENFORCED, *, whole: bool = True, by_hand: bool = False) -> LookOutcome:
        self.generation += 1
        return self.conclude(self.see(), policy, whole=whole, by_hand=by_hand)

    def conclude(
        self, seen: list[Sighting], policy: Policy = ENFORCED, *, whole: bool = True, by_hand: bool = False
    ) -> LookOutcome:
        outcome = weigh(judge(seen, self.record(), Scope(whole)).conclusions, Terms(policy, self.generation, by_hand))
        self.apply(outcome.acts)
        return outcome

    def judged(self, seen: list[Sighting], *, whole: bool = True) -> Judgement:
        return judge(seen, self.record(), Scope(whole))

    def apply(self, acts: Iterable[Act]) -> None:
        """In the order of the protocol: names given up, moves, arrivals."""
        acts, made = list(acts), dict[bytes, int]()
        for act in acts:
            if act.node is not None and act.deed in (Deed.DISPLACE, Deed.PLACE):
                self._change(act, name=act.node.name + b"\0%d" % act.node.id)
        for act in acts:
            if act.deed is Deed.CREATE:
                id = max(self.nodes, default=ROOT) + 1
                made[act.sighting.path] = id
                parent = act.parent if isinstance(act.parent, int) else made[act.parent]
                s = act.sighting
                self.nodes[id] = Believed(id, parent, s.name, b"", s.kind, "active", 1, s.facts, s.sha256)
        for act in acts:
            self._write(act, made)
        taken = [(n.parent, n.name) for n in self.nodes.values()]
        assert len(set(taken)) == len(taken), "I9: two living nodes at one name"

    def _write(self, act: Act, made: dict[bytes, int]) -> None:
        s = act.sighting
        if act.deed is Deed.PLACE:
            parent = act.parent if isinstance(act.parent, int) else made[act.parent]
            self._change(act, parent=parent, name=s.name)
        if act.deed in (Deed.PLACE, Deed.CONTENT, Deed.STAMPS):
            self._change(act, state="active", facts=s.facts, sha256=s.sha256, missed_in=None)
        elif act.deed is Deed.DOUBT:
            self._change(act, state="inconsistent", missed_in=act.missed_in)
        elif act.deed in (Deed.MISS, Deed.DISPLACE):
            self._change(act, state="missing")

    def _change(self, act: Act, **values: object) -> None:
        assert act.node is not None
        node = self.nodes[act.node.id]
        self.nodes[node.id] = replace(node, version=node.version + 1, **values)  # type: ignore[arg-type]

    @property
    def differences(self) -> list[str]:
        """I3: once quiet, record and disk are the same, but for what is MISSING."""
        problems = []
        for path, file in self.disk.items():
            node = self.at(path)
            if node is None or node.state != "active" or node.key != key_of(file.facts):
                problems.append(f"{path!r}: {node} for {file}")
            elif file.kind == "file" and (node.sha256 or b"") != file.content:
                problems.append(f"{path!r}: another content")
        lying = set(self.disk)
        problems += [f"{n.path!r}: {n.state}" for n in self.believed if n.state != "missing" and n.path not in lying]
        return problems


def settled(*paths: bytes) -> World:
    """A disk with these files ('/' at the end: directories), and a record that knows them."""
    world = World()
    world.nodes[ROOT] = Believed(ROOT, None, b"", b"", "directory", "active", 1)
    for path in paths:
        world.put(
            path.rstrip(b"/"), path if not path.endswith(b"/") else b"", "directory" if path.endswith(b"/") else "file"
        )
    world.look()
    assert world.differences == []
    return world


def wander(world: World, dice: random.Random) -> None:
    """One step of a stranger."""
    paths = sorted(world.disk)
    folders = [b"", *(path for path in paths if world.disk[path].kind == "directory")]
    where = dice.choice(folders)
    fresh = (where + b"/" if where else b"") + dice.choice([b"a", b"b", b"c", b"d"])
    step = dice.choice(["put", "folder", "edit", "rename", "rename", "remove"])
    if step in ("put", "folder") and not any(p.startswith(fresh + b"/") for p in paths):
        world.put(fresh, b"%d" % next(world.clock), "file" if step == "put" else "directory")
    elif paths:
        path = dice.choice(paths)
        if step == "edit" and world.disk[path].kind == "file":
            world.edit(path, b"%d" % next(world.clock))
        elif step == "rename" and not (fresh + b"/").startswith(path + b"/") and not path.startswith(fresh + b"/"):
            world.rename(path, fresh)
        elif step == "remove":
            world.remove(path)
