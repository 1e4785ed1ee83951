"""Principals, and how the one decision about them is told to clients."""

from dataclasses import dataclass, field

from schema.access.actions import Action
from schema.access.decision import Access, access_of, may
from schema.errors import BackendNotFound, FilestoreError, Forbidden, MissingScope, NodeNotFound
from schema.ids import MountId
from schema.paths import NodePath


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """What one token, and its tenant, may take of one process. None: no limit of its own."""

    requests_per_second: float | None = None
    uploads_max: int | None = None
    """At a time"""
    tenant_requests_per_second: float | None = None
    """Of all tokens of its tenant together"""


NO_LIMITS = TokenLimits()


@dataclass(frozen=True, slots=True)
class Principal:
    """The bearer of a token. `state` is another one whenever its token may do something else."""

    name: str
    tenant: str
    token_id: int
    access: Access = field(default_factory=lambda: access_of(()), compare=False)
    limits: TokenLimits = NO_LIMITS
    state: str = ""


def authorise(
    principal: Principal,
    action: Action,
    mount: MountId | None = None,
    path: NodePath | None = None,
    *,
    tree: bool = False,
) -> None:
    """Every route asks here, with all it knows; no other place decides. `tree`: what is below the path is meant, too.

    What a principal may not read does not exist for it, so it hears what it would hear of nothing. Raises MissingScope,
    Forbidden, BackendNotFound, NodeNotFound.
    """
    if not may(principal.access, action, mount, path, tree=tree).allowed:
        raise refusal(principal, action, mount, path, tree=tree)


def refusal(
    principal: Principal, action: Action, mount: MountId | None, path: NodePath | None, *, tree: bool = False
) -> FilestoreError:
    """What is said where `may` has said no."""
    access = principal.access
    if access.suspended and not access.somewhere(action):
        return Forbidden(f"The tenant {principal.tenant!r} is suspended. Ask its administrator.", action=action)
    if not access.somewhere(action):
        return MissingScope(
            f"This needs the action {action!r}, and no scope of the token of {principal.name!r} has it.", scope=action
        )
    if mount is not None and not may(access, "read", mount).allowed:
        return BackendNotFound(backendMountId=mount)
    if mount is not None and path is not None and not may(access, "read", mount, path).allowed:
        return NodeNotFound(backendMountId=mount, path=path.text)
    said = may(access, action, mount, path, tree=tree)
    place = {} if path is None else {"path": path.text}
    return Forbidden(
        f"{said.reason} Choose another place, or ask an administrator for a grant.",
        action=action,
        backendMountId=mount,
        **place,
    )


def readable(principal: Principal, mount: MountId, path: NodePath | None = None) -> bool:
    """Whether it exists for this principal. What is looked up by an id alone is answered as though there were nothing where not."""
    return may(principal.access, "read", mount, path).allowed
