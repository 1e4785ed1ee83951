"""Bodies of commands, as clients send them."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.types import JsonValue

from api.http.fields import Condition, Id, JsonBody, Key, Metadata, Text

COMMANDS_MAX = 1000
"""Commands in one list of a client."""


Mode = Literal["independent", "ordered", "atomic"]


class CommandBody(JsonBody):
    """What every command can say in its body. Key and conditions may come as headers too; the body wins."""

    backend_mount_id: Id
    idempotency_key: Key | None = None
    if_match: Condition | None = None
    if_none_match: Condition | None = None


class NewDirectory(CommandBody):
    path: Text = ""
    path_b64: Text | None = Field(None, alias="pathB64")
    metadata: Metadata | None = None


class Deletion(CommandBody):
    path: Text = ""
    path_b64: Text | None = Field(None, alias="pathB64")
    recursive: bool = False


class Relocation(CommandBody):
    """A move or a copy."""

    path: Text = ""
    path_b64: Text | None = Field(None, alias="pathB64")
    target_path: Text = ""
    target_path_b64: Text | None = Field(None, alias="targetPathB64")
    target_backend_mount_id: Id | None = None
    overwrite: bool = False


class MetadataChanges(CommandBody):
    """Of the node whose id is in the address."""

    set: Metadata | None = None
    unset: list[Text] | None = None


class NodeMetadata(MetadataChanges):
    """Of the node that is named here, by its id or by its path."""

    node_id: Id | None = None
    path: Text | None = None
    path_b64: Text | None = Field(None, alias="pathB64")


class Restoration(CommandBody):
    node_id: Id | None = None
    path: Text | None = None
    path_b64: Text | None = Field(None, alias="pathB64")
    target_path: Text | None = None
    target_path_b64: Text | None = Field(None, alias="targetPathB64")
    version: Id | None = None


class CommandList(JsonBody):
    """Each command has the fields of its own body, and `command`."""

    mode: Mode = "independent"
    commands: Annotated[list[dict[str, JsonValue]], Field(max_length=COMMANDS_MAX)]
    idempotency_key: Key | None = None
