"""What a command may do, fixed before anything happens: one dataclass for each visible step. Stored in `commands.intent`.

`begin` decides an intent and writes it; `stage` adds what it staged; the end of the command adds what came out. SQL reads the
JSON, so the name of a field is a key of it: tests/architecture/test_intents.py compares both. Fields that have their default
value are not written, but for the stage: SQL asks of some whether they are there. Rows of earlier releases are read alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar, TypeVar

from schema.ids import CommandId, MountId, NodeId

Facts = Sequence[int | str]
"""The identity of a file, as `Identity.facts` of an executor says it"""
Noun = TypeVar("Noun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """A node as the journal remembers it."""

    id: NodeId
    parent: NodeId | None
    name: str
    """hex of its bytes"""
    version: int
    state: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySource:
    """What a copy takes: a node at its path, or the content of an older version at its place in the trash."""

    version: int
    identity: Facts | None
    sha256: str | None
    node: NodeId | None = None
    mount: MountId | None = None
    path: str | None = None
    """hex"""
    place: str | None = None
    """hex of a path below the trash"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """Another node that goes to the trash: a file whose name a move takes, or the source of a move to another mount with all
    below it."""

    node: NodeId
    mount: MountId
    path: str
    """hex"""
    shown: str
    b64: str | None
    parent: NodeId | None
    version: int
    size: int
    sha256: str | None
    expected: Facts | None
    previous_version: int
    before: Before
    item: int
    """Tells the places apart that one command has in the trash"""
    tree: bool
    trash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeTotals:
    """What lies below a directory that was staged."""

    size: int
    files: int
    directories: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Healing:
    """Of a command that heals: the finding, and what was seen there. That becomes a version of its own before this command's, so
    that the way back leads to it."""

    finding: int
    look: int
    kind: str
    """Of what was seen; empty where nothing was"""
    facts: Facts | None
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What every intent can say, whatever its step."""

    step: ClassVar[str]
    stage: CommandId | None = None
    """Where what will appear waits"""
    staged: Facts | None = None
    """Its identity"""
    borrowed: bool = False
    """The stage is that of an upload, and outlives a failure of this command"""
    trash: str | None = None
    """Where old content goes: a path below the trash"""
    opened: int = 0
    """The attempt that this intent was decided for"""
    long: bool = False
    """It goes on in a workflow of its own"""
    items: bool = False
    """A directory with its content, on storage that knows no trees: item by item"""
    atomic_size: int | None = None
    """How many commands its list has, where all are recorded or none"""
    heal: Healing | None = None
    # What came out of it
    identity: Facts | None = None
    message: str | None = None
    drift: str | None = None
    replaced_identity: Facts | None = None
    """Of a move that was taken back: what the file that it had replaced is now"""
    leaves: bool | None = None
    """The storage has something left to clear. None: an earlier release applied it, which did not say"""
    holds: bool | None = None
    """What was moved still lies under its old name as well"""

    def to_json(self) -> dict[str, Any]:
        return {"step": self.step, **_written(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing(Intent):
    """What was asked for is so already."""

    step: ClassVar[str] = "none"
    node: NodeId
    version: int
    parent: NodeId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedIntent(Intent):
    """The command ended where it began."""

    step: ClassVar[str] = "refused"
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Appears(Intent):
    """Something becomes visible: new, or in the place of a file. A copy says what it takes, and what of it goes then."""

    node: NodeId
    version: int
    kind: str
    size: int
    sha256: str | None
    parent: NodeId | None
    at: str | None = None
    """hex of the path, where it is not that of the command"""
    tree: bool = False
    source: CopySource | None = None
    departs: Leaving | None = None
    totals: TreeTotals | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Appears):
    """A node that was not there."""

    step: ClassVar[str] = "create"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace(Appears):
    """A new version of a file."""

    step: ClassVar[str] = "replace"
    expected: Facts | None
    previous_version: int
    previous_size: int
    before: Before


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes(Intent):
    """A node that is there changes, and from what. Its content stays what it is."""

    node: NodeId
    version: int
    kind: str
    size: int
    sha256: str | None
    parent: NodeId | None
    expected: Facts | None
    """What lies there now"""
    previous_version: int
    previous_size: int
    before: Before


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(Changes):
    step: ClassVar[str] = "delete"
    tree: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Move(Changes):
    step: ClassVar[str] = "move"
    old_parent: NodeId | None
    at: str
    tree: bool
    replaced: Leaving | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore(Changes):
    """A deleted node comes back as itself."""

    step: ClassVar[str] = "restore"
    at: str
    place: str
    """hex of a path below the trash"""
    tree: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Revive(Changes):
    """A missing node is there again: our copy of it appears at its name, which is free."""

    step: ClassVar[str] = "revive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Describe(Changes):
    """Metadata alone; nothing happens on the storage."""

    step: ClassVar[str] = "describe"


BY_STEP: Mapping[str, type[Intent]] = {
    kind.step: kind for kind in (Nothing, RefusedIntent, Create, Replace, Delete, Move, Restore, Revive, Describe)
}
NESTED: Mapping[str, type[Any]] = {
    "before": Before,
    "source": CopySource,
    "replaced": Leaving,
    "departs": Leaving,
    "totals": TreeTotals,
    "heal": Healing,
}


def of_json(stored: Mapping[str, Any]) -> Intent:
    return _read(BY_STEP[stored["step"]], stored)


def copied_of(intent: Intent) -> CopySource | None:
    """What is still to be staged, or was."""
    return intent.source if isinstance(intent, Appears) else None


def departure_of(intent: Intent) -> Leaving | None:
    return intent.departs if isinstance(intent, Appears) else None


def expected_of(intent: Intent) -> Facts | None:
    return intent.expected if isinstance(intent, Replace | Changes) else None


def is_tree(intent: Intent) -> bool:
    """A directory with everything below it."""
    return intent.tree if isinstance(intent, Appears | Delete | Move | Restore) else False


def kept_in(intent: Intent, trash: str) -> Intent:
    """The same, with the place of all that goes to the trash: `trash`, and a number for each."""
    intent = replace(intent, trash=f"{trash}.0")
    if isinstance(intent, Move) and intent.replaced:
        return replace(intent, replaced=replace(intent.replaced, trash=f"{trash}.{intent.replaced.item}"))
    if isinstance(intent, Appears) and intent.departs:
        return replace(intent, departs=replace(intent.departs, trash=f"{trash}.{intent.departs.item}"))
    return intent


def _read(noun: type[Noun], stored: Mapping[str, Any]) -> Noun:
    """A key that this release does not know is passed over."""
    values = {name: stored[name] for name in _fields(noun) if name in stored}
    for name, nested in NESTED.items():
        if values.get(name) is not None:
            values[name] = _read(nested, values[name])
    return noun(**values)


def _written(noun: Any) -> dict[str, Any]:
    """Without what has its default value."""
    values = {name: (getattr(noun, name), default) for name, default in _fields(type(noun)).items()}
    return {
        name: _written(value) if is_dataclass(value) else value
        for name, (value, default) in values.items()
        if value != default or name in _ALWAYS
    }


_ALWAYS = ("stage", "staged")


def _fields(noun: type[Any]) -> dict[str, Any]:
    """With their defaults."""
    return {field.name: field.default for field in fields(noun)}
