"""Which actions a command needs, and where: asked by its route, and again when it begins."""

from collections.abc import Mapping, Sequence

from schema.access.actions import Action
from schema.commands.command import Command, CommandKind
from schema.ids import MountId
from schema.paths import NodePath

NEEDS: Mapping[CommandKind, Action] = {
    CommandKind.UPLOAD: "write",
    CommandKind.CREATE_DIRECTORY: "write",
    CommandKind.DELETE: "delete",
    CommandKind.MOVE: "move",
    CommandKind.COPY: "read",
    CommandKind.DESCRIBE: "describe",
    CommandKind.RESTORE: "restore",
}
"""At the path of the command"""
_AT_TARGET: Mapping[CommandKind, Action] = {
    CommandKind.MOVE: "write", CommandKind.COPY: "write", CommandKind.RESTORE: "restore",
}  # fmt: skip
FIRST: Mapping[CommandKind, Action] = {**NEEDS, CommandKind.COPY: "write"}
"""What a route asks for before it has read where: the stronger of the two"""


def needs(command: Command) -> Sequence[tuple[Action, MountId, NodePath]]:
    here = (NEEDS[command.kind], command.mount_id, command.node_path)
    target, action = command.target_path, _AT_TARGET.get(command.kind)
    if target is None or action is None:
        return [here]
    return [here, (action, command.runs_on, target)]
