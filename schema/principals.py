"""Principals, and the one question of authorisation."""

from dataclasses import dataclass
from typing import Literal

from schema.errors import MissingScope
from schema.ids import MountId
from schema.paths import NodePath

Scope = Literal["read", "write", "admin"]


@dataclass(frozen=True, slots=True)
class Principal:
    """The bearer of a token. `scopes` holds all that one implies: admin may write, and write may read."""

    name: str
    tenant: str
    token_id: int
    scopes: frozenset[str]


def widen(scopes: frozenset[str]) -> frozenset[str]:
    if "admin" in scopes:
        return scopes | {"write", "read"}
    return scopes | {"read"} if "write" in scopes else scopes


def authorise(principal: Principal, action: Scope, mount: MountId | None = None, path: NodePath | None = None) -> None:
    """Every route asks here, with all it knows; path allow lists will be answered here and nowhere else.

    Raises MissingScope.
    """
    if action not in principal.scopes:
        raise MissingScope(
            f"This route needs the scope {action!r}; the token of {principal.name!r} lacks it.", scope=action
        )
