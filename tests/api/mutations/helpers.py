"""Commands as clients send them, and what is handed over of each."""

from typing import Any

import httpx2

from api.commands.catalogue import KINDS
from schema.commands.command import CommandKind
from tests.api.conftest import Tree

Call = tuple[str, str]


ADDRESSES: dict[CommandKind, Call] = {
    CommandKind.CREATE_DIRECTORY: ("POST", "/v1/directories"),
    CommandKind.DELETE: ("DELETE", "/v1/nodes"),
    CommandKind.MOVE: ("POST", "/v1/nodes/move"),
    CommandKind.COPY: ("POST", "/v1/nodes/copy"),
    CommandKind.RESTORE: ("POST", "/v1/nodes/restore"),
}


RELOCATIONS = [CommandKind.MOVE, CommandKind.COPY]


EVERY = [
    *ADDRESSES.values(), ("PATCH", "/v1/nodes/{node}/metadata"),
    *(("POST", f"/v1/commands/{kind.name}") for kind in KINDS),
]  # fmt: skip


def both_addresses(kind: CommandKind) -> list[Call]:
    name = next(one.name for one in KINDS if one.kind is kind)
    return [ADDRESSES[kind], ("POST", f"/v1/commands/{name}")]


def ask(client: httpx2.AsyncClient, call: Call, body: dict[str, Any], **options: Any) -> Any:
    return client.request(call[0], call[1], json=body, **options)


async def describe(client: httpx2.AsyncClient, tree: Tree, node: int, **body: Any) -> httpx2.Response:
    headers = body.pop("headers", {})
    sent = {"backendMountId": tree.mount, **body}
    return await client.patch(f"/v1/nodes/{node}/metadata", json=sent, headers=headers)


TAKES: dict[str, set[str]] = {
    "create-directory": {"path", "pathB64"},
    "delete": {"path", "pathB64", "recursive"},
    "move": {"path", "pathB64", "targetPath", "targetPathB64", "targetBackendMountId", "overwrite"},
    "copy": {"path", "pathB64", "targetPath", "targetPathB64", "targetBackendMountId", "overwrite"},
    "update-metadata": {"path", "pathB64", "nodeId", "set", "unset"},
    "restore": {"path", "pathB64", "targetPath", "targetPathB64", "nodeId", "version"},
}
