"""POST /v1/files: how a form is read, where its bytes go, and that nothing stays when it breaks off."""

import asyncio
import errno
import hashlib
import json
import os
import resource
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from activities.executors.contract.executor import Executor
from api.http import body as http_body
from api.uploads import spool
from schema import errors
from schema.commands.command import CommandKind
from tests.api.conftest import FrontOfTest, Tree, failed, make_tree, succeeded

B = "edge-of-the-part"


def form(*parts: tuple[str, bytes] | bytes, end: str = "--\r\n") -> bytes:
    """Parts as they stand on the wire: (headers, content), or bytes verbatim."""
    written = [
        part if isinstance(part, bytes) else f"\r\n--{B}\r\n{part[0]}\r\n\r\n".encode() + part[1] for part in parts
    ]
    return b"".join(written).removeprefix(b"\r\n") + f"\r\n--{B}{end}".encode()


def field(name: str, value: str | bytes) -> tuple[str, bytes]:
    return f'Content-Disposition: form-data; name="{name}"', value.encode() if isinstance(value, str) else value


FILE = 'Content-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain'


def fields(tree: Tree, path: str = "a.txt", **more: str) -> list[tuple[str, bytes]]:
    return [field(name, value) for name, value in {"backendMountId": str(tree.mount), "path": path, **more}.items()]


async def send(
    client: httpx2.AsyncClient, body: bytes | AsyncIterator[bytes], boundary: str = B, **headers: str
) -> httpx2.Response:
    sent_headers = {"content-type": f"multipart/form-data; boundary={boundary}"} | headers
    return await client.post("/v1/files", content=body, headers=sent_headers)


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """As a connection brings it."""
    for start in range(0, len(body), 60_000):
        yield body[start : start + 60_000]


