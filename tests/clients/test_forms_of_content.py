"""Checksums, downloads and links in the exact forms that existing clients compare or parse."""

import hashlib

import pytest

from tests.clients.apphub import AppHub, AppHubError
from tests.fix_service import MountOfTest, Service

SHA256 = hashlib.sha256(b"abc").hexdigest()
MD5 = hashlib.md5(b"abc").hexdigest()
HEADERS = ("x-filestore-checksum", "x-filestore-content-hash")


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(
    ("text", "refusal"),
    [(SHA256, None), (f"sha256:{SHA256}", None), (f"SHA256:{SHA256.upper()}", None), (f"md5:{MD5}", None), (MD5, None),
     *((wrong, "422 CHECKSUM_MISMATCH") for wrong in ("deadbeef", "sha256:deadbeef", "md5:00", "0" * 64, f"sha1:{SHA256}")),
     ("crc32:deadbeef", "400 INVALID_CHECKSUM"), (f"sha512:{SHA256}", "400 INVALID_CHECKSUM")],
)  # fmt: skip
def test_a_value_that_differs_is_422_whatever_its_length(
    service: Service, mount: MountOfTest, header: str, text: str, refusal: str | None
) -> None:
    client = AppHub(service)
    if refusal is None:
        assert client.upload_file(mount.id, "f", b"abc", headers={header: text}).result.content_hash == SHA256
        return
    with pytest.raises(AppHubError, match=refusal):
        client.upload_file(mount.id, "f", b"abc", headers={header: text})
    assert mount.on_disk() == {}


def test_a_download_tells_bare_hexadecimal_digits(service: Service, mount: MountOfTest) -> None:
    client = AppHub(service)
    node = client.upload_file(mount.id, "f", b"abc", headers={"x-filestore-checksum": f"md5:{MD5}"}).result.node_id
    answer = service.call("GET", f"/v1/files/{node}/content")
    assert answer.content == b"abc" and [answer.headers[name] for name in HEADERS] == [MD5, SHA256]
    assert answer.headers["etag"].startswith('"') and answer.headers["accept-ranges"] == "bytes"
    part = service.call("GET", f"/v1/files/{node}/content", headers={"Range": "bytes=1-1"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"b", "bytes 1-1/3")
    beyond = service.call("GET", f"/v1/files/{node}/content", headers={"Range": "bytes=9-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */3")


def test_a_directory_has_no_content_and_a_disk_no_links(service: Service, mount: MountOfTest) -> None:
    client = AppHub(service)
    directory = client.create_directory(mount.id, "a").result.node_id
    assert service.call("GET", f"/v1/files/{directory}/content").status_code == 409
    file = client.upload_file(mount.id, "f", b"abc").result.node_id
    with pytest.raises(AppHubError, match="400 NOT_SUPPORTED"):
        client.presign(file)
