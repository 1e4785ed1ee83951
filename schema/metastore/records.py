"""A record of a node: what clients may say of it, and what a change makes of what was said."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from schema.errors import InvalidRequest

DEFAULT_NAMESPACE = "filestore"
"""Of records that no rule gives another one, and for which no client names one"""
TAG_MAX = 256
TAGS_MAX = 200
OWNER_MAX = 256
METADATA_MAX = 256 * 1024
"""Bytes of JSON. What is searched by words has to fit the index of words, with all tags and a path"""


@dataclass(frozen=True, slots=True)
class Description:
    """The part of a record that belongs to clients."""

    namespace: str = DEFAULT_NAMESPACE
    tags: Sequence[str] = ()
    owner: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordEdit:
    """What a client asks to change. `tags` replaces all of them; `add_tags` and `remove_tags` come after it, and `set` before
    `unset`. An owner is changed only where `owner_given`: None takes it away."""

    tags: Sequence[str] | None = None
    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()
    owner: str | None = None
    owner_given: bool = False
    namespace: str | None = None
    set: Mapping[str, Any] = field(default_factory=dict)
    unset: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Without what it leaves as it is. An owner that is null takes the owner away."""
        told = {
            "tags": None if self.tags is None else list(self.tags), "add_tags": list(self.add_tags),
            "remove_tags": list(self.remove_tags), "namespace": self.namespace, "set": dict(self.set), "unset": list(self.unset),
        }  # fmt: skip
        kept = {
            name: value for name, value in told.items() if value not in (None, [], {}) or (name, value) == ("tags", [])
        }
        return kept | ({"owner": self.owner} if self.owner_given else {})

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> "RecordEdit":
        return cls(**told, owner_given="owner" in told)

    def of(self, was: Description) -> Description:
        """Raises InvalidRequest."""
        tags = [*(was.tags if self.tags is None else self.tags), *self.add_tags]
        gone = frozenset(self.remove_tags)
        metadata = {name: value for name, value in {**was.metadata, **self.set}.items() if name not in self.unset}
        changed = replace(
            was,
            namespace=was.namespace if self.namespace is None else self.namespace,
            tags=[tag for tag in tags if tag not in gone],
            owner=self.owner if self.owner_given else was.owner,
            metadata=metadata,
        )
        return tidy(changed)


def tidy(described: Description) -> Description:
    """Each tag once, in their order. Raises InvalidRequest for too many or too long ones."""
    tags = list(dict.fromkeys(described.tags))
    if len(tags) > TAGS_MAX:
        raise InvalidRequest(f"A record has at most {TAGS_MAX} tags; these are {len(tags)}.")
    if any(not 1 <= len(tag) <= TAG_MAX for tag in tags):
        raise InvalidRequest(f"A tag has 1 to {TAG_MAX} characters.")
    if described.owner is not None and not 1 <= len(described.owner) <= OWNER_MAX:
        raise InvalidRequest(f"An owner has 1 to {OWNER_MAX} characters.")
    if described.metadata and (size := len(json.dumps(described.metadata, ensure_ascii=False).encode())) > METADATA_MAX:
        raise InvalidRequest(
            f"The metadata of the record would have {size} bytes; {METADATA_MAX} is the most. Unset what is not needed, or keep it "
            "in a file.",
            fields=[{"field": "metadata", "message": f"more than {METADATA_MAX} bytes"}],
        )
    return replace(described, tags=tags)
