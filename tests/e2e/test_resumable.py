"""Resumable uploads through the real service, with the published client: what is acknowledged survives SIGKILL."""

import base64
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from tests.fix_service import MountOfTest, Service, until

MIB = 1024 * 1024
LOST = (TusUploadFailed, TusCommunicationError, OSError)


def client_of(service: Service) -> TusClient:
    return TusClient(f"{service.url}/v1/uploads", headers={"Authorization": f"Bearer {service.token}"})


def about(mount: MountOfTest, path: str, **more: str) -> dict[str, str]:
    return {"backendMountId": str(mount.id), "path": path, **more}


_others: set[str] = set()


@pytest.fixture(autouse=True)
def others(service: Service) -> None:
    """What uploads of earlier tests have left is theirs."""
    _others.clear()
    _others.update(waiting(service))


def waiting(service: Service) -> list[str]:
    folder = Path(service.env["FILESTORE_SPOOL_PATH"]) / "uploads"
    return sorted(set(os.listdir(folder) if folder.exists() else []) - _others)


def head(service: Service, url: str) -> httpx2.Response:
    return service.call("HEAD", url.removeprefix(service.url), headers={"Tus-Resumable": "1.0.0"})


def test_a_file_comes_in_pieces_and_goes_out_whole(service: Service, mount: MountOfTest) -> None:
    content = os.urandom(20 * MIB)
    metadata = about(mount, "big.bin", filename="big.bin", filetype="application/zip", metadata='{"n": 1}')
    uploader = client_of(service).uploader(
        file_stream=io.BytesIO(content), chunk_size=6 * MIB, metadata=metadata, upload_checksum=True
    )
    uploader.upload()
    answer = head(service, uploader.url or "")
    node = answer.headers["x-filestore-node"]
    assert service.call("GET", f"/v1/files/{node}/content").content == content
    shown = service.at(mount, "big.bin").json()["data"]
    assert str(shown["id"]) == node and shown["metadata"] == {"n": 1}
    assert service.journal(mount)[0]["commandId"] == answer.headers["x-filestore-command"]
    assert waiting(service) == []


def test_what_was_acknowledged_survives_a_kill(service: Service, mount: MountOfTest) -> None:
    content = os.urandom(50 * MIB)
    uploader = client_of(service).uploader(
        file_stream=io.BytesIO(content), chunk_size=8 * MIB, metadata=about(mount, "f")
    )
    uploader.upload(stop_at=24 * MIB)
    service.kill("api")
    with pytest.raises(LOST):
        uploader.upload()
    service.start("api")
    again = client_of(service).uploader(file_stream=io.BytesIO(content), chunk_size=16 * MIB, url=uploader.url)
    assert again.offset == 24 * MIB
    again.upload()
    assert hashlib.sha256((mount.root / "f").read_bytes()).digest() == hashlib.sha256(content).digest()
    assert waiting(service) == []


@pytest.mark.sampled(1)
@pytest.mark.parametrize("point", ["apply.acted", "api.sealed", "begin.committed", "commit.committed"])
def test_a_kill_at_the_last_step_is_healed_by_asking(service: Service, mount: MountOfTest, point: str) -> None:
    content = os.urandom(MIB)
    service.settle()
    service.kill("api")
    service.start("api", fault=f"{point}=kill")
    uploader = client_of(service).uploader(file_stream=io.BytesIO(content), metadata=about(mount, "f"))
    with pytest.raises(LOST):
        uploader.upload()
    service.kill("api")
    service.start("api")
    assert uploader.url is not None

    def complete() -> bool:
        answer = head(service, uploader.url or "")
        return answer.status_code == 200 and "x-filestore-node" in answer.headers

    assert until(complete)
    assert mount.on_disk() == {"f": content}
    assert [entry["outcome"] for entry in service.journal(mount)] == ["succeeded"], "once"
    assert waiting(service) == []


def test_a_refused_upload_says_why(service: Service, mount: MountOfTest) -> None:
    assert service.upload(mount, "f", b"there").status_code == 201
    uploader = client_of(service).uploader(file_stream=io.BytesIO(b"new"), metadata=about(mount, "f"))
    with pytest.raises(TusUploadFailed) as refused:
        uploader.upload()
    assert refused.value.status_code == 409 and b"NODE_EXISTS" in (refused.value.response_content or b"")
    assert mount.on_disk() == {"f": b"there"}
    client_of(service).uploader(file_stream=io.BytesIO(b"new"), metadata=about(mount, "f", overwrite="true")).upload()
    assert mount.on_disk() == {"f": b"new"} and waiting(service) == []


def test_parts_become_one_file(service: Service, mount: MountOfTest) -> None:
    pieces = [os.urandom(MIB), os.urandom(300_000), b"end"]
    places = []
    for piece in pieces:
        sent_headers: dict[str, Any] = {
            "Tus-Resumable": "1.0.0",
            "Upload-Concat": "partial",
            "Upload-Length": str(len(piece)),
        }
        sent_headers["Content-Type"] = "application/offset+octet-stream"
        places.append(service.call("POST", "/v1/uploads", headers=sent_headers, content=piece).headers["location"])
    named = ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in about(mount, "f").items())
    sent_headers = {"Tus-Resumable": "1.0.0", "Upload-Concat": "final;" + " ".join(places), "Upload-Metadata": named}
    answer = service.call("POST", "/v1/uploads", headers=sent_headers)
    assert answer.status_code == 201, answer.text
    assert mount.on_disk() == {"f": b"".join(pieces)} and waiting(service) == []


def test_a_file_is_written_by_path(service: Service, mount: MountOfTest) -> None:
    for content, status in ((b"one", 201), (os.urandom(MIB), 200)):
        query: dict[str, Any] = {"backendMountId": mount.id, "path": "f"}
        answer = service.call("PUT", "/v1/files/by-path", params=query, content=content)
        assert answer.status_code == status, answer.text
        assert mount.on_disk() == {"f": content}
    stale = service.call("PUT", "/v1/files/by-path", params=query, content=b"x", headers={"If-Match": '"1"'})
    assert stale.status_code == 412 and mount.on_disk() == {"f": content}
