"""Share links over HTTP: they give what they are for, to whoever has the address, and never more than their maker may do now."""

import asyncio
import random
from typing import Any

import httpx2
import pytest

from schema.access.rules import Grant
from schema.store import tokens
from tests.api.conftest import FrontOfTest, Tree, succeeded

SHARER = ("filestore:read", "filestore:share", "filestore:write")


@pytest.fixture
async def shared(tree: Tree) -> Tree:
    await tree.directory("team")
    await tree.file("team/f", b"0123456789")
    await tree.directory("team/sub")
    await tree.file("team/sub/g", b"x")
    await tree.file("other", b"no")
    return tree


class Maker:
    def __init__(self, front: FrontOfTest, tree: Tree, token: str) -> None:
        self.front, self.tree, self.token = front, tree, token

    async def make(self, path: str = "team/f", kind: str = "read", **more: Any) -> dict[str, Any]:
        async with self.front.client(self.token) as client:
            body = {"backendMountId": self.tree.mount, "path": path, "kind": kind, **more}
            answer = await client.post("/v1/links", json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()["data"]
        return made

    async def change(self, **changes: Any) -> None:
        async with self.front.pool.connection() as connection, connection.transaction():
            found = await tokens.find(connection, tokens.digest(self.token))
            assert found is not None
            await tokens.change(connection, found.token_id, changes, changes.pop("grants", None))

    async def revoke(self) -> None:
        async with self.front.pool.connection() as connection, connection.transaction():
            found = await tokens.find(connection, tokens.digest(self.token))
            assert found is not None and await tokens.revoke(connection, found.token_id)


@pytest.fixture
async def maker(front: FrontOfTest, shared: Tree) -> Maker:
    return Maker(front, shared, await front.token(*SHARER, principal="maker"))


async def at(front: FrontOfTest, url: str, method: str = "GET", **options: Any) -> httpx2.Response:
    async with front.client() as anonymous:
        return await anonymous.request(method, url, **options)


async def test_a_file_is_read_without_a_token_whole_and_in_ranges(front: FrontOfTest, maker: Maker) -> None:
    made = await maker.make()
    answer = await at(front, made["url"])
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert (
        answer.headers["content-disposition"].startswith("attachment")
        and "sandbox" in answer.headers["content-security-policy"]
    )
    part = await at(front, made["url"], headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    assert (await at(front, made["url"], "HEAD")).status_code == 200
    assert (await at(front, made["url"], "PUT")).status_code == 405
    assert (await at(front, f"{made['url']}/n", "PUT", content=b"1")).status_code == 403


async def test_a_folder_is_listed_by_pages_and_shows_nothing_else_of_its_nodes(
    front: FrontOfTest, maker: Maker
) -> None:
    made = await maker.make("team", "list")
    found, cursor = list[dict[str, Any]](), None
    while True:
        params = {"limit": 1} | ({} if cursor is None else {"cursor": cursor})
        page = (await at(front, made["url"], params=params)).json()["data"]
        found, cursor = found + page["entries"], page["pagination"]["nextCursor"]
        if cursor is None:
            break
    assert [(one["name"], one["kind"], one["sizeBytes"]) for one in found] == [
        ("sub", "directory", 0),
        ("f", "file", 10),
    ]
    assert found[0].keys() == {"name", "kind", "sizeBytes", "lastModifiedAt"}
    below = (await at(front, made["url"], params={"path": "sub"})).json()["data"]
    assert [one["name"] for one in below["entries"]] == ["g"] and below["path"] == "sub"
    for strange in ("..", "../other", "/etc", "f", "none", "sub/../../other"):
        assert (await at(front, made["url"], params={"path": strange})).status_code in (400, 404, 409), strange


async def test_a_file_comes_in_by_its_name_and_replaces_nothing(front: FrontOfTest, maker: Maker) -> None:
    made = await maker.make("team", "upload")
    front.commands.answers = succeeded
    answer = await at(front, f"{made['url']}/new%20name", "PUT", content=b"content", headers={"if-match": "*"})
    assert answer.status_code in (201, 412), answer.text
    answer = await at(front, f"{made['url']}/new%20name", "PUT", content=b"content")
    assert answer.status_code == 201, answer.text
    command = front.commands.last.request
    assert (command.path, command.principal, command.overwrite) == ("team/new name", f"link:{made['id']}", False)
    number = len(front.commands.submissions)
    for strange in ("..", "a%2Fb", "a/b", "%00", "%20/", ".filestore", "x" * 300, ""):
        answer = await at(front, f"{made['url']}/{strange}", "PUT", content=b"1")
        assert answer.status_code in (400, 403, 404), strange
    assert len(front.commands.submissions) == number
    assert (await at(front, made["url"])).status_code == 403


async def test_no_log_shows_the_address(front: FrontOfTest, maker: Maker, capsys: pytest.CaptureFixture[str]) -> None:
    made = await maker.make("team", "upload", password="CANARY")
    front.commands.answers = succeeded
    await at(front, f"{made['url']}/new", "PUT", content=b"1", auth=("", "CANARY"))
    await at(front, f"{made['url']}", auth=("", "CANARY"))
    logged = capsys.readouterr().out
    assert f"/s/{made['id']}-.../new" in logged
    assert made["url"].rpartition("-")[2] not in logged and "CANARY" not in logged


async def test_uses_are_counted_and_end_it_exactly(front: FrontOfTest, maker: Maker) -> None:
    made = await maker.make(maxUses=5)
    answers = await asyncio.gather(*(at(front, made["url"]) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [404] * 5
    async with front.client(maker.token) as client:
        shown = (await client.get(f"/v1/links/{made['id']}")).json()["data"]
    assert (shown["uses"], shown["maxUses"]) == (5, 5) and shown["lastUsedAt"]


async def test_a_password_is_asked_for_and_tried_slowly(front: FrontOfTest, maker: Maker) -> None:
    made = await maker.make(password="right")
    assert made["hasPassword"] and "right" not in str(made)
    missing = await at(front, made["url"])
    assert missing.status_code == 401 and missing.headers["www-authenticate"].startswith("Basic")
    assert (await at(front, made["url"], auth=("", "wrong"))).status_code == 401
    guessed = [(await at(front, made["url"], auth=("", f"wrong{n}"))).status_code for n in range(4)]
    assert 429 in guessed and set(guessed) <= {401, 429}
    await asyncio.sleep(1.1)
    assert (await at(front, made["url"], auth=("any", "right"))).status_code == 200
    answers = [(await at(front, made["url"], auth=("any", "right"))).status_code for _ in range(3)]
    assert answers == [200] * 3, "one that was right is not tried anew"


async def test_requests_are_limited(front: FrontOfTest, maker: Maker) -> None:
    made = await maker.make(requestsPerSecond=2)
    answers = [await at(front, made["url"]) for _ in range(4)]
    assert [answer.status_code for answer in answers][:2] == [200, 200]
    assert answers[3].status_code == 429 and answers[3].headers["retry-after"]


async def test_it_ends_with_its_time_its_revocation_and_its_makers_token(front: FrontOfTest, maker: Maker) -> None:
    short, revoked, lasting = await maker.make(expiresIn=0.3), await maker.make(), await maker.make()
    async with front.client(maker.token) as client:
        ended = await client.delete(f"/v1/links/{revoked['id']}")
        assert ended.status_code == 200 and ended.json()["data"]["revokedAt"] and ended.json()["data"]["url"] is None
        assert (await client.delete(f"/v1/links/{revoked['id']}")).status_code == 200
        journal = await client.get("/v1/journal", params={"command": "revokeLink", "backendMountId": maker.tree.mount})
        assert journal.json()["data"]["entries"] == [], "acts are shown to those who audit"
    assert (await at(front, revoked["url"])).status_code == 404
    await asyncio.sleep(0.4)
    assert (await at(front, short["url"])).status_code == 404
    assert (await at(front, lasting["url"])).status_code == 200
    await maker.revoke()
    assert (await at(front, lasting["url"])).status_code == 404


@pytest.mark.parametrize(
    "changes",
    [{"scopes": ["filestore:read"]}, {"scopes": ["filestore:share"], "grants": [Grant("elsewhere")]},
     {"grants": [Grant("team", "deny")]}, {"grants": [Grant("team", "deny", scopes=("filestore:share",))]}],
)  # fmt: skip
async def test_it_never_gives_more_than_its_maker_may_do_now(
    front: FrontOfTest, maker: Maker, changes: dict[str, Any]
) -> None:
    links = [await maker.make(), await maker.make("team", "list"), await maker.make("team", "upload")]
    await maker.change(**changes)
    assert (await at(front, links[0]["url"])).status_code == 404
    assert (await at(front, links[1]["url"])).status_code == 404
    assert (await at(front, f"{links[2]['url']}/n", "PUT", content=b"1")).status_code == 404
    assert front.commands.submissions == []


@pytest.mark.parametrize(
    ("body", "status"),
    [({"path": "other", "kind": "read"}, 404), ({"path": "team", "kind": "upload"}, 403), ({"path": "none"}, 404),
     ({"path": "", "kind": "list"}, 404), ({"path": "team/f", "kind": "list"}, 409), ({"path": "team", "kind": "read"}, 400),
     ({"path": "team/f", "maxUses": 0}, 400), ({"path": "team/f", "expiresIn": -1}, 400), ({"path": "team/f", "kind": "all"}, 400),
     ({"path": "team/f", "expiresAt": "2020-01-01T00:00:00Z"}, 400), ({"path": "team/f", "password": ""}, 400)],
)  # fmt: skip
async def test_none_is_made_of_what_its_maker_may_not_do(
    front: FrontOfTest, shared: Tree, body: dict[str, Any], status: int
) -> None:
    reader = await front.token("filestore:read", "filestore:share", grants=[Grant("team", mount=shared.mount)])
    async with front.client(reader) as client:
        answer = await client.post("/v1/links", json={"backendMountId": shared.mount, **body})
    assert answer.status_code == status, answer.text


async def test_the_address_is_shown_to_its_maker_alone(front: FrontOfTest, maker: Maker) -> None:
    made = await maker.make("team", "upload")
    async with front.client(maker.token) as client:
        assert (await client.get(f"/v1/links/{made['id']}")).json()["data"]["url"] == made["url"]
    async with front.client(await front.token("filestore:read", "filestore:share", principal="another")) as client:
        page = (await client.get("/v1/links", params={"limit": 100})).json()["data"]["links"]
        [shown] = [one for one in page if one["id"] == made["id"]]
    assert shown["url"] is None


async def test_no_address_that_was_made_up_or_changed_gets_in(front: FrontOfTest, maker: Maker) -> None:
    made = [await maker.make(), await maker.make("team", "list"), await maker.make("team", "upload")]
    chosen = random.Random(7)
    texts = [one["url"].rpartition("/")[2] for one in made]
    signs = "ABCabc019-_.%~é "
    strange = [
        "x",
        "-",
        "0-0",
        "%00",
        "%ff%fe",
        "a" * 5000,
        "9" * 40 + "-" + "A" * 43,
        f"{texts[0]}x",
        texts[0][:-1],
        "1-" + "A" * 43,
    ]
    for _ in range(60):
        text = list(chosen.choice(texts))
        text[chosen.randrange(len(text))] = chosen.choice(signs)
        strange.append("".join(text))
    first, second = (text.split("-", 1) for text in texts[:2])
    strange += [f"{first[0]}-{second[1]}", f"{second[0]}-{first[1]}"]
    async with front.client() as anonymous:
        for text in set(strange) - set(texts):
            for method, path in (("GET", f"/s/{text}"), ("HEAD", f"/s/{text}"), ("PUT", f"/s/{text}/n")):
                answer = await anonymous.request(method, path)
                assert 400 <= answer.status_code < 500, (method, text, answer.status_code)
    assert front.commands.submissions == []


async def test_a_row_that_was_changed_behind_our_back_gives_nothing(front: FrontOfTest, maker: Maker) -> None:
    made = await maker.make()
    async with front.pool.connection() as connection:
        await connection.execute("UPDATE filestore.links SET path = 'other' WHERE id = %s", [made["id"]])
    assert (await at(front, made["url"])).status_code == 404
