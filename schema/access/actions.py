"""What can be done, and the scopes: names for sets of actions that a token is given, or denied."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from schema.errors import InvalidRequest

Action = Literal[
    "read", "write", "move", "delete", "restore", "describe", "operate", "reconcile", "share", "mounts", "credentials",
    "tokens", "audit",
]  # fmt: skip
ACTIONS: frozenset[Action] = frozenset(get_args(Action))
WITHOUT_PLACE: frozenset[Action] = frozenset({"tokens", "audit"})
"""They are about the whole tenant: a grant for a mount or a path gives none of them."""
CHANGES: frozenset[Action] = frozenset({"write", "move", "delete", "restore", "describe"})
"""They change what lies at a path."""


@dataclass(frozen=True, slots=True)
class ScopeActions:
    """`gives`: the actions of a token or a grant with this scope; what may be changed may be read. `withholds`: those that go
    where it is denied; what may not be read may not be changed."""

    gives: frozenset[Action]
    withholds: frozenset[Action]


def _scope(gives: Iterable[Action], withholds: Iterable[Action]) -> ScopeActions:
    return ScopeActions(frozenset(gives), frozenset(withholds))


_ADMINISTERS: frozenset[Action] = frozenset({"mounts", "credentials", "tokens", "audit"})
SCOPES: Mapping[str, ScopeActions] = {
    "filestore:read": _scope({"read"}, ACTIONS),
    "filestore:write": _scope({"read", "write", "describe", "restore"}, CHANGES),
    "filestore:delete": _scope({"read", "move", "delete"}, {"move", "delete"}),
    "filestore:operate": _scope({"read", "operate", "reconcile"}, {"operate", "reconcile"}),
    "filestore:share": _scope({"read", "share"}, {"share"}),
    "filestore:credentials": _scope({"credentials"}, {"credentials"}),
    "filestore:admin": _scope(ACTIONS - {"credentials"}, _ADMINISTERS),
    # The names of earlier tokens mean what they meant.
    "read": _scope({"read"}, ACTIONS),
    "write": _scope({"read", "operate", "reconcile", *CHANGES}, {"operate", "reconcile", *CHANGES}),
    "admin": _scope(ACTIONS, _ADMINISTERS),
}


def given(scopes: Iterable[str]) -> frozenset[Action]:
    """The actions of these scopes together. A scope of a newer release gives nothing here."""
    return frozenset(action for name in scopes if name in SCOPES for action in SCOPES[name].gives)


def withheld(scopes: Iterable[str]) -> frozenset[Action]:
    """The actions that go where these scopes are denied. A scope of a newer release takes all: denied is never let through."""
    return frozenset(action for name in scopes for action in (SCOPES[name].withholds if name in SCOPES else ACTIONS))


def scopes_with(action: Action) -> list[str]:
    return sorted(name for name, scope in SCOPES.items() if action in scope.gives)


def check_scopes(scopes: Iterable[str]) -> None:
    """Raises InvalidRequest for a name that is none."""
    if unknown := sorted(set(scopes) - SCOPES.keys()):
        raise InvalidRequest(
            f"There is no scope {unknown[0]!r}. There are: {', '.join(sorted(SCOPES))}.", scopes=unknown
        )
