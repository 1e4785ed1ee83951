"""What clients say of nodes, and what they look for."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from api.http.fields import Condition, Count, Id, JsonBody, Metadata, Short, Text, refuse_odd_json

Tags = list[Short]
Conditions = Annotated[Condition | None, Field(description="A version of the record: it must be this one, or 412.")]


class NewRecord(JsonBody):
    """All that is said of a node; what is left out is taken away."""

    tags: Tags = Field(default_factory=list)
    owner: Short | None = None
    namespace: Short | None = None
    metadata: Metadata = Field(default_factory=dict)
    version: Count | None = None
    if_match: Conditions = None


class RecordChanges(JsonBody):
    """What is left out stays. `tags` replaces them all; `owner: null` takes the owner away."""

    tags: Tags | None = None
    add_tags: Tags = Field(default_factory=list)
    remove_tags: Tags = Field(default_factory=list)
    owner: Short | None = None
    namespace: Short | None = None
    set: Metadata = Field(default_factory=dict)
    unset: list[Text] = Field(default_factory=list)
    version: Count | None = None
    if_match: Conditions = None


class RecordQuery(JsonBody):
    """All of it holds at once. `query`: words of the path, the tags, the owner and the metadata, as a web search has it;
    `metadata`: what the metadata contains."""

    query: Short | None = None
    tags: Tags = Field(default_factory=list)
    owner: Short | None = None
    namespace: Short | None = None
    metadata: Metadata | None = None
    backend_mount_id: Id | None = None
    path_prefix: Text | None = None
    path_prefix_b64: Text | None = Field(None, alias="pathPrefixB64")
    deleted: Annotated[bool, Field(description="Closed records, too")] = False
    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    cursor: Short | None = None


class NamespaceRule(JsonBody):
    """Records at this path and below it are in the namespace; without a mount, on every one."""

    backend_mount_id: Id | None = None
    path_prefix: Text = ""
    mode: Literal["refuse", "correct"] = "refuse"


class NewNamespace(JsonBody):
    """`schema` is a JSON Schema (2020-12) of the metadata; without one, metadata may be anything."""

    name: Short | None = None
    description: Short | None = None
    schema_: Annotated[dict[str, Any] | bool | None, AfterValidator(refuse_odd_json)] = Field(None, alias="schema")
    rules: list[NamespaceRule] = Field(default_factory=list, max_length=100)
    version: Count | None = None
