"""Tokens of other issuers (OpenID Connect): their signature, their issuer, audience and times are checked, and rules say what they
are worth here. The keys come from a file or an address, and are kept for a while."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Annotated, Any

import httpx2
import jwt
import structlog
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from api.access.bodies import GrantBody
from schema.access.actions import check_scopes
from schema.access.claims import ClaimGrant, ClaimRule, IssuedRights, rights_of
from schema.errors import FilestoreError, Unauthenticated, Unavailable
from schema.store import tokens

if TYPE_CHECKING:
    from schema.store.pool import Pool

log = structlog.get_logger(__name__)

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures with two keys. None of one key, so that what an issuer publishes can not be used to sign."""
TOKEN_MAX = 16 * 1024
KEYS_SECONDS = 600.0
"""How long keys of an address are used before they are asked for anew"""
MISS_SECONDS = 10.0
"""How often a key that is not known may make us ask"""
FETCH_SECONDS = 5.0
KEYS_MAX_BYTES = 1 << 20
KNOWN_MAX = 10_000
EXTEND_SECONDS = 60.0
LONGEST_SECONDS = 366 * 86400.0
"""A token that holds for longer is looked at again then."""


class _Entry(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class RuleEntry(_Entry):
    scopes: Annotated[list[str], Field(max_length=50)] = []
    grants: list[GrantBody] = []
    tenant: str = "main"
    when: dict[str, Any] | None = None

    def rule(self) -> ClaimRule:
        check_scopes([*self.scopes, *(scope for one in self.grants for scope in one.scopes)])
        grants = [ClaimGrant(one.pattern, one.effect, one.backend_mount_id, one.scopes) for one in self.grants]
        return ClaimRule(self.scopes, grants, self.tenant, self.when)


class IssuerEntry(_Entry):
    """`name`: stands before the names of its principals, so that none of them is taken for one of ours."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    issuer: Annotated[str, Field(min_length=1)]
    audience: Annotated[list[str], Field(min_length=1)] | Annotated[str, Field(min_length=1)]
    jwks_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    jwks_path: str | None = None
    algorithms: list[str] = ["RS256", "ES256", "EdDSA"]
    leeway_seconds: Annotated[float, Field(ge=0, le=300)] = 30.0
    principal: str = "sub"
    rules: Annotated[list[RuleEntry], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_place_of_keys(self) -> IssuerEntry:
        if (self.jwks_url is None) == (self.jwks_path is None):
            raise ValueError("an issuer has jwksUrl or jwksPath")
        if self.name in ("link", "admin", "operator") or set(self.algorithms) - set(ALGORITHMS):
            raise ValueError(f"algorithms are {', '.join(ALGORITHMS)}, and no issuer is called link, admin or operator")
        return self


class IssuerKeys:
    """The keys of one issuer, by id. Used by the HTTP loop alone."""

    def __init__(self, url: str | None, path: str | None) -> None:
        self._url, self._path = url, path
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._read, self._asked = 0.0, float("-inf")
        self._stamp: tuple[int, int] | None = None

    async def find(self, kid: str | None) -> jwt.PyJWK | None:
        """None: the issuer has no such key. Raises Unavailable where its keys were never read."""
        age = monotonic() - self._read
        stale = not self._keys or age > KEYS_SECONDS or (kid not in self._keys and self._url is not None)
        if (stale or self._path is not None) and self._may_ask():
            await self._refresh()
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _may_ask(self) -> bool:
        return self._path is not None or monotonic() - self._asked > MISS_SECONDS

    async def _refresh(self) -> None:
        """Keys that are known go on where new ones can not be read."""
        self._asked = monotonic()
        try:
            text = self._from_file() if self._path is not None else await self._from_address()
            if text is not None:
                self._keys = _keys_of(text)
                self._read = monotonic()
        except Exception as error:
            log.warning("the keys of an issuer can not be read", place=self._url or self._path, error=repr(error))
            if not self._keys:
                raise Unavailable(
                    "The keys of the token's issuer can not be read at the moment. Try again shortly."
                ) from error

    def _from_file(self) -> bytes | None:
        """None: it has not changed."""
        assert self._path is not None
        found = os.stat(self._path)
        if self._stamp == (found.st_ino, found.st_mtime_ns):
            return None
        content = Path(self._path).read_bytes()
        self._stamp = found.st_ino, found.st_mtime_ns
        return content

    async def _from_address(self) -> bytes:
        assert self._url is not None
        async with httpx2.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False, trust_env=False) as http:
            answer = await http.get(self._url, headers={"accept": "application/json"})
        answer.raise_for_status()
        if len(answer.content) > KEYS_MAX_BYTES:
            raise ValueError("the keys are too large")
        return answer.content


def _keys_of(text: bytes) -> dict[str | None, jwt.PyJWK]:
    """Those that can be used; a secret key is none."""
    told, found = json.loads(text), dict[str | None, jwt.PyJWK]()
    for one in told["keys"]:
        if one.get("kty") == "oct" or one.get("use", "sig") != "sig":
            continue
        try:
            found[one.get("kid")] = jwt.PyJWK(one)
        except jwt.PyJWTError as error:
            log.warning("a key of an issuer is left out", kid=one.get("kid"), error=repr(error))
    return found


@dataclass(frozen=True, slots=True)
class Issuer:
    entry: IssuerEntry
    rules: Sequence[ClaimRule]
    keys: IssuerKeys


@dataclass(slots=True)
class _Seen:
    rights: IssuedRights
    until: float


@dataclass(slots=True)
class Issuers:
    """Those that are trusted, by what their tokens call them. Used by the HTTP loop alone."""

    pool: Pool
    known: Mapping[str, Issuer]
    _seen: dict[bytes, _Seen] = field(default_factory=dict)
    _written: dict[bytes, float] = field(default_factory=dict)

    async def digest_of(self, token: str) -> bytes:
        """The digest of a row of tokens that may do what this token may. Raises Unauthenticated, Unavailable."""
        key, now = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest(), time()
        seen = self._seen.get(key)
        if seen is None or now >= seen.until:
            seen = await self._verify(token)
            if len(self._seen) >= KNOWN_MAX:
                self._seen.clear()
            self._seen[key] = seen
        await self._keep_row(seen)
        return seen.rights.digest

    async def _verify(self, token: str) -> _Seen:
        try:
            header, issuer = self._issuer_of(token)
            key = await issuer.keys.find(header.get("kid"))
            if key is None:
                raise Unauthenticated("The token is signed with a key that its issuer does not have.")
            entry = issuer.entry
            claims = jwt.decode(
                token, key.key, algorithms=[header["alg"]], audience=entry.audience, issuer=entry.issuer,
                leeway=entry.leeway_seconds, options={"require": ["exp", "iss", "aud", "sub"]},
            )  # fmt: skip
            rights = rights_of(claims, issuer.rules, issuer=entry.issuer, prefix=entry.name, principal=entry.principal)
            return _Seen(rights, min(float(claims["exp"]) + entry.leeway_seconds, time() + LONGEST_SECONDS))
        except FilestoreError:
            raise
        except Exception as error:
            # Whatever is wrong with a token: it is the bearer's, and none of ours.
            raise Unauthenticated(
                f"The token is not valid ({type(error).__name__}). Get another one from its issuer."
            ) from error

    def _issuer_of(self, token: str) -> tuple[dict[str, Any], Issuer]:
        """What the token says of itself, before anything of it is believed. Raises Unauthenticated."""
        if len(token) > TOKEN_MAX:
            raise Unauthenticated("The token is too long.")
        header = jwt.get_unverified_header(token)
        told = jwt.decode(token, options={"verify_signature": False})
        issuer = self.known.get(told["iss"]) if isinstance(told.get("iss"), str) else None
        if issuer is None or header.get("alg") not in issuer.entry.algorithms or header.keys() & {"crit", "b64"}:
            raise Unauthenticated("The token is of an issuer, or signed in a way, that is not trusted here.")
        return header, issuer

    async def _keep_row(self, seen: _Seen) -> None:
        """Commands, links and subscriptions name a token, and ask whether it still holds when they begin."""
        digest = seen.rights.digest
        if self._written.get(digest, 0.0) >= seen.until - EXTEND_SECONDS:
            return
        async with self.pool.connection() as connection, connection.transaction():
            await tokens.keep_issued(connection, seen.rights, seen.until)
        if len(self._written) >= KNOWN_MAX:
            self._written.clear()
        self._written[digest] = seen.until


def read_issuers(pool: Pool, path: str | None) -> Issuers | None:
    """None: there are none. A file that can not be read trusts no issuer, and the log says so."""
    if path is None:
        return None
    try:
        told = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        entries = [IssuerEntry.model_validate(one) for one in told["issuers"]]
        known = {
            one.issuer: Issuer(one, [rule.rule() for rule in one.rules], IssuerKeys(one.jwks_url, one.jwks_path))
            for one in entries
        }
    except Exception as error:
        log.error("the file of issuers can not be used, and none is trusted", path=path, error=str(error))
        return None
    return Issuers(pool, known)
