"""Namespaces: which one the record of a path may be in."""

import re
from dataclasses import dataclass
from typing import Literal

from schema.errors import InvalidRequest

Mode = Literal["refuse", "correct"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Rule:
    """Records at a path are in this namespace. `refuse`: a client that says otherwise is told; `correct`: they are put there."""

    namespace: str
    mode: Mode


@dataclass(frozen=True, slots=True)
class Settled:
    namespace: str
    violation: str | None = None
    """The namespace that a rule demands, where the record moved there with another one"""


def checked_name(name: str) -> str:
    """Raises InvalidRequest."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            "A namespace has 1 to 100 letters, digits, '.', '_' or '-', and begins with a letter or a digit.",
            fields=[{"field": "namespace", "message": "not a name"}],
        )
    return name


def settle(wanted: str, rule: Rule | None, *, asked: bool) -> Settled:
    """The namespace that a record gets. `asked`: a client names it now; otherwise it has it already. Raises InvalidRequest."""
    checked_name(wanted)
    if rule is None or rule.namespace == wanted:
        return Settled(wanted)
    if rule.mode == "correct":
        return Settled(rule.namespace)
    if asked:
        raise InvalidRequest(
            f"Records at this path belong to the namespace {rule.namespace!r}; send that one, or move the file elsewhere.",
            fields=[{"field": "namespace", "message": f"must be {rule.namespace!r} here"}],
        )
    return Settled(wanted, violation=rule.namespace)
