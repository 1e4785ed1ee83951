"""One signed S3 request without a body: all that the dev stack asks of an S3 server."""

import hashlib
import hmac
import http.client
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class StackAccount:
    endpoint: str
    region: str
    key: str
    secret: str


def s3_request(account: StackAccount, method: str, path: str, accepted: tuple[int, ...] = (200,)) -> bytes:
    """Raises ConnectionError with the server's words when the status is none of the accepted ones."""
    place = urlsplit(account.endpoint)
    client = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = client(place.netloc, timeout=5)
    try:
        connection.request(method, path, headers=_signed(account, method, path, place.netloc))
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status not in accepted:
        raise ConnectionError(f"{method} {path} answered {answer.status}: {body[:300].decode(errors='replace')}")
    return body


def _signed(account: StackAccount, method: str, path: str, host: str) -> dict[str, str]:
    """AWS Signature Version 4, for a path that needs no escaping and no query."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-content-sha256": EMPTY, "x-amz-date": now}
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = "\n".join([method, path, "", lines, names, EMPTY])
    scope = f"{now[:8]}/{account.region}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{account.secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={account.key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers
