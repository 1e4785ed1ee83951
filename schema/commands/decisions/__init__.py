"""One module per kind of command: may it go, what will it do, and what may no other command touch meanwhile. Pure.

Each has three functions of a request and its situation: `refuse` (an error, or None), `intend` (the intent: everything
`apply` and `commit` may do, fixed before anything happens) and `claims`. `schema.commands.verdicts` asks them in this order.
"""

from collections.abc import Callable
from dataclasses import dataclass

from schema import errors
from schema.commands.claims import Claim
from schema.commands.command import Command, CommandKind
from schema.commands.decisions import copy, create_directory, delete, describe, heal, move, restore, upload
from schema.commands.intents import Intent
from schema.commands.situations import Situation


@dataclass(frozen=True, slots=True)
class Decision:
    refuse: Callable[[Command, Situation], errors.FilestoreError | None]
    intend: Callable[[Command, Situation], Intent]
    claims: Callable[[Command, Situation], list[Claim]]


BY_KIND = {
    kind: Decision(module.refuse, module.intend, module.claims)
    for kind, module in {
        CommandKind.CREATE_DIRECTORY: create_directory,
        CommandKind.UPLOAD: upload,
        CommandKind.DELETE: delete,
        CommandKind.MOVE: move,
        CommandKind.COPY: copy,
        CommandKind.DESCRIBE: describe,
        CommandKind.RESTORE: restore,
    }.items()
}
_HEAL = Decision(heal.refuse, heal.intend, heal.claims)


def decision_of(request: Command) -> Decision:
    return BY_KIND[request.kind] if request.finding is None else _HEAL
