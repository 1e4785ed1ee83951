"""An upload is announced: its length, its metadata, its conditions; and what is refused at once."""

from pathlib import Path

import httpx2
import psycopg
import pytest

from schema.store.pool import Pool
from tests.api.conftest import FrontOfTest, Tree, make_tree
from tests.api.tus.helpers import CHUNK, V, about, begin, code, content_of, create, files, keys, offset_of, patch


async def test_the_first_chunk_can_come_with_the_creation(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    sent_headers = CHUNK | {"Upload-Length": "10", "Upload-Metadata": about(tree)}
    answer = await client.post("/v1/uploads", headers=sent_headers, content=b"hello")
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "5")
    assert (await patch(client, answer.headers["location"], 5, b"world")).status_code == 204
    assert content_of(front, tree) == b"helloworld"
    answer = await client.post("/v1/uploads", headers=sent_headers, content=b"helloworld")
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "10")
    assert answer.headers["x-filestore-command"] == front.commands.last.request.id


async def test_an_empty_file_is_complete_at_once(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    where = await begin(client, tree, 0)
    assert front.commands.last.content == b"" and await offset_of(client, where) == 0


async def test_the_length_can_come_later(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    where = await begin(client, tree, None)
    head = await client.head(where, headers=V)
    assert head.headers["upload-defer-length"] == "1" and "upload-length" not in head.headers
    assert (await patch(client, where, 0, b"hello")).status_code == 204
    assert code(await patch(client, where, 5, b"", Upload_Length="4")) == "INVALID_REQUEST"
    assert front.commands.submissions == []
    assert (await patch(client, where, 5, b"wo", Upload_Length="10")).status_code == 204
    assert (await patch(client, where, 7, b"rld", Upload_Length="11")).status_code == 400, "it is told once"
    assert (await patch(client, where, 7, b"rld", Upload_Length="10")).status_code == 204
    assert content_of(front, tree) == b"helloworld"
    where = await begin(client, tree, None)
    assert (await patch(client, where, 0, b"abc")).status_code == 204
    assert (await patch(client, where, 3, b"", Upload_Length="3")).status_code == 204
    assert content_of(front, tree) == b"abc", "told when everything is there"
    assert (await patch(client, await begin(client, tree, None), 0, b"", Upload_Length=str(2**40))).status_code == 413


async def test_conditions_and_keys_are_those_of_the_creation(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree
) -> None:
    where = await begin(client, tree, 1, If_Match='"7"', Upload_Metadata=about(tree, idempotencyKey="mine"))
    assert (await patch(client, where, 0, b"x", If_Match='"8"')).status_code == 204
    request = front.commands.last.request
    assert (request.if_version, request.overwrite, request.key) == (7, True, "mine")
    where = await begin(client, tree, 1, Idempotency_Key="header")
    assert (await patch(client, where, 0, b"x", Idempotency_Key="other")).status_code == 204
    assert front.commands.last.request.key == "header"


BAD: list[tuple[dict[str, str], int]] = [
    ({"Tus-Resumable": ""}, 412), ({"Tus-Resumable": "0.2.2"}, 412), ({"Upload-Length": "x"}, 400),
    ({"Upload-Length": "-1"}, 400), ({"Upload-Length": ""}, 400), ({"Upload-Length": "9" * 30}, 400),
    ({"Upload-Length": str(2**30 + 1)}, 413), ({"Upload-Defer-Length": "1"}, 400), ({"Upload-Defer-Length": "2"}, 400),
    ({"Upload-Metadata": ""}, 400), ({"Upload-Metadata": "path !"}, 400), ({"Upload-Metadata": "a YQ==,a YQ=="}, 400),
    ({"Upload-Metadata": " YQ=="}, 400), ({"Upload-Metadata": "path /w=="}, 400), ({"Upload-Metadata": keys(path="a")}, 400),
    ({"Upload-Metadata": keys(backendMountId=1, path="..")}, 400), ({"Upload-Metadata": keys(backendMountId=2**40, path="a")}, 404),
    ({"Upload-Metadata": keys(backendMountId=1, path=".filestore/x")}, 403), ({"If-Match": "x y"}, 400),
    ({"Upload-Concat": "other"}, 400), ({"Upload-Concat": "final;"}, 400), ({"Upload-Concat": "final;/v1/uploads/x"}, 400),
    ({"Content-Type": "text/plain", "Content-Length": "1"}, 415), ({"x-filestore-checksum": "crc32:x"}, 400),
    ({"Repr-Digest": "x y"}, 400),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "status"), BAD)
async def test_bad_creations(
    front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree, spool: Path, headers: dict[str, str], status: int
) -> None:
    sent_headers = V | {"Upload-Length": "1", "Upload-Metadata": about(tree)} | headers
    answer = await client.post(
        "/v1/uploads", headers=sent_headers, content=b"x" if "Content-Length" in headers else b""
    )
    assert answer.status_code == status, answer.text
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert ("tus-version" in answer.headers) == (status == 412)
    assert files(spool) == [] and front.commands.submissions == []


@pytest.mark.parametrize("columns", [{"access_mode": "ro"}, {"state": "inactive"}])
async def test_nothing_is_announced_to_a_closed_mount(
    client: httpx2.AsyncClient, pool: Pool, tmp_path: Path, columns: dict[str, str], spool: Path
) -> None:
    tree = await make_tree(pool, tmp_path / "closed", **columns)
    assert (await create(client, tree, 1)).status_code in (403, 503)
    assert files(spool) == []


async def test_rows_of_uploads_are_what_the_schema_allows(pool: Pool, tree: Tree) -> None:
    async with pool.connection() as connection:
        for state, received, expected in (("strange", 0, 1), ("open", 2, 1), ("open", -1, 1)):
            with pytest.raises(psycopg.errors.CheckViolation):
                await connection.execute(
                    "INSERT INTO filestore.stages (id, principal, upload_state, received, expected, expires_at)"
                    " VALUES (gen_random_uuid(), 'p', %s, %s, %s, now())",
                    [state, received, expected],
                )
        with pytest.raises(psycopg.errors.CheckViolation):
            await connection.execute(
                "INSERT INTO filestore.stages (id, principal, expires_at) VALUES (gen_random_uuid(), 'p', now())"
            )


async def test_metadata_in_two_lines_is_one_list(front: FrontOfTest, client: httpx2.AsyncClient, tree: Tree) -> None:
    first, second = keys(backendMountId=tree.mount), keys(path="d/a.bin", filename="q3.csv")
    lines = [
        ("Tus-Resumable", "1.0.0"),
        ("Upload-Length", "0"),
        ("Upload-Metadata", first),
        ("Upload-Metadata", second),
    ]
    answer = await client.post("/v1/uploads", headers=lines)
    assert answer.status_code == 201, answer.text
    request = front.commands.last.request
    assert (request.path, request.original_name) == ("d/a.bin", "q3.csv")
    twice = [*lines, ("Upload-Metadata", keys(path="another"))]
    assert (await client.post("/v1/uploads", headers=twice)).status_code == 400


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Upload-Length", ("5", "6")), ("Upload-Concat", ("partial", "final;/v1/uploads/" + "0" * 36)),
        ("Tus-Resumable", ("1.0.0", "0.2.2")), ("Upload-Checksum", ("md5 " + "A" * 22 + "==", "sha1 " + "A" * 27 + "=")),
    ],
)  # fmt: skip
async def test_of_a_header_that_came_twice_no_value_is_passed_over(
    client: httpx2.AsyncClient, tree: Tree, name: str, values: tuple[str, str]
) -> None:
    sent_headers = {**CHUNK, "Upload-Length": "5", "Upload-Metadata": about(tree)}
    sent_headers.pop(name, None)
    for pair in (values, values[::-1]):
        answer = await client.post(
            "/v1/uploads", headers=[*sent_headers.items(), *((name, value) for value in pair)], content=b"hello"
        )
        assert answer.status_code == 400, answer.text
        assert name in answer.json()["error"]["message"]
