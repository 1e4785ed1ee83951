"""Keys of cold copies: below what is a project's own, and never used twice."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schema.store.projects import Project


def cold_prefix(project: Project) -> str:
    return f"t/{project.tenant}/{project.uuid}/objects"


def new_pack_key(project: Project) -> str:
    return f"{cold_prefix(project)}/packs/{uuid.uuid4().hex}"


def sha_in(key: str) -> str:
    """The content that a key was made for; "" for what is no copy."""
    sha = key.rpartition("/")[2].partition(".")[0]
    return sha if len(sha) == 64 else ""


def new_cold_key(project: Project, sha: str) -> str:
    """Never used twice: a deletion that arrives late meets no later copy."""
    return cold_key(project, sha, uuid.uuid4().hex[:12])


def cold_key(project: Project, sha: str, ticket: str) -> str:
    return f"{cold_prefix(project)}/{sha[:2]}/{sha[2:4]}/{sha}.{ticket}"
