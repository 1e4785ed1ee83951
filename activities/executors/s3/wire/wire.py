"""Requests to one bucket, signed and sent here: what commands and content ask for, many times a second.

boto3 knows where a bucket is and our credentials; it is asked for both, once or whenever credentials change. What it would do
for each request takes a millisecond of this process, ten times as long as all of it takes here (decision 19). Nothing is
tried twice: the workflow does that.
"""

from __future__ import annotations

import errno
import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

from botocore.awsrequest import AWSPreparedRequest, HeadersDict
from botocore.exceptions import NoCredentialsError
from botocore.httpsession import URLLib3Session, get_cert_path
from botocore.utils import get_environ_proxies

from activities.executors.s3.errors import answered, explaining
from activities.executors.s3.wire.line import Content, WireAnswer, WireLine, trusting
from activities.executors.s3.wire.signature import Credentials, encoded_query, signed

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

NOTHING = hashlib.sha256(b"").hexdigest()
_CODE = re.compile(rb"<Code>([^<]*)</Code>")
_UNSIGNED = {"accept-encoding": "identity", "user-agent": "filestore"}
"""Headers that are not signed: the store does not need them, and some proxies change them."""

Send = Callable[[str, str, Mapping[str, str], Content], WireAnswer]
"""Method, path with query, headers, body."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a bucket is asked for."""

    origin: str
    path: str
    """Before each key: the bucket's name, where its host does not say it"""
    region: str


@dataclass(frozen=True)
class Patience:
    connect_seconds: float
    read_seconds: float


class Wire:
    def __init__(
        self,
        place: Callable[[], Endpoint],
        credentials: Callable[[], Credentials | None],
        verify: Any,
        connections: int,
        patience: Patience,
    ) -> None:
        """Sends no request yet. `verify`: certificates as botocore takes them."""
        self._find_place, self._credentials = place, credentials
        self._verify, self._connections, self._patience = verify, connections, patience
        self._known: tuple[Endpoint, str, Send] | None = None
        self._guard = threading.Lock()

    def ask(
        self,
        method: str,
        key: str | None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Content = b"",
        sha256: str = NOTHING,
    ) -> WireAnswer:
        """`key` None: the bucket itself. `sha256` is of the body. Raises what an answer that is no success means."""
        with explaining():
            credentials = self._credentials()
            if credentials is None:
                raise NoCredentialsError()
            place, host, send = self._known or self._find()
            path = place.path if key is None else f"{place.path.rstrip('/')}/{quote(key)}"
            asked = encoded_query(query) if query else ""
            sent = signed(credentials, place.region, method, path, asked, {"host": host, **(headers or {})}, sha256)
            answer = send(method, f"{path}?{asked}" if asked else path, sent, body)
        if answer.status >= 300:
            raise answered(answer.status, code_of(answer.body), method)
        return answer

    def _find(self) -> tuple[Endpoint, str, Send]:
        with self._guard:
            if self._known is None:
                place = self._find_place()
                proxies = get_environ_proxies(place.origin)
                send = self._through(place.origin, proxies) if proxies else self._straight(place.origin)
                self._known = place, urlsplit(place.origin).netloc, send
            return self._known

    def _straight(self, origin: str) -> Send:
        url = urlsplit(origin)
        secret = url.scheme == "https"
        line = WireLine(
            url.hostname or "",
            url.port or (443 if secret else 80),
            (lambda: trusting(str(get_cert_path(self._verify)))) if secret else None,
            most=self._connections,
            connect_seconds=self._patience.connect_seconds,
            read_seconds=self._patience.read_seconds,
        )

        def send(method: str, target: str, headers: Mapping[str, str], body: Content) -> WireAnswer:
            lines = [f"{name}: {value}" for name, value in (*headers.items(), *_UNSIGNED.items())]
            if any("\n" in line or "\r" in line for line in lines):
                raise OSError(errno.EINVAL, "a header can not have two lines")
            head = "\r\n".join((f"{method} {target} HTTP/1.1", *lines, f"content-length: {len(body)}", "", ""))
            return line.ask(head.encode("latin-1"), body, answer_has_body=method != "HEAD")

        return send

    def _through(self, origin: str, proxies: Mapping[str, str]) -> Send:
        """For a host that has to go through a proxy: send the request as boto3 does."""
        patience: Any = (self._patience.connect_seconds, self._patience.read_seconds)
        session = URLLib3Session(self._verify, proxies, patience, self._connections)

        def send(method: str, target: str, headers: Mapping[str, str], body: Content) -> WireAnswer:
            sent: Any = HeadersDict({**headers, **_UNSIGNED})
            request = AWSPreparedRequest(method, origin + target, sent, bytes(body), False)
            answer = session.send(request)
            headers_in = {str(name).lower(): str(value) for name, value in answer.headers.items()}
            return WireAnswer(answer.status_code, headers_in, answer.content)

        return send


def code_of(body: bytes) -> str:
    """The code of an error, as the store names it."""
    found = _CODE.search(body)
    return found[1].decode("latin-1").strip() if found else ""


def place_of(client: S3Client, bucket: str) -> Endpoint:
    """Where the client asks for this bucket, and for which region it signs. Asks the store for nothing."""
    url = urlsplit(client.generate_presigned_url("head_bucket", Params={"Bucket": bucket}, ExpiresIn=60))
    _, _, region, _, _ = parse_qs(url.query)["X-Amz-Credential"][0].rsplit("/", 4)
    return Endpoint(f"{url.scheme}://{url.netloc}", url.path or "/", region)
