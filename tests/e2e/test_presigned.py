"""Uploads straight to a bucket, through the real service: nothing is visible before they are complete, and then all at once."""

import hashlib
import os
import threading
import time
import uuid
from contextlib import suppress
from typing import Any

import httpx2
import psycopg
import pytest

from tests.e2e.test_commands import refused, result
from tests.fix_s3 import S3Server
from tests.fix_s3_proxy import Fault, S3Proxy
from tests.fix_s3_service import MountInBucket, make_bucket_mount
from tests.fix_service import MountOfTest, Service, check_mount, until

CONTENT = b"straight to the bucket"
LARGE = os.urandom(1 << 20) * 20


def announce(service: Service, mount: MountOfTest, path: str, content: bytes = CONTENT, **body: Any) -> httpx2.Response:
    announced = {"sizeBytes": len(content), "contentHash": f"sha256:{hashlib.sha256(content).hexdigest()}"}
    asked = {"backendMountId": mount.id, "path": path, **announced, **body}
    return service.call("POST", "/v1/uploads/presign", json=asked)


def put(link: dict[str, Any], content: bytes = CONTENT) -> int:
    """What a client does that knows nothing of this service but the link."""
    headers = link["headers"] | {"content-length": str(len(content))}
    return httpx2.request(link["method"], link["url"], content=content, headers=headers).status_code


def uploaded(service: Service, mount: MountOfTest, path: str, content: bytes = CONTENT, **body: Any) -> str:
    link = result(announce(service, mount, path, content, **body), 201)
    assert put(link, content) == 200
    return str(link["uploadId"])


def complete(service: Service, upload: str, **options: Any) -> httpx2.Response:
    return service.call("POST", f"/v1/uploads/{upload}/complete", **options)


def shown(service: Service, upload: str) -> dict[str, Any]:
    document: dict[str, Any] = result(service.call("GET", f"/v1/uploads/{upload}"), 200)
    return document


def stages(s3: MountInBucket) -> list[str]:
    return [key.rpartition("/")[2] for key in s3.every_key(".filestore/stage/")]


@pytest.mark.parametrize("content", [CONTENT, b"", LARGE], ids=["small", "empty", "large"])
def test_what_a_client_put_there_becomes_a_file(service: Service, each_s3: MountInBucket, content: bytes) -> None:
    s3 = each_s3
    announced = announce(
        service, s3, "f.csv", content, contentType="text/csv", metadata={"n": 1}, idempotencyKey=f"k{s3.id}"
    )
    link = result(announced, 201)
    assert announced.headers["cache-control"] == "no-store" and link["method"] == "PUT"
    assert put(link, content) == 200
    assert s3.on_disk() == {} and stages(s3) == [link["uploadId"]], "it lies where no listing shows it"
    refused(service.at(s3, "f.csv"), 404, "NODE_NOT_FOUND")
    assert service.journal(s3, path="f.csv") == []
    done = complete(service, link["uploadId"])
    node = result(done, 201)["node"]
    digest = hashlib.sha256(content).hexdigest()
    assert (node["sizeBytes"], node["contentHash"], node["metadata"]) == (len(content), digest, {"n": 1})
    assert s3.on_disk() == {"f.csv": content} and until(lambda: stages(s3) == [])
    got = service.call("GET", f"/v1/files/{node['id']}/content")
    assert got.content == content and got.headers["content-type"].startswith("text/csv")
    [entry] = service.journal(s3, path="f.csv")
    assert (entry["key"], entry["outcome"]) == (f"k{s3.id}", "succeeded")
    again = result(complete(service, link["uploadId"]), 200)
    assert again["idempotent"] is True and again["journalEntryId"] == entry["id"]
    told_of = shown(service, link["uploadId"])
    assert (told_of["state"], told_of["kind"], told_of["commandId"]) == ("done", "direct", entry["commandId"])


def test_a_file_is_replaced_only_where_that_is_wanted(service: Service, each_s3: MountInBucket) -> None:
    s3 = each_s3
    node = result(service.upload(s3, "f", b"old"), 201)["node"]["id"]
    taken = uploaded(service, s3, "f")
    refused(complete(service, taken), 409, "NODE_EXISTS")
    refused(complete(service, taken), 409, "NODE_EXISTS")
    assert shown(service, taken)["state"] == "refused" and until(lambda: stages(s3) == [])
    refused(complete(service, uploaded(service, s3, "f", ifMatch=7)), 412, "VERSION_CONFLICT")
    data = result(complete(service, uploaded(service, s3, "f", ifMatch=1)), 200)
    assert (data["node"]["id"], data["node"]["version"]) == (node, 2)
    assert s3.on_disk() == {"f": CONTENT} and s3.in_trash() == [b"old"]
    refused(complete(service, uploaded(service, s3, "f", overwrite=True, ifNoneMatch="*")), 409, "NODE_EXISTS")
    assert result(complete(service, uploaded(service, s3, "f", LARGE, overwrite=True)), 200)["node"]["version"] == 3


