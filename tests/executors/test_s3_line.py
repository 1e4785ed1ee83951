"""The requests we sign and send ourselves: the signature is the library's, and a line says honestly how it ended."""

import base64
import gc
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from activities.executors.contract.task import Done
from activities.executors.s3.errors import Broken
from activities.executors.s3.wire import line as s3_line
from activities.executors.s3.wire.line import WireLine
from activities.executors.s3.wire.signature import Credentials, encoded_query, signed
from schema.errors import MountOffline
from tests.executors.bench_s3 import OutsideBucket
from tests.executors.conftest import Bench
from tests.fix_s3 import S3Mount
from tests.fix_s3_proxy import S3Proxy

# -- the signature -----------------------------------------------------------------------------------------------------

CASES: dict[str, tuple[str, str, dict[str, str], dict[str, str], str | None]] = {
    "a put": ("PUT", "a/b", {}, {"if-none-match": "*", "content-type": "text/plain", "x-amz-meta-a": "b"}, None),
    "a name": ("GET", "a b/ü~%+&=;'()*!$@:,.txt", {}, {"range": "bytes=0-9"}, None),
    "a query": (
        "GET",
        "",
        {"prefix": "a/b c+ü&=", "list-type": "2", "max-keys": "1", "encoding-type": "url"},
        {},
        None,
    ),
    "an empty value": ("POST", "key", {"uploads": "", "versionId": "a/b=="}, {}, None),
    "spaces": ("PUT", "key", {}, {"x-amz-meta-a": "  many   of \t them "}, None),
    "a token": ("HEAD", "a//b/../c", {}, {"x-amz-checksum-mode": "ENABLED"}, "a+token/=="),
}


@pytest.mark.parametrize("case", CASES)
def test_a_signature_is_the_one_the_library_makes(case: str) -> None:
    method, key, query, headers, token = CASES[case]
    path, sha256 = f"/bucket/{quote(key)}", hashlib.sha256(b"body").hexdigest()
    ours = signed(
        Credentials("key", "secret", token), "eu-north-1", method, path, encoded_query(query),
        {"host": "s3.example:9000", **headers}, sha256,
    )  # fmt: skip
    url = f"http://s3.example:9000{path}" + (f"?{encoded_query(query)}" if query else "")
    request = AWSRequest(method, url, headers=dict(headers), data=b"body")
    request.context["payload_signing_enabled"] = True
    request.context["timestamp"] = ours["x-amz-date"]
    auth: Any = S3SigV4Auth(ReadOnlyCredentials("key", "secret", token), "s3", "eu-north-1")
    request.headers["X-Amz-Date"], request.headers["X-Amz-Content-SHA256"] = ours["x-amz-date"], sha256
    if token:
        request.headers["X-Amz-Security-Token"] = token
    text = auth.string_to_sign(request, auth.canonical_request(request))
    names = auth.signed_headers(auth.headers_to_sign(request))
    assert f"SignedHeaders={names}, Signature={auth.signature(text, request)}" in ours["authorization"]


def test_no_secret_stands_in_the_repr_of_credentials() -> None:
    assert "canary" not in repr(Credentials("key", "canary", "canary"))


# -- the line ----------------------------------------------------------------------------------------------------------

Serve = Callable[[socket.socket, int], object]


