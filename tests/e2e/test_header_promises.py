"""What headers are promised to hold fits into what all headers together may have, by the settings as they come."""

import base64
import json
import uuid

import pytest

from api.http.fields import HEADER_METADATA_MAX, KEY_MAX
from api.http.media import NAME_MAX
from api.uploads.tus.protocol import PARTS_MAX
from schema.paths import PATH_MAX
from tests.e2e.test_commands import refused, result
from tests.fix_service import MountOfTest, Service

TUS = {"Tus-Resumable": "1.0.0"}
USUAL = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Accept": "*/*", "Accept-Encoding": "gzip, deflate, br, zstd", "Accept-Language": "en-US,en;q=0.9,de;q=0.8",
    "Referer": "https://files.example/" + "x" * 200, "Origin": "https://files.example",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Request-Id": "r" * 128,
    "X-Correlation-Id": "c" * 255,
}  # fmt: skip
"""What a browser sends beside them"""


def spelled(size: int) -> str:
    """Metadata of exactly so many bytes."""
    return json.dumps({"a": "x" * (size - len(json.dumps({"a": ""})))})


def keys(**values: str | int) -> str:
    pairs = (f"{name} {base64.b64encode(str(value).encode()).decode()}" for name, value in values.items())
    return ",".join(pairs)


def test_an_upload_can_name_as_many_parts_as_it_may_be_made_of(service: Service, mount: MountOfTest) -> None:
    sent_headers = TUS | USUAL | {"Upload-Metadata": keys(backendMountId=mount.id, path="whole")}

    def put_together(parts: int) -> dict[str, object]:
        places = " ".join(f"/v1/uploads/{uuid.uuid4()}" for _ in range(parts))
        answer = service.call("POST", "/v1/uploads", headers=sent_headers | {"Upload-Concat": f"final;{places}"})
        return {"status": answer.status_code, **answer.json()["error"]}

    assert put_together(PARTS_MAX)["message"] == "One of the parts is not there.", "all of them were looked for"
    more = put_together(PARTS_MAX + 1)
    assert (more["status"], more["code"]) == (400, "INVALID_REQUEST") and str(PARTS_MAX) in str(more["message"])


@pytest.mark.slow
def test_a_file_is_made_of_as_many_parts_as_promised(service: Service, mount: MountOfTest) -> None:
    sent_headers = TUS | {
        "Content-Type": "application/offset+octet-stream",
        "Upload-Concat": "partial",
        "Upload-Length": "1",
    }
    places = []
    for number in range(PARTS_MAX):
        answer = service.call("POST", "/v1/uploads", headers=sent_headers, content=bytes([number % 251]))
        assert answer.status_code == 201, answer.text
        places.append(answer.headers["location"])
    about = {
        "Upload-Metadata": keys(backendMountId=mount.id, path="whole"),
        "Upload-Concat": f"final;{' '.join(places)}",
    }
    answer = service.call("POST", "/v1/uploads", headers=TUS | USUAL | about)
    assert answer.status_code == 201, answer.text
    assert mount.on_disk() == {"whole": bytes(number % 251 for number in range(PARTS_MAX))}
    assert (
        service.call("HEAD", answer.headers["location"], headers=TUS).headers["upload-concat"].count("/v1/")
        == PARTS_MAX
    )


def test_metadata_of_the_promised_size_comes_in_a_header(service: Service, mount: MountOfTest) -> None:
    encoded = base64.b64encode(spelled(HEADER_METADATA_MAX).encode()).decode()
    where = f"/v1/files/by-path?backendMountId={mount.id}&path=a"
    result(service.call("PUT", where, content=b"x", headers=USUAL | {"x-filestore-metadata": encoded}), 201)
    encoded = base64.b64encode(spelled(HEADER_METADATA_MAX + 1).encode()).decode()
    answer = service.call("PUT", where, content=b"y", headers=USUAL | {"x-filestore-metadata": encoded})
    assert "form" in refused(answer, 413, "PAYLOAD_TOO_LARGE")["message"]
    assert mount.on_disk() == {"a": b"x"}


def test_all_that_an_announcement_may_hold_fits_at_once(service: Service, mount: MountOfTest) -> None:
    path = "/".join(["d" * 255] * (PATH_MAX // 256))
    about = keys(
        backendMountId=mount.id, path=path, pathB64=base64.b64encode(path.encode()).decode(), filename="é" * NAME_MAX,
        filetype="text/plain; charset=utf-8", metadata=spelled(HEADER_METADATA_MAX), idempotencyKey="k" * KEY_MAX,
        overwrite="true",
    )  # fmt: skip
    answer = service.call("POST", "/v1/uploads", headers=TUS | USUAL | {"Upload-Length": "1", "Upload-Metadata": about})
    assert answer.status_code == 201, answer.text
    where = answer.headers["location"]
    assert service.call("HEAD", where, headers=TUS).headers["upload-metadata"] == about
    assert service.call("DELETE", where, headers=TUS).status_code == 204
