"""A share link: what it says, its signature, and what it may do now. Pure."""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from schema.access.actions import Action
from schema.access.decision import Access, may
from schema.access.patterns import Pattern
from schema.access.rules import GrantRule
from schema.ids import MountId
from schema.paths import ROOT, NodePath

_TEXT = re.compile(r"([1-9][0-9]{0,17})-([A-Za-z0-9_-]{43})")
_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}
_SALT = 16


class LinkKind(StrEnum):
    READ = "read"
    """The content of one file"""
    LIST = "list"
    """What lies in a folder and below it: names, kinds, sizes and times"""
    UPLOAD = "upload"
    """New files into one folder"""


@dataclass(frozen=True, slots=True)
class ShareLink:
    """What its signature is of: none of this changes."""

    id: int
    tenant: str
    mount: MountId
    path: NodePath
    kind: LinkKind
    expires_at: datetime | None
    max_uses: int | None
    project: int | None = None
    """The path is one of this project, and the mount is where that is cold"""

    @property
    def place(self) -> NodePath:
        """What its maker has to have rights on: of a project all of its mount."""
        return self.path if self.project is None else ROOT

    @property
    def action(self) -> Action:
        return "write" if self.kind is LinkKind.UPLOAD else "read"

    @property
    def is_tree(self) -> bool:
        return self.kind is not LinkKind.READ or self.project is not None

    @property
    def name(self) -> str:
        """As a principal"""
        return f"link:{self.id}"

    def text(self, key: str) -> str:
        """What stands in its address."""
        return f"{self.id}-{self._signature(key)}"

    def _signature(self, key: str) -> str:
        expires = "" if self.expires_at is None else self.expires_at.astimezone(UTC).isoformat()
        fields: tuple[object, ...] = (
            self.id,
            self.tenant,
            self.mount,
            self.path.raw.hex(),
            self.kind.value,
            expires,
            self.max_uses,
        )
        fields += () if self.project is None else (self.project,)
        signed = "\n".join(["filestore link", *map(str, fields)]).encode()
        return urlsafe_b64encode(hmac.digest(key.encode(), signed, "sha256")).decode().rstrip("=")

    def is_signed(self, key: str, signature: str) -> bool:
        return hmac.compare_digest(self._signature(key).encode(), signature.encode())


def new_key() -> str:
    return secrets.token_hex(32)


def parse(text: str) -> tuple[int, str] | None:
    """Id and signature; None: it is no link."""
    found = _TEXT.fullmatch(text)
    return None if found is None else (int(found[1]), found[2])


def may_make(maker: Access, link: ShareLink) -> bool:
    """Whether the one who makes a link may do all of what it is for; asked again at each use."""
    asked: tuple[Action, ...] = ("share", link.action)
    return all(may(maker, one, link.mount, link.place, tree=link.is_tree).allowed for one in asked)


def access_of(maker: Access, link: ShareLink) -> Access:
    """What the link may do now: at its place its one action, and nothing that is denied to its maker."""
    actions: frozenset[Action] = frozenset({link.action})
    if (
        not may_make(maker, link) or link.project is not None
    ):  # a project is read by itself: nothing of its mount is given
        return Access(frozenset(), [], narrowed=True)
    denied = [rule for rule in maker.rules if rule.effect == "deny"]
    here = GrantRule("allow", link.mount, Pattern(link.path.text, link.path), frozenset({link.action, "read"}))
    return Access(actions, [here, *denied], narrowed=True)


def hash_password(password: str) -> str:
    """Takes some 50 ms."""
    salt = secrets.token_bytes(_SALT)
    return f"scrypt:{salt.hex()}:{_scrypt(password, salt).hex()}"


def is_password(stored: str, password: str) -> bool:
    _, salt, hashed = stored.split(":")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)).hex(), hashed)


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, maxmem=2**26, **_SCRYPT)
