"""Which nodes of a subtree an operation is about. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Any

from schema.ids import NodeId
from schema.nodes import NodeKind, NodeState
from schema.paths import NodePath


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """A node that a plan meets."""

    id: NodeId
    kind: NodeKind
    state: NodeState
    version: int
    path: NodePath
    size: int = 0
    """Bytes; of a directory, of all below it"""
    nodes: int = 1
    """With all below it"""
    modified: datetime | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Every condition that is given has to be met. Without any, the whole subtree is meant."""

    include: Sequence[str] = ()
    """Globs, below the operation's path. One without a slash is about the name alone"""
    exclude: Sequence[str] = ()
    min_bytes: int | None = None
    max_bytes: int | None = None
    modified_after: datetime | None = None
    modified_before: datetime | None = None
    states: Sequence[str] = ()
    kinds: Sequence[str] = ()
    metadata: Mapping[str, Any] | None = None
    """These keys have these values"""
    paths: Sequence[str] = ()
    """Instead of the operation's path: these, with all that is below them"""
    records: Mapping[str, Any] | None = None
    """Of whose record in the Metastore a search with these conditions finds: a plan asks for it by itself"""

    @property
    def narrows(self) -> bool:
        """Not all of a subtree is meant, so that it can not go as a whole."""
        return any(getattr(self, f.name) not in ((), None) for f in fields(self) if f.name != "paths")

    def takes(self, node: PlannedNode, below: NodePath) -> bool:
        """Is this node meant? Directories are, only where `kinds` names them: what they hold is asked about by itself."""
        if self.narrows and node.kind is NodeKind.DIRECTORY and "directory" not in self.kinds:
            return False
        relative = node.path.text[len(below.text) :].lstrip("/")
        return (
            (not self.include or any(glob(one).fullmatch(relative) for one in self.include))
            and not any(glob(one).fullmatch(relative) for one in self.exclude)
            and (self.min_bytes is None or node.size >= self.min_bytes)
            and (self.max_bytes is None or node.size <= self.max_bytes)
            and (self.modified_after is None or (node.modified is not None and node.modified > self.modified_after))
            and (self.modified_before is None or (node.modified is not None and node.modified < self.modified_before))
            and (not self.states or node.state in self.states)
            and (not self.kinds or node.kind in self.kinds)
            and all((node.metadata or {}).get(key) == value for key, value in (self.metadata or {}).items())
        )

    def to_json(self) -> dict[str, Any]:
        written = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) not in ((), None)}
        for name in ("modified_after", "modified_before"):
            if name in written:
                written[name] = written[name].isoformat()
        return {name: list(value) if isinstance(value, tuple) else value for name, value in written.items()}

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> "Selection":
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in told.items()}
        for name in ("modified_after", "modified_before"):
            if isinstance(values.get(name), str):
                values[name] = datetime.fromisoformat(values[name])
        return cls(**values)


@lru_cache(512)
def glob(pattern: str) -> re.Pattern[str]:
    """`*` and `?` stay within a name, `**` does not; `[abc]` is one of these. A pattern without a slash is about the name,
    wherever the node lies; `docs/` is all below `docs`."""
    text = pattern.lstrip("/")
    if text.endswith("/"):
        text += "**"
    elif "/" not in pattern:
        text = "**/" + text
    out, at = "", 0
    while at < len(text):
        if text.startswith("**/", at):
            out, at = out + r"(?:.*/)?", at + 3
        elif text.startswith("**", at):
            out, at = out + ".*", at + 2
        elif text[at] == "[" and (end := text.find("]", at + 2)) > 0:
            inside = text[at + 1 : end].replace("\\", r"\\").replace("[", r"\[")
            out, at = out + ("[^/" + inside[1:] + "]" if inside[0] in "!^" else f"[{inside}]"), end + 1
        else:
            out, at = out + {"*": "[^/]*", "?": "[^/]"}.get(text[at], re.escape(text[at])), at + 1
    return re.compile(out, re.DOTALL)
