"""Which actions a command needs, and where: asked by its route, and again when it begins."""

from collections.abc import Mapping, Sequence

from schema.access.actions import Action
from schema.access.decision import Access, may
from schema.commands.command import Command, CommandKind
from schema.commands.situations import Situation
from schema.errors import Forbidden
from schema.ids import MountId
from schema.nodes import NodeKind
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


def refusal(command: Command, found: Situation, access: Access) -> Forbidden | None:
    """Why a command may not begin. Of a directory all is meant that lies below it, or will."""
    tree = _takes_a_tree(command, found)
    for action, mount, path in needs(command):
        decision = may(access, action, mount, path, tree=tree)
        if not decision.allowed:
            return Forbidden(
                f"{decision.reason} Nothing was changed.", action=action, backendMountId=mount, path=path.text
            )
    return None


def _takes_a_tree(command: Command, found: Situation) -> bool:
    if command.kind is CommandKind.RESTORE:
        node = found.named if command.content_version is None else None
    elif command.kind in (CommandKind.DELETE, CommandKind.MOVE, CommandKind.COPY):
        node = found.here.node
    else:
        node = None
    return node is not None and node.kind is NodeKind.DIRECTORY
