"""Whatever the headers hold, nothing breaks."""

import httpx2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import Tree
from tests.api.tus.helpers import CHUNK, begin

odd = st.binary(max_size=40).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b""))


likely = st.sampled_from(
    [
        b"1",
        b"0",
        b"partial",
        b"final;/v1/uploads/" + b"0" * 36,
        b"sha1 \xe9",
        b"sha1 AAAA",
        b"path YQ==",
        b"a",
        b"sha-256=:\xe9:",
    ]
)


NAMES = ["Upload-Length", "Upload-Defer-Length", "Upload-Metadata", "Upload-Concat", "Upload-Checksum", "Upload-Offset",
         "Content-Digest", "Repr-Digest", "X-HTTP-Method-Override", "If-Match", "Content-Type",
         "x-filestore-metadata", "Prefer"]  # fmt: skip


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(NAMES), odd | likely, max_size=5), st.binary(max_size=20))
async def test_whatever_the_headers_hold_it_is_no_500(
    client: httpx2.AsyncClient, tree: Tree, headers: dict[str, bytes], content: bytes
) -> None:
    where = await begin(client, tree, 10)
    lines = [(b"tus-resumable", b"1.0.0"), *((name.encode(), value) for name, value in headers.items())]
    known = {name.lower() for name in headers}
    more = [
        (name.encode(), value.encode())
        for name, value in (CHUNK | {"Upload-Offset": "0"}).items()
        if name.lower() not in known
    ]
    for method, address, sent in (
        ("POST", "/v1/uploads", lines),
        ("PATCH", where, lines + more),
        ("POST", where, lines),
        ("HEAD", where, lines),
    ):
        answer = await client.request(method, address, headers=sent, content=content if method != "HEAD" else b"")
        assert answer.status_code != 500, (method, sent, answer.text)
    query: dict[str, str | int] = {"backendMountId": tree.mount, "path": "a"}
    assert (await client.put("/v1/files/by-path", params=query, headers=lines, content=content)).status_code != 500
