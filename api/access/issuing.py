"""What a token may be given: never more than the one who asks for it may do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from api.access.bodies import GrantBody
from schema.access.actions import Action, given
from schema.access.rules import Grant
from schema.errors import BackendNotFound, Forbidden, InvalidRequest, NotFound
from schema.ids import MountId
from schema.principals import Principal
from schema.store import tenants, tokens

if TYPE_CHECKING:
    from schema.store.connection import Connection

OPERATORS = "main"
"""The tenant whose administrators look after all tenants."""


def tenant_of(principal: Principal, asked: str | None) -> str:
    """The tenant that is meant. Raises Forbidden."""
    if asked in (None, principal.tenant):
        return principal.tenant
    if principal.tenant != OPERATORS or principal.access.narrowed:
        raise Forbidden(f"Only administrators of the tenant {OPERATORS!r} look after other tenants.", tenant=asked)
    return asked or principal.tenant


def grants_of(bodies: Sequence[GrantBody]) -> list[Grant]:
    return [
        Grant(one.pattern, one.effect, None if one.backend_mount_id is None else MountId(one.backend_mount_id), one.scopes)
        for one in bodies
    ]  # fmt: skip


def check_giving(principal: Principal, scopes: Collection[str], grants: Sequence[Grant]) -> None:
    """Raises Forbidden."""
    if principal.access.narrowed:
        raise Forbidden("A token with grants makes, changes and rotates no tokens. Use one that holds everywhere.")
    asked = given(scopes) | given(name for grant in grants if grant.effect == "allow" for name in grant.scopes)
    if beyond := sorted(asked - principal.access.general):
        actions: list[Action] = list(beyond)
        raise Forbidden(f"You can not give what you may not do yourself: {', '.join(actions)}.", actions=actions)


async def check_tenant(connection: Connection, tenant: str) -> None:
    """Raises InvalidRequest."""
    if await tenants.was_removed(connection, tenant):
        raise InvalidRequest(
            f"The tenant {tenant!r} was removed. Make another one, or name one that is there.", field="tenant"
        )


async def check_mounts(connection: Connection, tenant: str, grants: Sequence[Grant]) -> None:
    """Raises BackendNotFound."""
    mounts = {grant.mount for grant in grants if grant.mount is not None}
    if mounts and (strange := await tokens.strange_mounts(connection, tenant, mounts)):
        raise BackendNotFound(backendMountId=strange[0])


async def changeable(connection: Connection, principal: Principal, token_id: int, tenant: str) -> tokens.TokenRecord:
    """A token whose bearer may do no more than the one who asks, held still. Raises NotFound, Forbidden."""
    found = await tokens.lock(connection, token_id, tenant)
    if found is None:
        raise NotFound("There is no such token.")
    check_giving(principal, found.scopes, found.grants)
    return found
