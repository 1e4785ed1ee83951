"""Rules: what a grant says of a place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from schema.access.actions import Action
from schema.access.patterns import Pattern
from schema.ids import MountId
from schema.paths import NodePath

Effect = Literal["allow", "deny"]


@dataclass(frozen=True, slots=True)
class Grant:
    """As a token has it. No mount: all of its tenant. No scopes: allowed are those of the
    token, denied is everything."""

    pattern: str
    effect: Effect = "allow"
    mount: MountId | None = None
    scopes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class GrantRule:
    """A grant, ready to be asked."""

    effect: Effect
    mount: MountId | None
    pattern: Pattern
    actions: frozenset[Action]

    def holds(self, action: Action, mount: MountId, path: NodePath) -> bool:
        return self.concerns(action, mount) and self.pattern.holds(path)

    def concerns(self, action: Action, mount: MountId) -> bool:
        return action in self.actions and self.mount in (None, mount)
