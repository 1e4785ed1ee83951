"""Commands as HTTP requests, and what comes back as the model's answers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fix_service import MountOfTest, upload_parts
from tests.model.model import ModelAnswer, ModelCommand, NodeName, canonical

_ROUTES = {
    "mkdir": ("POST", "/v1/directories"), "delete": ("DELETE", "/v1/nodes"), "move": ("POST", "/v1/nodes/move"),
    "copy": ("POST", "/v1/nodes/copy"), "describe": ("POST", "/v1/commands/update-metadata"),
    "restore": ("POST", "/v1/nodes/restore"),
}  # fmt: skip

UNSETTLED = (
    "OUTCOME_UNKNOWN",
    "UNAVAILABLE",
    "STAGE_LOST",
    "MOUNT_OFFLINE",
    "PATH_BUSY",
    "RATE_LIMITED",
    "STORAGE_FULL",
)
"""What a client answers by sending the same again. All but the first promise that nothing has happened."""


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    url: str
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class WirePlace:
    """The directory of a mount that a model is about: its root there is the model's root."""

    mount: MountOfTest
    prefix: str = ""

    def outside(self, path: str) -> str:
        """As the service knows it. What is no path in the model must be none for the service either."""
        return f"{self.prefix}/{path}" if self.prefix else path

    def inside(self, path: str) -> str:
        if not self.prefix:
            return path
        assert path == self.prefix or path.startswith(self.prefix + "/"), path
        return path[len(self.prefix) + 1 :]


def call(place: WirePlace, command: ModelCommand, key: str | None, node: Callable[[NodeName], int]) -> Call:
    """`node`: the id that the service has given to a node of the model."""
    conditions = {"If-Match": command.if_match, "If-None-Match": command.if_none_match}
    headers = {name: value for name, value in conditions.items() if value is not None}
    if command.kind == "upload":
        fields: dict[str, Any] = {"overwrite": "true"} if command.overwrite else {}
        if command.metadata is not None:
            fields["metadata"] = command.metadata
        data, files = upload_parts(place.mount.id, place.outside(command.path), command.content, key, **fields)
        return Call("POST", "/v1/files", {"data": data, "files": files, "headers": headers})
    method, url = _ROUTES[command.kind]
    return Call(method, url, {"json": _body(place, command, key, node), "headers": headers})


def _body(place: WirePlace, command: ModelCommand, key: str | None, node: Callable[[NodeName], int]) -> dict[str, Any]:
    named = {"path": place.outside(command.path)} if command.node is None else {"nodeId": node(command.node)}
    body: dict[str, Any] = {"backendMountId": place.mount.id, **named}
    if key is not None:
        body["idempotencyKey"] = key
    if command.target is not None:
        body["targetPath"] = place.outside(command.target)
    if command.metadata is not None:
        body["set" if command.kind == "describe" else "metadata"] = json.loads(command.metadata)
    if command.unset:
        body["unset"] = list(command.unset)
    if command.version is not None:
        body["version"] = command.version
    return body | {flag: True for flag in ("overwrite", "recursive") if getattr(command, flag)}


def answer(place: WirePlace, status: int, body: dict[str, Any]) -> ModelAnswer:
    """`node` is the service's own id here: the caller that compares knows which node of the model it must be."""
    if "error" in body:
        return ModelAnswer(status, body["error"]["code"])
    outcome = body["data"]
    return node(place, outcome["node"], status, idempotent=outcome["idempotent"])


def node(place: WirePlace, body: dict[str, Any], status: int = 200, *, idempotent: bool = False) -> ModelAnswer:
    return ModelAnswer(
        status, None, body["id"], place.inside(body["path"]), body["kind"], body["state"], body["version"], body["sizeBytes"],
        body["contentHash"], canonical(body["metadata"]), idempotent,
    )  # fmt: skip
