"""Two commands at once that would break the tree if both went well. Each test ends with the consistency check."""

import asyncio
import random
from typing import Any

import httpx2
import pytest

from tests.fix_service import MountOfTest, Service, upload_parts

ROUNDS = 12


class RacingClient:
    """Commands on one mount, ready to be gathered. `dice` lets one of them begin a little later than the other."""

    def __init__(self, client: httpx2.AsyncClient, mount: MountOfTest, seed: int) -> None:
        self.client, self.mount, self.dice = client, mount, random.Random(seed)

    async def __call__(self, method: str, url: str, **body: Any) -> httpx2.Response:
        await asyncio.sleep(self.dice.random() * 0.02)
        return await self.client.request(method, url, json={"backendMountId": self.mount.id, **body})

    async def mkdir(self, path: str) -> httpx2.Response:
        return await self("POST", "/v1/directories", path=path)

    async def upload(
        self, path: str, content: bytes, headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx2.Response:
        await asyncio.sleep(self.dice.random() * 0.02)
        data, files = upload_parts(self.mount.id, path, content, **fields)
        return await self.client.post("/v1/files", data=data, files=files, headers=headers)

    async def delete(self, path: str, **body: Any) -> httpx2.Response:
        return await self("DELETE", "/v1/nodes", path=path, **body)

    async def move(self, path: str, target: str, **body: Any) -> httpx2.Response:
        return await self("POST", "/v1/nodes/move", path=path, targetPath=target, **body)

    async def restore(self, **body: Any) -> httpx2.Response:
        return await self("POST", "/v1/nodes/restore", **body)


def codes(*answers: httpx2.Response) -> tuple[str | int, ...]:
    return tuple(a.json()["error"]["code"] if a.status_code >= 400 else a.status_code for a in answers)


@pytest.mark.parametrize("recursive", [False, True])
async def test_a_directory_goes_while_something_comes_into_it(
    service: Service, mount: MountOfTest, recursive: bool
) -> None:
    seen = set()
    async with service.async_client() as http:
        client = RacingClient(http, mount, 1)
        for number in range(ROUNDS):
            await client.mkdir(f"d{number}")
            seen.add(codes(*await asyncio.gather(
                client.delete(f"d{number}", recursive=recursive), client.upload(f"d{number}/f", b"x")
            )))  # fmt: skip
    possible = {(200, "PARENT_NOT_FOUND"), (200, 201) if recursive else ("CHILDREN_EXIST", 201)}
    assert seen <= possible, seen
    files = sum(content is not None for content in mount.on_disk().values())
    assert recursive is (files == 0) or not recursive


async def test_a_file_is_deleted_while_it_is_replaced(service: Service, mount: MountOfTest) -> None:
    """By its version: one of the two, never both."""
    async with service.async_client() as http:
        client = RacingClient(http, mount, 2)
        for number in range(ROUNDS):
            await client.upload(f"f{number}", b"first")
            deleted, replaced = await asyncio.gather(
                client.delete(f"f{number}", ifMatch=1), client.upload(f"f{number}", b"second", {"If-Match": "1"})
            )
            assert codes(deleted, replaced) in ((200, "VERSION_CONFLICT"), ("VERSION_CONFLICT", 200))
            assert (mount.root / f"f{number}").exists() is (replaced.status_code == 200)


async def test_two_moves_build_no_circle(service: Service, mount: MountOfTest) -> None:
    async with service.async_client() as http:
        client = RacingClient(http, mount, 3)
        for number in range(ROUNDS):
            for path in ("a", "a/x", "b", "b/y"):
                await client.mkdir(f"{path}{number}" if "/" not in path else f"{path[0]}{number}/{path[2:]}")
            answers = codes(*await asyncio.gather(
                client.move(f"a{number}", f"b{number}/y/a"), client.move(f"b{number}", f"a{number}/x/b")
            ))  # fmt: skip
            assert answers in (
                (200, "PARENT_NOT_FOUND"),
                (200, "NODE_NOT_FOUND"),
                ("PARENT_NOT_FOUND", 200),
                ("NODE_NOT_FOUND", 200),
            )
        listed = await http.get("/v1/nodes", params={"backendMountId": mount.id, "limit": 200})
    assert {node["path"] for node in listed.json()["data"]["nodes"]} == set(mount.on_disk())
    assert len(mount.on_disk()) == 4 * ROUNDS


async def test_a_directory_moves_while_a_file_in_it_does(service: Service, mount: MountOfTest) -> None:
    async with service.async_client() as http:
        client = RacingClient(http, mount, 4)
        for number in range(ROUNDS):
            await client.mkdir(f"d{number}")
            await client.upload(f"d{number}/f", b"x")
            answers = codes(*await asyncio.gather(
                client.move(f"d{number}", f"e{number}"), client.move(f"d{number}/f", f"f{number}")
            ))  # fmt: skip
            assert answers in ((200, 200), (200, "NODE_NOT_FOUND"))
            there = (mount.root / f"f{number}").exists()
            assert there is (answers[1] == 200) and there is not (mount.root / f"e{number}/f").exists()


async def test_a_deleted_node_comes_back_once(service: Service, mount: MountOfTest) -> None:
    async with service.async_client() as http:
        client = RacingClient(http, mount, 5)
        for number in range(ROUNDS):
            await client.upload(f"f{number}", b"x")
            node = (await client.delete(f"f{number}")).json()["data"]["node"]["id"]
            targets = [f"one{number}", f"two{number}", f"f{number}"]
            answers = codes(
                *await asyncio.gather(*[client.restore(nodeId=node, targetPath=target) for target in targets])
            )
            assert sorted(map(str, answers)) == ["200", "NODE_EXISTS", "NODE_EXISTS"], answers
            assert [(mount.root / target).exists() for target in targets] == [answer == 200 for answer in answers]


async def test_a_directory_comes_back_while_a_file_of_it_does(service: Service, mount: MountOfTest) -> None:
    """The file is in one place afterwards, with one version more for each time that it moved."""
    async with service.async_client() as http:
        client = RacingClient(http, mount, 6)
        for number in range(ROUNDS):
            await client.mkdir(f"d{number}")
            node = (await client.upload(f"d{number}/f", b"x")).json()["data"]["node"]["id"]
            await client.delete(f"d{number}", recursive=True)
            answers = codes(*await asyncio.gather(
                client.restore(path=f"d{number}", targetPath=f"e{number}"),
                client.restore(nodeId=node, targetPath=f"f{number}"),
            ))  # fmt: skip
            assert answers in ((200, 200), (200, "NODE_EXISTS")), answers
            alone, together = (mount.root / f"f{number}").exists(), (mount.root / f"e{number}/f").exists()
            assert alone is (answers[1] == 200) and together is not alone