async def test_a_small_file_stays_in_memory(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    sent = {"backendMountId": str(tree.mount), "path": "d/a.txt", "metadata": '{"n": 1, "b": 9007199254740991}',
            "idempotencyKey": "k", "overwrite": "true", "other": "ignored"}  # fmt: skip
    answer = await client.post("/v1/files", data=sent, files={"file": ("é.txt", b"hello", "text/plain")})
    assert answer.status_code == 201, answer.text
    submission = front.commands.last
    request = submission.request
    assert (request.kind, request.path, request.key, request.overwrite) == (CommandKind.UPLOAD, "d/a.txt", "k", True)
    assert (request.mime_type, request.original_name, request.size) == ("text/plain", "é.txt", 5)
    assert request.sha256 == hashlib.sha256(b"hello").hexdigest() and request.checksum is None
    assert submission.metadata == {"n": 1, "b": 2**53 - 1} and request.has_metadata
    assert submission.content == b"hello" and submission.written is None and submission.locks is None
    assert no_stages(tree)


def no_stages(tree: Tree) -> bool:
    return os.listdir(tree.folder / ".filestore" / "stage") == []


SIZES = [0, 1, spool.MEMORY_MAX - 1, spool.MEMORY_MAX, spool.MEMORY_MAX + 1, spool.PIECE - 1, spool.PIECE,
         spool.PIECE + 1, 3 * spool.PIECE + 7]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
async def test_every_byte_arrives_whatever_the_size(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, size: int
) -> None:
    content = os.urandom(size)
    answer = await client.post(
        "/v1/files", data={"backendMountId": str(tree.mount), "path": "a"}, files={"file": content}
    )
    assert answer.status_code == 201
    submission = front.commands.last
    assert (submission.request.size, submission.request.sha256) == (size, hashlib.sha256(content).hexdigest())
    if size <= spool.MEMORY_MAX:
        assert submission.content == content and submission.written is None
    else:
        assert submission.content is None and submission.written is not None
        stage = tree.folder / ".filestore" / "stage" / submission.request.id
        assert stage.read_bytes() == content
        assert submission.written.id == submission.request.id
        assert submission.written.identity.inode == stage.stat().st_ino


async def test_the_lock_is_held_until_the_command_takes_over(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    seen = []

    async def look(submission: Any) -> Any:
        locks = front.disks.of(await front.app.state.front.mounts.get(tree.mount, "main")).locks()
        seen.append(locks.take(submission.request.id))
        submission.locks.close()
        seen.append(locks.take(submission.request.id))
        locks.close()
        return succeeded(submission)

    front.commands.submit = look  # type: ignore[method-assign]
    sent = {"backendMountId": str(tree.mount), "path": "a"}
    assert (await client.post("/v1/files", data=sent, files={"file": b"x" * 100_000})).status_code == 201
    assert seen == [False, True]


async def test_created_is_201_and_overwritten_200(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    sent = {"backendMountId": str(tree.mount), "path": "a", "overwrite": "1"}
    front.commands.answers = lambda s: succeeded(s, previousVersion=3)
    assert (await client.post("/v1/files", data=sent, files={"file": b"x"})).status_code == 200
    front.commands.answers = lambda s: succeeded(s, previousVersion=None)
    assert (await client.post("/v1/files", data=sent, files={"file": b"x"})).status_code == 201


@pytest.mark.parametrize(
    ("overwrite", "headers", "expected"),
    [
        (None, {}, False), ("false", {}, False), ("true", {}, True), ("1", {}, True), ("0", {}, False),
        (None, {"if-match": '"3"'}, True), ("false", {"if-match": '"3"'}, False), ("true", {"if-none-match": "*"},
        False),
    ],
)  # fmt: skip
async def test_whether_to_overwrite(
    front: FrontOfTest,
    client: httpx2.AsyncClient,
    tree: Tree,
    overwrite: str | None,
    headers: dict[str, str],
    expected: bool,
) -> None:
    more = {} if overwrite is None else {"overwrite": overwrite}
    assert (await send(client, form(*fields(tree, **more), (FILE, b"x")), **headers)).status_code == 201
    assert front.commands.last.request.overwrite is expected


async def test_the_fingerprint_covers_the_media_type_and_the_name(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    fields = {"backendMountId": str(tree.mount), "path": "a"}
    for name, media in (
        ("a.txt", "text/plain"),
        ("a.txt", "text/html"),
        ("b.txt", "text/plain"),
        ("a.txt", "text/plain"),
    ):
        assert (await client.post("/v1/files", data=fields, files={"file": (name, b"x", media)})).status_code == 201
    requests = [submission.request for submission in front.commands.submissions]
    for hashes in ([request.hash for request in requests], [request.head for request in requests]):
        assert len(set(hashes)) == 3 and hashes[0] == hashes[3]


async def test_the_fingerprint_covers_the_body(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    async def hash_of(content: bytes, name: str = "a", **headers: str) -> str | None:
        sent = {"backendMountId": str(tree.mount), "path": "a"}
        files = {"file": (name, content, "text/plain")}
        assert (await client.post("/v1/files", data=sent, files=files, headers=headers)).status_code == 201
        return front.commands.last.request.hash

    first = await hash_of(b"one")
    assert await hash_of(b"one", name="b") != first
    assert await hash_of(b"two") != first
    assert await hash_of(b"x" * 70_000) not in (None, first, await hash_of(b"y" * 70_000))
    assert await hash_of(b"one", **{"x-filestore-checksum": hashlib.sha256(b"one").hexdigest()}) != first


@pytest.mark.parametrize("size", [5, 200_000])
@pytest.mark.parametrize("header", ["x-filestore-checksum", "x-filestore-content-hash"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
@pytest.mark.parametrize("prefix", [True, False])
async def test_a_checksum_is_compared(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, size: int, header: str, algorithm: str, prefix: bool
) -> None:
    content = os.urandom(size)
    right = hashlib.new(algorithm, content).hexdigest()
    body = form(*fields(tree), (FILE, content))
    marker = f"{algorithm}:" if prefix else ""
    assert (await send(client, body, **{header: marker + right.upper()})).status_code == 201
    assert front.commands.last.request.checksum == f"{algorithm}:{right}"
    named = {header: marker + hashlib.new(algorithm, b"else").hexdigest(), "idempotency-key": "k"}
    wrong = await send(client, body, **named)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "CHECKSUM_MISMATCH")
    assert wrong.json()["error"]["details"]["found"] == f"{algorithm}:{right}"
    refused = front.commands.last
    assert (refused.content, refused.written, refused.locks) == (None, None, None), "nothing is carried out"
    assert (refused.request.failure, refused.request.key) == ("CHECKSUM_MISMATCH", None), "and the key is still free"
    assert len(os.listdir(tree.folder / ".filestore" / "stage")) == (size > spool.MEMORY_MAX), "only the good one's"


@pytest.mark.parametrize(
    ("text", "refusal"),
    [*((text, (422, "CHECKSUM_MISMATCH")) for text in (
        "", "sha256:", "sha256:xyz", "a" * 63, "sha1:" + "a" * 64, "md5:" + "a" * 31, "é", "deadbeef", "SHA256:deadbeef")),
     ("crc32:00000000", (400, "INVALID_CHECKSUM")), ("crc32:", (400, "INVALID_CHECKSUM"))],
)  # fmt: skip
async def test_a_checksum_that_differs_is_422_whatever_its_length(
    client: httpx2.AsyncClient, tree: Tree, text: str, refusal: tuple[int, str]
) -> None:
    answer = await client.post(
        "/v1/files", content=form(*fields(tree), (FILE, b"x")),
        headers=[(b"content-type", f"multipart/form-data; boundary={B}".encode()), (b"x-filestore-checksum",
        text.encode())],
    )  # fmt: skip
    assert (answer.status_code, answer.json()["error"]["code"]) == refusal


async def test_an_upload_is_refused_before_its_body_is_read(
    front: FrontOfTest, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_body, "LINGER_BYTES", 300_000)
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 65536

    async with front.client(front.tokens["read"]) as client:
        form_headers = {"content-type": f"multipart/form-data; boundary={B}"}
        answer = await asyncio.wait_for(client.post("/v1/files", content=endless(), headers=form_headers), 20)
        assert answer.status_code == 403
    assert read <= 6, "so much is read that its sender looks up"


FIELD_ORDER = [
    ("the file comes first", lambda t: [(FILE, b"x"), *fields(t)]),
    ("a field comes after it", lambda t: [*fields(t), (FILE, b"x"), field("overwrite", "true")]),
    ("two files", lambda t: [*fields(t), (FILE, b"x"), (FILE, b"y")]),
    ("no file", lambda t: fields(t)),
    ("no parts", lambda t: []),
    ("a field twice", lambda t: [*fields(t), field("path", "b"), (FILE, b"x")]),
    ("no mount", lambda t: [field("path", "a"), (FILE, b"x")]),
    ("a mount that is no number", lambda t: [field("backendMountId", "one"), field("path", "a"), (FILE, b"x")]),
    ("a mount that is too large", lambda t: [field("backendMountId", "9" * 40), field("path", "a"), (FILE, b"x")]),
    ("a negative mount", lambda t: [field("backendMountId", "-1"), field("path", "a"), (FILE, b"x")]),
    ("no path", lambda t: [field("backendMountId", str(t.mount)), (FILE, b"x")]),
    ("overwrite is no boolean", lambda t: [*fields(t, overwrite="perhaps"), (FILE, b"x")]),
    ("metadata is no JSON", lambda t: [*fields(t, metadata="{"), (FILE, b"x")]),
    ("metadata is a list", lambda t: [*fields(t, metadata="[]"), (FILE, b"x")]),
    ("metadata is a text", lambda t: [*fields(t, metadata='"x"'), (FILE, b"x")]),
    ("metadata breaks out", lambda t: [*fields(t, metadata='{}, "metadata": {"a": 1}, "b": {}}'), (FILE, b"x")]),
    ("metadata holds a NUL", lambda t: [*fields(t, metadata='{"a": "\\u0000"}'), (FILE, b"x")]),
    ("metadata holds a surrogate", lambda t: [*fields(t, metadata='{"a": "\\ud800"}'), (FILE, b"x")]),
    ("metadata holds NaN", lambda t: [*fields(t, metadata='{"a": NaN}'), (FILE, b"x")]),
    ("metadata holds too large a number", lambda t: [*fields(t, metadata='{"a": 9007199254740992}'), (FILE, b"x")]),
    ("metadata is deep", lambda t: [*fields(t, metadata='{"a":' * 5000 + "1" + "}" * 5000), (FILE, b"x")]),
    ("the path holds a NUL", lambda t: [*fields(t, path="a\0b"), (FILE, b"x")]),
    ("the path is not UTF-8", lambda t: [field("backendMountId", str(t.mount)), field("path", b"\xff"), (FILE, b"x")]),
    ("pathB64 is no base64", lambda t: [*fields(t, pathB64="!"), (FILE, b"x")]),
    ("the key is empty", lambda t: [*fields(t, idempotencyKey=""), (FILE, b"x")]),
    ("the key is too long", lambda t: [*fields(t, idempotencyKey="k" * 256), (FILE, b"x")]),
    ("a field's name is not UTF-8", lambda t: [*fields(t), field("x", "x"),
    b'\r\n--%s\r\nContent-Disposition: form-data; '
     b'name="\xff"\r\n\r\nx' % B.encode(), (FILE, b"x")]),
    ("a part without a name", lambda t: [*fields(t), ("Content-Type: text/plain", b""), ("X: y", b"x")]),
    ("too many parts", lambda t: [*[field(f"f{n}", "") for n in range(70)], *fields(t), (FILE, b"x")]),
    ("a filename with a NUL", lambda t: [*fields(t), ('Content-Disposition: form-data; name="file"; filename="a\0b"',
    b"x")]),
    ("a filename that is long", lambda t: [*fields(t),
    (f'Content-Disposition: form-data; name="file"; filename="{"n" * 1025}"', b"x")]),
    ("a header that never ends", lambda t: [*fields(t), ("X-Long: " + "x" * 10_000, b""), (FILE, b"x")]),
    ("too many headers", lambda t: [*fields(t), ("\r\n".join(f"X-{n}: y" for n in range(100)), b""), (FILE, b"x")]),
    ("a header without a colon", lambda t: [*fields(t), ("nonsense", b""), (FILE, b"x")]),
    ("an empty header name", lambda t: [*fields(t), (": x", b""), (FILE, b"x")]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "parts"), FIELD_ORDER, ids=[what for what, _ in FIELD_ORDER])
async def test_a_bad_form_is_400(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, what: str, parts: Any
) -> None:
    answer = await send(client, form(*parts(tree)))
    assert answer.status_code == 400, (what, answer.text)
    assert answer.json()["error"]["code"] in ("INVALID_REQUEST", "INVALID_PATH")
    assert front.commands.submissions == [] and no_stages(tree)


BROKEN = [
    b"", b"\r\n", b"--", b"nonsense", f"--{B}".encode(), f"--{B}\r\n".encode(), f"--{B}--\r\n".encode(),
    f"--{B}x\r\n\r\n".encode(), f"--{B}\r\nContent-Disposition".encode(), b"\xff" * 1000, b"--wrong\r\n\r\n--wrong--",
    f"--{B}\r\n\x00: x\r\n\r\n".encode(), f"--{B}\nContent-Disposition: form-data\n\nx\n--{B}--".encode(),
]  # fmt: skip


@pytest.mark.parametrize("body", BROKEN, ids=[str(n) for n in range(len(BROKEN))])
async def test_what_is_no_form_is_400(front: FrontOfTest, client: httpx2.AsyncClient, body: bytes) -> None:
    assert (await send(client, body)).status_code == 400
    assert front.commands.submissions == []


@pytest.mark.parametrize(
    "type",
    ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=",
    'multipart/form-data; boundary=""',
     "multipart/mixed; boundary=x", "multipart/form-data; boundary=" + "x" * 300, "multipart/form-data; boundary=é"],
)  # fmt: skip
async def test_what_does_not_say_that_it_is_a_form_is_400(client: httpx2.AsyncClient, tree: Tree, type: str) -> None:
    answer = await client.post(
        "/v1/files", content=form(*fields(tree), (FILE, b"x")), headers=[(b"content-type", type.encode())]
    )
    assert answer.status_code == 400


@pytest.mark.parametrize("size", [10, 100_000, 3_000_000])
@pytest.mark.parametrize("cut", [1, 5, 30, 60])
async def test_a_body_that_ends_too_soon_is_no_file(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, size: int, cut: int
) -> None:
    body = form(*fields(tree), (FILE, b"x" * size))
    whole = len(f"\r\n--{B}--\r\n")
    answer = await send(client, body[: -max(cut, 3) if cut < whole else -cut])
    assert answer.status_code == 400
    assert front.commands.submissions == [] and no_stages(tree)


async def test_nothing_of_size_follows_the_form(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    body = form(*fields(tree), (FILE, b"x"))
    assert (await send(client, in_pieces(body + b"an epilogue"))).status_code == 201
    front.commands.submissions.clear()
    answer = await send(client, in_pieces(body + b"x" * 2_000_000))
    assert (answer.status_code, front.commands.submissions) == (400, [])


@pytest.mark.parametrize("size", [0, 100, 64_000, 70_000, 1_200_000])
async def test_a_form_may_come_in_any_pieces(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, size: int
) -> None:
    content = os.urandom(size)
    body = form(*fields(tree, metadata='{"a": "é"}'), (FILE, content))

    async def uneven() -> AsyncIterator[bytes]:
        at, step = 0, 1
        while at < len(body):
            yield body[at : at + step]
            at, step = at + step, 1 if at < 600 or at > len(body) - 100 else 50_001

    assert (await send(client, uneven())).status_code == 201
    assert front.commands.last.request.sha256 == hashlib.sha256(content).hexdigest()
    assert front.commands.last.metadata == {"a": "é"}


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('filename="plain.txt"', "plain.txt"), ('filename=""', None), ('filename="é.txt"', "é.txt"),
        ('filename="C:\\dir\\a.txt"', "a.txt"), ('filename="../../etc/passwd"', "passwd"), ('filename="dir/"', None),
        ("filename*=utf-8''%e2%82%ac%20rates.txt", "€ rates.txt"), ("filename=\"a\"; filename*=UTF-8''b.txt", "b.txt"),
        ("filename*=utf-8''..%2F..%2Fx", "x"), ('filename="a%0d%0aX: y"', "a%0d%0aX: y"), ("filename=a b", "a b"),
    ],
)  # fmt: skip
async def test_a_filename_is_for_people_and_never_a_path(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, disposition: str, name: str | None
) -> None:
    part = (f'Content-Disposition: form-data; name="file"; {disposition}', b"x")
    assert (await send(client, form(*fields(tree), part))).status_code == 201
    assert front.commands.last.request.original_name == name
    assert front.commands.last.request.path == "a.txt"


async def test_a_filename_that_is_not_utf8_is_kept_lossily(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    part = b'\r\n--%s\r\nContent-Disposition: form-data; name="file"; filename="\xff.bin"\r\n\r\nx' % B.encode()
    assert (await send(client, form(*fields(tree), part))).status_code == 201
    assert front.commands.last.request.original_name == "�.bin"
    assert json.dumps(front.commands.last.request.original_name)


@pytest.mark.parametrize("type", ["text/html; charset=utf-8", "x", "a/b\tc", "é/é", "a/" + "b" * 200, ""])
async def test_only_a_media_type_is_kept(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, type: str) -> None:
    part = (f'Content-Disposition: form-data; name="file"; filename="a"\r\nContent-Type: {type}', b"x")
    assert (await send(client, form(*fields(tree), part))).status_code == 201
    assert front.commands.last.request.mime_type == (type if type.startswith("text/html") else None)


@pytest.mark.parametrize("coding", ["base64", "quoted-printable", "BASE64", "x-gzip"])
@pytest.mark.parametrize("part", ["a field", "the file"])
async def test_a_part_that_was_encoded_is_refused_and_not_stored_as_it_came(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, part: str, coding: str
) -> None:
    encoded = f"\r\nContent-Transfer-Encoding: {coding}"
    first, *rest = fields(tree)
    if part == "a field":
        body = form((first[0] + encoded, first[1]), *rest, (FILE, b"aGVsbG8="))
    else:
        body = form(first, *rest, (FILE + encoded, b"aGVsbG8="))
    answer = await send(client, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert coding.lower() in answer.json()["error"]["message"]
    assert front.commands.submissions == []


@pytest.mark.parametrize("coding", ["8bit", "binary", "7BIT"])
async def test_an_encoding_of_a_part_that_changes_nothing_is_taken(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, coding: str
) -> None:
    body = form(*fields(tree), (f"{FILE}\r\nContent-Transfer-Encoding: {coding}", b"aGVsbG8="))
    assert (await send(client, body)).status_code == 201
    assert front.commands.last.content == b"aGVsbG8="


async def test_the_part_named_file_needs_no_filename(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    assert (await send(client, form(*fields(tree), field("file", b"x")))).status_code == 201
    assert front.commands.last.content == b"x" and front.commands.last.request.original_name is None


async def test_content_may_look_like_a_boundary(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    content = f"\r\n--{B[:-1]}\r\n--\r\n--{B[:5]}\r\n\r\n-".encode() * 5000
    assert (await send(client, form(*fields(tree), (FILE, content)))).status_code == 201
    assert front.commands.last.request.sha256 == hashlib.sha256(content).hexdigest()


async def test_fields_that_are_too_large_are_413(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    large = "x" * 300_000
    for more in ({"other": large}, {"metadata": json.dumps({"a": large})}, {f"f{n}": "x" * 200_000 for n in range(8)}):
        answer = await send(client, form(*fields(tree, **more), (FILE, b"x")))
        assert answer.status_code == 413, list(more)
    assert front.commands.submissions == []


async def test_a_file_over_the_limit_is_413_and_leaves_nothing(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    object.__setattr__(front.services, "settings", front.settings.model_copy(update={"upload_max_bytes": 2_000_000}))
    sent = {"backendMountId": str(tree.mount), "path": "a"}
    assert (await client.post("/v1/files", data=sent, files={"file": b"x" * 2_000_000})).status_code == 201
    os.unlink(tree.folder / ".filestore" / "stage" / front.commands.submissions.pop().request.id)
    for size in (2_000_001, 5_000_000):
        answer = await client.post("/v1/files", data=sent, files={"file": b"x" * size})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
        assert front.commands.submissions == [] and no_stages(tree)


class FailingWriter:
    """A writer, or the opening of one, that fails with this after so many writes."""

    def __init__(self, executor: Executor, error: Exception, after: int) -> None:
        self._executor, self._error, self._after = executor, error, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def open_stage(self, id: Any, path: Any = None) -> Any:
        if self._after < 0:
            raise self._error
        writer = self._executor.open_stage(id)
        plain, count = writer.write, 0

        def write(chunk: bytes) -> None:
            nonlocal count
            count += 1
            if count > self._after:
                raise self._error
            plain(chunk)

        writer.write = write  # type: ignore[method-assign]
        return writer


@pytest.mark.parametrize("after", [-1, 0, 1, 3])
@pytest.mark.parametrize("error", [errors.StorageFull, errors.MountOffline, errors.MountReadOnly])
async def test_when_staging_fails_the_command_is_recorded_as_refused(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, error: type[errors.FilestoreError], after: int
) -> None:
    front.disks.wrapped = lambda executor: FailingWriter(executor, error(), after)
    front.commands.answers = lambda s: failed(s, s.request.failure or "")
    answer = await send(client, in_pieces(form(*fields(tree), (FILE, b"x" * 5_000_000))))
    request = front.commands.last.request
    assert (request.failure, request.failure_message, request.hash) == (error.code, error().message, None)
    assert front.commands.last.written is None and front.commands.last.locks is None
    assert answer.status_code == {"STORAGE_FULL": 507, "MOUNT_OFFLINE": 503, "MOUNT_READ_ONLY": 403}[error.code]
    assert no_stages(tree)


async def test_a_mount_of_another_host_is_recorded_as_offline(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    front.disks.broken[tree.mount] = errors.MountOffline("It lies elsewhere.")
    front.commands.answers = lambda s: failed(s, s.request.failure or "")
    sent = {"backendMountId": str(tree.mount), "path": "a"}
    answer = await client.post("/v1/files", data=sent, files={"file": b"x" * 500_000})
    assert answer.status_code == 503
    assert front.commands.last.request.failure == "MOUNT_OFFLINE"


@pytest.mark.parametrize("columns", [{"access_mode": "ro"}, {"state": "inactive"}, {"state": "offline"}])
async def test_a_big_body_is_not_staged_where_it_can_not_go(
    front: FrontOfTest, client: httpx2.AsyncClient, pool: Any, tmp_path: Path, columns: dict[str, str]
) -> None:
    tree = await make_tree(pool, tmp_path / "closed", **columns)
    front.commands.answers = lambda s: failed(s, s.request.failure or "")
    sent = {"backendMountId": str(tree.mount), "path": "a"}
    answer = await client.post("/v1/files", data=sent, files={"file": b"x" * 3_000_000})
    expected = "MOUNT_READ_ONLY" if "access_mode" in columns else "MOUNT_OFFLINE"
    assert front.commands.last.request.failure == expected
    assert answer.json()["error"]["code"] == expected
    assert no_stages(tree)


@pytest.mark.parametrize(("number", "status"), [(errno.EIO, 503), (errno.ENOTTY, 500)], ids=["foreseen", "unforeseen"])
async def test_an_error_of_the_disk_leaves_nothing(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, number: int, status: int
) -> None:
    front.disks.wrapped = lambda executor: FailingWriter(executor, OSError(number, os.strerror(number)), 2)
    answer = await send(client, in_pieces(form(*fields(tree), (FILE, b"x" * 5_000_000))))
    assert answer.status_code == status and ("retry-after" in answer.headers) is (status == 503)
    assert front.commands.submissions == [] and no_stages(tree)


# What only a connection shows


async def request_head(front: FrontOfTest, length: int, token: str = "write") -> bytes:
    return (
        f"POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {front.tokens[token]}\r\n"
        f"Content-Type: multipart/form-data; boundary={B}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


async def until(condition: Any, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  it can be about the disk
            await asyncio.sleep(0.01)


async def test_a_client_that_goes_away_leaves_nothing(front: FrontOfTest, tree: Tree, address: tuple[str, int]) -> None:
    body = form(*fields(tree), (FILE, b"x" * 8_000_000))
    _, writer = await asyncio.open_connection(*address)
    writer.write(await request_head(front, len(body)) + body[:4_000_000])
    await writer.drain()
    await until(lambda: not no_stages(tree))
    writer.close()
    await until(lambda: no_stages(tree))
    assert front.commands.submissions == []


async def test_a_refused_sender_reads_why_although_it_is_still_sending(
    front: FrontOfTest, tree: Tree, address: tuple[str, int]
) -> None:
    length = 20_000_000
    reader, writer = await asyncio.open_connection(*address)
    writer.write(await request_head(front, length, token="read"))
    sent = 0
    while sent < length:
        writer.write(b"x" * 100_000)
        await writer.drain()
        sent += 100_000
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 403") and b"connection: close" in answer and b"MISSING_SCOPE" in answer
    writer.close()


async def test_nobody_sends_for_ever_what_nobody_wants(
    front: FrontOfTest, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_body, "LINGER_BYTES", 1_000_000)
    _, writer = await asyncio.open_connection(*address)
    writer.write(await request_head(front, 10**12, token="read"))
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        async with asyncio.timeout(20):
            while True:
                writer.write(b"x" * 100_000)
                await writer.drain()
    writer.close()


async def test_memory_stays_flat_and_the_sender_waits_for_the_disk(
    front: FrontOfTest, tree: Tree, address: tuple[str, int]
) -> None:
    class Slow:
        def __init__(self, executor: Executor) -> None:
            self._executor = executor

        def __getattr__(self, name: str) -> Any:
            return getattr(self._executor, name)

        def open_stage(self, id: Any, path: Any = None) -> Any:
            import time

            writer = self._executor.open_stage(id)
            plain = writer.write

            def write(chunk: bytes) -> None:
                assert len(chunk) < spool.PIECE + 200_000, "pieces do not pile up"
                time.sleep(0.01)
                plain(chunk)

            writer.write = write  # type: ignore[method-assign]
            return writer

    front.disks.wrapped = lambda executor: Slow(executor)
    object.__setattr__(front.services, "settings", front.settings.model_copy(update={"upload_max_bytes": 2**40}))
    head, tail = form(*fields(tree), (FILE, b"")).rsplit(b"\r\n--", 1)
    size, chunk = 64 * 1024 * 1024, b"x" * 262_144
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reader, writer = await asyncio.open_connection(*address)
    writer.write(await request_head(front, len(head) + size + 4 + len(tail)) + head)
    for _ in range(size // len(chunk)):
        writer.write(chunk)
        await writer.drain()
    writer.write(b"\r\n--" + tail)
    assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 201")
    assert front.commands.last.request.size == size
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30 * 1024, "KiB"
    writer.close()