def test_the_key_of_the_announcement_is_the_key_of_the_file(service: Service, s3: MountInBucket) -> None:
    key = f"key-{s3.id}"
    first, second = (uploaded(service, s3, "f", idempotencyKey=key) for _ in range(2))
    done = result(complete(service, first), 201)
    again = result(complete(service, second), 200)
    assert again["idempotent"] is True and again["journalEntryId"] == done["journalEntryId"]
    refused(complete(service, uploaded(service, s3, "f", b"other", idempotencyKey=key)), 409, "IDEMPOTENCY_CONFLICT")
    assert s3.on_disk() == {"f": CONTENT}


def test_complete_before_anything_is_there(service: Service, s3: MountInBucket) -> None:
    link = result(announce(service, s3, "f"), 201)
    refused(complete(service, link["uploadId"]), 400, "INVALID_REQUEST")
    assert put(link) == 200
    result(complete(service, link["uploadId"]), 201)


def test_a_link_that_ended_unused(service: Service, s3: MountInBucket) -> None:
    link = result(announce(service, s3, "f", expiresIn=1), 201)
    used = result(announce(service, s3, "g"), 201)
    assert put(used) == 200
    link_ends(service, used["uploadId"])
    time.sleep(2.1)  # the store's clock decides, and it counts in seconds
    assert put(link) == 403
    refused(complete(service, link["uploadId"]), 410, "CONTENT_EXPIRED")
    result(complete(service, used["uploadId"]), 201)


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"?", CONTENT + b"?"], ids=["other bytes", "more bytes"])
def test_other_content_is_never_made_a_file(service: Service, s3: MountInBucket, content: bytes) -> None:
    link = result(announce(service, s3, "f"), 201)
    assert put(link, content) in (400, 403), "the store itself refuses it"
    s3.put(f".filestore/stage/{link['uploadId']}", content)  # as a store without checks would have it
    refused(complete(service, link["uploadId"]), 422, "CHECKSUM_MISMATCH")
    [entry] = service.journal(s3)
    assert (entry["outcome"], entry["code"], entry["path"]) == ("failed", "CHECKSUM_MISMATCH", "f")
    assert s3.on_disk() == {} and stages(s3) == []
    assert put(link) == 200, "the right content can still come"
    result(complete(service, link["uploadId"]), 201)


def test_content_without_proof_is_read(service: Service, s3: MountInBucket) -> None:
    link = result(announce(service, s3, "f", LARGE), 201)
    s3.put(f".filestore/stage/{link['uploadId']}", LARGE)  # without any checksum
    assert result(complete(service, link["uploadId"]), 201)["node"]["contentHash"] == hashlib.sha256(LARGE).hexdigest()


def test_somebody_elses_upload_is_not_there(service: Service, s3: MountInBucket) -> None:
    upload = uploaded(service, s3, "f")
    stranger = {"Authorization": f"Bearer {service.make_token(f'stranger-{uuid.uuid4().hex[:6]}', 'write')}"}
    refused(complete(service, upload, headers=stranger), 404, "NOT_FOUND")
    refused(service.call("GET", f"/v1/uploads/{upload}", headers=stranger), 404, "NOT_FOUND")
    refused(service.call("DELETE", f"/v1/uploads/{upload}", headers=stranger), 404, "NOT_FOUND")
    refused(complete(service, str(uuid.uuid4())), 404, "NOT_FOUND")
    refused(complete(service, "nonsense"), 404, "NOT_FOUND")
    result(complete(service, upload), 201)


def test_other_mounts_have_no_links(service: Service, mount: MountOfTest, s3: MountInBucket) -> None:
    refused(announce(service, mount, "f"), 400, "NOT_SUPPORTED")
    refused(announce(service, s3, "f", contentHash="md5:" + "0" * 32), 400, "INVALID_CHECKSUM")
    refused(announce(service, s3, ".filestore/f"), 403, "FORBIDDEN")
    refused(announce(service, s3, "f", sizeBytes=(5 << 30) + 1), 413, "PAYLOAD_TOO_LARGE")
    refused(announce(service, s3, "f", expiresIn=3601), 400, "INVALID_REQUEST")


def test_two_kinds_of_uploads_are_not_confused(service: Service, s3: MountInBucket) -> None:
    upload = uploaded(service, s3, "f")
    tus = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    refused(service.call("PATCH", f"/v1/uploads/{upload}", headers=tus, content=b"x"), 400, "INVALID_REQUEST")
    assert service.call("HEAD", f"/v1/uploads/{upload}", headers=tus).status_code == 400
    begun = service.call(
        "POST", "/v1/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "3", "Upload-Concat": "partial"}
    )
    resumable = begun.headers["location"]
    refused(service.call("POST", f"{resumable}/complete"), 400, "INVALID_REQUEST")
    assert service.call("DELETE", resumable, headers={"Tus-Resumable": "1.0.0"}).status_code == 204
    result(complete(service, upload), 201)


