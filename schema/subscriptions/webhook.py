"""A message of a webhook as Standard Webhooks 1.0 has it (https://www.standardwebhooks.com): its id, body and signature."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence

SECRET_BYTES = 32
_PREFIX = "whsec_"


def new_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def message_id(subscription: str, position: int) -> str:
    """The same for every attempt: a receiver that has seen it does not act twice."""
    return f"msg_{subscription.replace('-', '')}_{position}"


def body_of(type: str, position: int, data: str, at: str) -> bytes:
    """`cursor` is where the feed goes on behind this event."""
    return f'{{"type":{json.dumps(type)},"timestamp":{json.dumps(at)},"cursor":"{position}","data":{data}}}'.encode()


def signature(secret: str, id: str, timestamp: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def headers(held: Sequence[str], id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """`held`: the secret, and the one before it while that still counts."""
    return {
        "content-type": "application/json",
        "user-agent": "Filestore-Webhooks/1",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, id, timestamp, body) for secret in held),
    }
