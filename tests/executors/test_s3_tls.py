"""A store behind TLS: everything goes through, and nothing goes to one whose certificate is not trusted."""

import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from activities.executors.s3.bucket import FREE
from activities.executors.s3.errors import ConditionFailed
from activities.executors.s3.executor import S3Executor
from schema.errors import MountOffline
from schema.ids import new_command_id
from schema.paths import NodePath
from tests.fix_s3 import S3Mount, S3Server

CONTENT = bytes(range(256)) * 40_000
"""More than goes in one piece"""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def behind_tls(server: S3Server, context: ssl.SSLContext) -> Iterator[str]:
    """The port of a server that takes TLS off and passes everything on."""
    place = urlsplit(server.endpoint)
    listener = socket.create_server(("127.0.0.1", 0))

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve(bare: socket.socket) -> None:
        with (
            suppress(OSError),
            context.wrap_socket(bare, server_side=True) as client,
            socket.create_connection((place.hostname or "", place.port or 0)) as upstream,
        ):
            back = threading.Thread(target=pass_on, args=(upstream, client), daemon=True)
            back.start()
            pass_on(client, upstream)
            back.join()

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield str(listener.getsockname()[1])
    finally:
        listener.close()


@pytest.fixture
def port(s3_server: S3Server, authority: trustme.CA) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with behind_tls(s3_server, context) as port:
        yield port


def opened(mount: S3Mount, endpoint: str, bundle: str | None) -> S3Executor:
    config = mount.server.config | {"endpoint": endpoint} | ({"caBundle": bundle} if bundle else {})
    return S3Executor(mount.bucket, mount.prefix, mount.uuid, config, mount.server.secrets, mount.spool)


@pytest.mark.parametrize("as_text", [True, False], ids=["text", "file"])
def test_everything_goes_through(
    s3_mount: S3Mount, port: str, authority: trustme.CA, tmp_path: Path, as_text: bool
) -> None:
    pem = authority.cert_pem.bytes()
    (tmp_path / "ca.pem").write_bytes(pem)
    executor = opened(s3_mount, f"https://localhost:{port}", pem.decode() if as_text else str(tmp_path / "ca.pem"))
    executor.check()
    bucket, key = executor.store.bucket, executor.store.keys.of(NodePath(b"f"))
    made = bucket.put(key, CONTENT, hashlib.sha256(CONTENT).digest(), {}, FREE)
    with pytest.raises(ConditionFailed):
        bucket.put(key, b"other", hashlib.sha256(b"other").digest(), {}, FREE)
    seen = bucket.head(key)
    assert seen is not None and (seen.etag, seen.size) == (made.etag, len(CONTENT))
    assert bucket.read(key, 5, len(CONTENT), made)[0] == CONTENT[5:]
    twin = bucket.copy(seen, key + "-twin", {}, FREE)
    assert sorted(one.key for one in bucket.every(key)) == [key, key + "-twin"]
    bucket.delete(twin.key, twin.etag)
    assert [one.key for one in bucket.every(key)] == [key]
    content = executor.open(NodePath(b"f"))
    assert content.read(0, 100) == CONTENT[:100]
    content.close()


def test_a_large_upload_goes_in_parts(s3_mount: S3Mount, port: str, authority: trustme.CA) -> None:
    executor = opened(s3_mount, f"https://localhost:{port}", authority.cert_pem.bytes().decode())
    writer = executor.open_stage(new_command_id(), NodePath(b"large"))
    for _ in range(3):
        writer.write(CONTENT)
    staged = writer.close()
    assert staged.sha256 == hashlib.sha256(CONTENT * 3).digest()


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(s3_mount: S3Mount, port: str) -> None:
    with pytest.raises(MountOffline, match="certificate"):
        opened(s3_mount, f"https://localhost:{port}", None).check()


def test_a_certificate_of_another_host_is_not_trusted(s3_mount: S3Mount, port: str, authority: trustme.CA) -> None:
    with pytest.raises(MountOffline, match="certificate"):
        opened(s3_mount, f"https://127.0.0.1:{port}", authority.cert_pem.bytes().decode()).check()


def test_a_server_that_does_not_speak_it_is_a_failed_connection(s3_mount: S3Mount, authority: trustme.CA) -> None:
    place = urlsplit(s3_mount.server.endpoint)
    with pytest.raises(MountOffline, match="connection"):
        opened(s3_mount, f"https://localhost:{place.port}", authority.cert_pem.bytes().decode()).check()