def test_one_that_is_given_up_leaves_nothing(service: Service, s3: MountInBucket) -> None:
    upload = uploaded(service, s3, "f")
    assert service.call("DELETE", f"/v1/uploads/{upload}").status_code == 204
    assert stages(s3) == []
    refused(complete(service, upload), 410, "CONTENT_EXPIRED")


def test_completed_by_many_at_once_it_is_one_file(service: Service, s3: MountInBucket) -> None:
    upload = uploaded(service, s3, "f", LARGE)
    answers: list[httpx2.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(complete(service, upload))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["data"]["journalEntryId"] for answer in answers}) == 1
    assert len(service.journal(s3, path="f")) == 1 and s3.on_disk() == {"f": LARGE}


def test_a_failure_that_can_pass_keeps_the_content(service: Service, s3_server: S3Server, s3_proxy: S3Proxy) -> None:
    s3 = make_bucket_mount(service, s3_server, endpoint=s3_proxy.endpoint)
    upload = uploaded(service, s3, "f")
    s3_proxy.on(Fault("PUT", f"{s3.prefix}/f", status=507, code="InsufficientStorage"))
    refused(complete(service, upload), 507, "STORAGE_FULL")
    with s3_proxy.down():
        assert complete(service, upload).status_code == 503
    assert stages(s3) == [upload] and shown(service, upload)["state"] == "open"
    assert until(lambda: complete(service, upload).status_code in (200, 201))
    assert s3.on_disk() == {"f": CONTENT} and until(lambda: stages(s3) == [])
    assert service.journal(s3, path="f")[0]["outcome"] == "succeeded"
    check_mount(service, s3)


def test_a_file_that_the_store_shows_late_is_complete_where_its_answer_is_proof(
    service: Service, s3_server: S3Server, s3_proxy: S3Proxy
) -> None:
    s3 = make_bucket_mount(service, s3_server, endpoint=s3_proxy.endpoint)
    upload = uploaded(service, s3, "f")
    late = s3_proxy.on(Fault("HEAD", f"{s3.prefix}/f", times=3, status=404, code="NoSuchKey"))
    result(complete(service, upload), 201)
    assert late.struck == 0, "the answer to the copy has named the hash of the content: no look is needed"
    assert s3.on_disk() == {"f": CONTENT}
    check_mount(service, s3)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "point", ["api.started", "apply.acted", "api.sealed", "begin.committed", "commit.committed", "finish.acted"]
)
def test_a_kill_while_it_completes_is_healed_by_asking(service: Service, s3: MountInBucket, point: str) -> None:
    upload = uploaded(service, s3, "f")
    service.kill("api")
    service.start("api", fault=f"{point}=kill")
    with suppress(httpx2.HTTPError):  # it dies before it answers
        complete(service, upload)
    assert until(lambda: service.processes["api"].poll() is not None), "the fault struck"
    service.kill("api")
    service.start("api")
    assert until(lambda: complete(service, upload).status_code in (200, 201))
    assert result(complete(service, upload), 200)["idempotent"] is True
    assert s3.on_disk() == {"f": CONTENT}
    assert [entry["outcome"] for entry in service.journal(s3, path="f")] == ["succeeded"], "once"
    assert until(lambda: stages(s3) == [])


def expire(service: Service, upload: str) -> None:
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("UPDATE filestore.stages SET expires_at = now() - interval '1 s' WHERE id = %s", (upload,))


def link_ends(service: Service, upload: str) -> None:
    """The time of its link is over, and no request had to wait for that."""
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(
            "UPDATE filestore.stages SET request = jsonb_set(request, '{until}', to_jsonb(now() - interval '1 s')) WHERE id = %s",
            (upload,),
        )


def in_the_record(service: Service, upload: str) -> str | None:
    with psycopg.connect(service.env["FILESTORE_DATABASE_URL"], autocommit=True) as connection:
        row = connection.execute("SELECT upload_state FROM filestore.stages WHERE id = %s", (upload,)).fetchone()
    return row[0] if row else None


def test_what_nobody_completes_is_swept_after_its_time(service: Service, s3: MountInBucket) -> None:
    service.restart(FILESTORE_SWEEP_SECONDS="0.5", FILESTORE_STAGE_MAX_AGE_SECONDS="0")
    try:
        kept, late = uploaded(service, s3, "kept"), uploaded(service, s3, "late")
        s3.put(f".filestore/stage/{uuid.uuid4()}", b"nobody's")
        check_mount(service, s3)  # with a sweep
        assert sorted(stages(s3)) == sorted([kept, late])
        expire(service, late)
        refused(complete(service, late), 410, "CONTENT_EXPIRED")
        check_mount(service, s3)
        assert stages(s3) == [kept]
        assert until(lambda: in_the_record(service, late) == "gone"), "told for a week, then forgotten"
        result(complete(service, kept), 201)
        link = result(announce(service, s3, "done"), 201)
        assert put(link) == 200
        result(complete(service, link["uploadId"]), 201)
        assert until(lambda: stages(s3) == [])
        assert put(link) == 200, "the link still lives, and no upload needs what it brings"
        check_mount(service, s3)
        assert stages(s3) == []
    finally:
        service.restart()
