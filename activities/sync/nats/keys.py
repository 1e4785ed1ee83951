"""Keys and tokens of NATS' decentralised authentication, without its tools: nkeys (Ed25519 in base32 with a checksum) and the JWTs
that they sign."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import time
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SEED = 18 << 3


class KeyKind(IntEnum):
    OPERATOR = 14 << 3
    ACCOUNT = 0
    USER = 20 << 3


class NatsKey:
    """A pair of keys. `raw`: 32 bytes that nobody else knows."""

    def __init__(self, kind: KeyKind, raw: bytes) -> None:
        self._kind, self._raw = kind, raw
        self._private = Ed25519PrivateKey.from_private_bytes(raw)

    @classmethod
    def fresh(cls, kind: KeyKind) -> NatsKey:
        return cls(kind, os.urandom(32))

    @classmethod
    def derived(cls, kind: KeyKind, secret: bytes, *names: str) -> NatsKey:
        """The same for the same secret and names."""
        told = json.dumps([kind.name, *names]).encode()
        return cls(kind, hashlib.blake2b(told, key=hashlib.sha256(secret).digest(), digest_size=32).digest())

    @property
    def public(self) -> str:
        return _encoded(bytes([self._kind]) + self._private.public_key().public_bytes_raw())

    @property
    def seed(self) -> str:
        """With it everything can be signed that the key signs."""
        return _encoded(bytes([_SEED | self._kind >> 5, (self._kind & 31) << 3]) + self._raw)

    def sign(self, text: bytes) -> bytes:
        return self._private.sign(text)

    def token(self, subject: str, name: str, claims: Mapping[str, Any], seconds: float | None = None) -> str:
        """What this key says of another one, for so long."""
        now = int(time.time())
        said: dict[str, Any] = {
            "jti": "",
            "iat": now,
            "iss": self.public,
            "name": name,
            "sub": subject,
            "nats": dict(claims),
        }
        if seconds is not None:
            said["exp"] = now + int(seconds)
        digest = hashlib.new("sha512_256", _json(said)).digest()
        said["jti"] = base64.b32encode(digest).decode().rstrip("=")
        text = f"{_b64(_json({'typ': 'JWT', 'alg': 'ed25519-nkey'}))}.{_b64(_json(said))}"
        return f"{text}.{_b64(self.sign(text.encode()))}"


def _encoded(raw: bytes) -> str:
    checked = raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(checked).decode().rstrip("=")


def _json(said: object) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode()


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
