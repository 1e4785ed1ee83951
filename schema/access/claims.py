"""What the claims of a token of another issuer give: a principal, a tenant, scopes and grants, by rules. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schema.access.rules import Effect, Grant
from schema.errors import Unauthenticated
from schema.ids import MountId

_FIELD = re.compile(r"\{([^{}]+)\}")
_SAFE = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._@+-]{1,200}")
"""What a claim may be that becomes a part of a path or of a tenant's name"""
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


@dataclass(frozen=True, slots=True)
class ClaimGrant:
    """A grant whose pattern may have claims in it: `home/{preferred_username}`."""

    pattern: str
    effect: Effect = "allow"
    mount: int | None = None
    scopes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """`when`: all of these claims have that value, or one of those, or hold it in a list. None: always."""

    scopes: Sequence[str]
    grants: Sequence[ClaimGrant] = ()
    tenant: str = "main"
    when: Mapping[str, Any] | None = None

    def fits(self, claims: Mapping[str, Any]) -> bool:
        return all(_has(claim(claims, name), value) for name, value in (self.when or {}).items())


@dataclass(frozen=True, slots=True)
class IssuedRights:
    """What a token of an issuer is worth here. `digest`: another one whenever anything of it is another one."""

    issuer: str
    subject: str
    principal: str
    tenant: str
    scopes: Sequence[str]
    grants: Sequence[Grant]

    @property
    def digest(self) -> bytes:
        grants = [[one.pattern, one.effect, one.mount, list(one.scopes)] for one in self.grants]
        told = ["oidc", self.issuer, self.subject, self.principal, self.tenant, list(self.scopes), grants]
        return hashlib.sha256(json.dumps(told).encode()).digest()


def rights_of(
    claims: Mapping[str, Any], rules: Sequence[ClaimRule], *, issuer: str, prefix: str, principal: str
) -> IssuedRights:
    """All rules that fit add up, in the tenant of the first. `principal`: the claim that names it, behind the prefix. Raises
    Unauthenticated."""
    fitting = [rule for rule in rules if rule.fits(claims)]
    name = claim(claims, principal)
    if not fitting or not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Unauthenticated("The token is valid, and no rule for its issuer gives it anything. Ask an administrator.")
    tenant = _filled(fitting[0].tenant, claims)
    fitting = [rule for rule in fitting if _filled(rule.tenant, claims) == tenant]
    scopes = sorted({scope for rule in fitting for scope in rule.scopes})
    grants = [_grant(one, claims) for rule in fitting for one in rule.grants]
    return IssuedRights(issuer, str(claims["sub"]), f"{prefix}:{name}", tenant, scopes, grants)


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """By its name, or by names with dots between where claims lie in others."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _has(found: Any, value: Any) -> bool:
    """`True` is not 1 here: claims are compared with their kind."""
    wanted = value if isinstance(value, list) else [value]
    there = found if isinstance(found, list) else [found]
    return any(type(one) is type(two) and one == two for one in there for two in wanted)


def _grant(one: ClaimGrant, claims: Mapping[str, Any]) -> Grant:
    return Grant(
        _filled(one.pattern, claims), one.effect, None if one.mount is None else MountId(one.mount), one.scopes
    )


def _filled(text: str, claims: Mapping[str, Any]) -> str:
    """Raises Unauthenticated: a claim that can not stand there gives nothing, and not another place."""

    def value(found: re.Match[str]) -> str:
        told = claim(claims, found[1])
        if not isinstance(told, str) or not _SAFE.fullmatch(told):
            raise Unauthenticated(
                f"The claim {found[1]!r} of the token can not be a part of a path or of a tenant's name."
            )
        return told

    return _FIELD.sub(value, text)