@contextmanager
def served(serve: Serve, read_seconds: float = 5.0) -> Iterator[WireLine]:
    """A line to a server that does this with each connection, which it is given with its number."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        number = 0
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                serve(connection, number)
            number += 1

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    host, port = listener.getsockname()
    yield WireLine(host, port, None, most=2, connect_seconds=2, read_seconds=read_seconds)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def answering(*answers: bytes) -> Serve:
    """One after the other, on one connection, each in pieces of a byte."""

    def serve(connection: socket.socket, number: int) -> None:
        for answer in answers:
            if not connection.recv(65536):
                return
            for at in range(len(answer)):
                connection.sendall(answer[at : at + 1])

    return serve


def ask(line: WireLine, method: str = "GET", body: bytes = b"") -> s3_line.WireAnswer:
    head = f"{method} / HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    return line.ask(head, body, answer_has_body=method != "HEAD")


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Name: a: b\r\n\r\nwhole"


def test_an_answer_of_known_length() -> None:
    with served(answering(WHOLE, WHOLE)) as line:
        for _ in range(2):
            answer = ask(line)
            assert (answer.status, answer.body, answer.headers["x-name"]) == (200, b"whole", "a: b")


def test_an_answer_in_chunks() -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with served(answering(chunks, WHOLE)) as line:
        assert ask(line).body == b"abcde"
        assert ask(line).body == b"whole"


def test_an_answer_to_head_says_a_length_and_has_no_body() -> None:
    with served(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", WHOLE)) as line:
        assert ask(line, "HEAD").headers["content-length"] == "7"
        assert ask(line).body == b"whole"


def test_an_answer_before_the_answer_is_none() -> None:
    with served(answering(b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n" + WHOLE)) as line:
        answer = ask(line)
        assert (answer.status, answer.body) == (200, b"whole") and "x-early" not in answer.headers


def test_an_answer_without_a_body_and_one_that_ends_the_connection() -> None:
    with served(answering(b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\nuntil the end")) as line:
        assert (ask(line, "DELETE").status, ask(line).body) == (204, b"until the end")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nonly",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly",
        b"this is no HTTP\r\n\r\n",
    ],
    ids=["nothing", "half a head", "half a body", "half a chunk", "something else"],
)
def test_an_answer_that_ends_before_its_end_is_broken(answer: bytes) -> None:
    with served(answering(answer)) as line, pytest.raises(Broken):
        ask(line)


def test_a_silent_server_is_waited_for_as_long_as_was_said() -> None:
    silent = threading.Event()
    with served(lambda connection, number: silent.wait(5), read_seconds=0.2) as line:
        with pytest.raises(TimeoutError):
            ask(line)
        silent.set()


def test_nobody_there_is_broken() -> None:
    with served(answering()) as line:
        pass
    with pytest.raises(Broken):
        ask(line)


def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_line, "RESTED_SECONDS", 0.0)
    closed = threading.Event()

    def serve(connection: socket.socket, number: int) -> None:
        answering(WHOLE)(connection, number)
        connection.close()
        closed.set()

    with served(serve) as line:
        for _ in range(3):
            closed.clear()
            assert ask(line).body == b"whole"
            assert closed.wait(5)


def test_a_refusal_in_the_middle_of_a_large_body_is_heard() -> None:
    def serve(connection: socket.socket, number: int) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 20):
            pass

    with served(serve) as line:
        answer = ask(line, "PUT", bytes(16 << 20))
        assert (answer.status, answer.body) == (403, b"no")


def test_an_answer_does_not_wait_for_the_garbage_collector() -> None:
    """One holds megabytes, and a reader asks for many."""
    gc.collect()
    gc.disable()
    try:
        with served(answering(WHOLE)) as line:
            assert ask(line).body == b"whole"
        assert not [one for one in gc.get_objects() if type(one).__name__ == "_Reading"]
    finally:
        gc.enable()


# -- through a proxy ---------------------------------------------------------------------------------------------------


def test_a_host_that_has_to_use_a_proxy_does(
    s3_mount: S3Mount, s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy of the tests stands in for one: it is asked for whole URLs then, which SeaweedFS takes as well."""
    monkeypatch.setenv("HTTP_PROXY", s3_proxy.endpoint)
    monkeypatch.setenv("NO_PROXY", "")
    executor = s3_mount.open()
    bench = Bench(executor, OutsideBucket(executor))
    assert isinstance(bench.done(bench.create(b"file", b"content")), Done)
    assert any(target.startswith(s3_mount.server.endpoint) for _, target in s3_proxy.asked)
    monkeypatch.delenv("HTTP_PROXY")
    assert OutsideBucket(s3_mount.open()).read(b"file") == b"content"


def test_a_header_of_two_lines_is_never_sent(s3_mount: S3Mount, s3_proxy: S3Proxy) -> None:
    wire = s3_mount.open(s3_proxy.endpoint).store.bucket.wire
    with pytest.raises(OSError, match="two lines"):
        wire.ask("HEAD", "key", headers={"x-amz-meta-a": "b\r\nx-other: c"})
    assert s3_proxy.asked == []


def test_a_large_part_is_signed_by_the_hash_that_is_known(s3_mount: S3Mount) -> None:
    """And another one is refused by the store."""
    bucket = s3_mount.open().store.bucket
    content = bytes(6 << 20)
    key = f"{s3_mount.prefix}/big"
    upload = bucket.begin_parts(key, {})
    part = bucket.put_part(key, upload, 1, content, hashlib.sha256(content).digest())
    assert base64.b64decode(part.checksum) == hashlib.sha256(content).digest()
    with pytest.raises((OSError, MountOffline)):
        bucket.put_part(key, upload, 2, content, hashlib.sha256(b"other").digest())
    bucket.abort_parts(key, upload)
