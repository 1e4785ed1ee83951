"""Concurrent clients: one effect per key, one order per path, no client starves, and one bad item hurts no other."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import httpx2

from schema.commands.payloads import LIST_MAX
from tests.fix_service import MountOfTest, Service, upload_parts


def shut(folder: Path, point: str) -> Path:
    """A gate at this point for `hold`; what is told to hold goes on when it is unlinked."""
    gate = folder / "gates" / f"{point}.hold"
    gate.parent.mkdir()
    gate.touch()
    return gate


async def test_the_same_key_at_once_has_one_effect(service: Service, mount: MountOfTest) -> None:
    data, files = upload_parts(mount.id, "f", b"content", "same-key")
    async with service.async_client() as client:
        answers = await asyncio.gather(*[client.post("/v1/files", data=data, files=files) for _ in range(20)])
    assert Counter(a.status_code for a in answers) == {201: 1, 200: 19}
    assert len({a.json()["data"]["journalEntryId"] for a in answers}) == 1
    assert len(service.journal(mount)) == 1


async def test_the_same_key_at_once_with_other_bodies_has_one_winner(service: Service, mount: MountOfTest) -> None:
    async with service.async_client() as client:
        answers = await asyncio.gather(*[
            client.post("/v1/directories", json={"backendMountId": mount.id, "path": f"d{i}", "idempotencyKey": f"one {mount.key}"})
            for i in range(10)
        ])  # fmt: skip
    assert Counter(a.status_code for a in answers) == {201: 1, 409: 9}
    assert {a.json()["error"]["code"] for a in answers if a.status_code == 409} == {"IDEMPOTENCY_CONFLICT"}
    assert len(mount.on_disk()) == 1


async def test_fifty_clients_on_one_path_take_turns(service: Service, mount: MountOfTest) -> None:
    async with service.async_client() as client:

        async def put(number: int) -> int:
            data, files = upload_parts(mount.id, "contested", f"writer {number}".encode(), overwrite="true")
            answer = await client.post("/v1/files", data=data, files=files)
            assert answer.status_code in (200, 201), answer.text
            return int(answer.json()["data"]["node"]["version"])

        versions = await asyncio.gather(*[put(number) for number in range(50)])
    assert sorted(versions) == list(range(1, 51))
    content = mount.on_disk()["contested"]
    assert content is not None and content.startswith(b"writer ")


async def test_one_name_is_given_once(service: Service, mount: MountOfTest) -> None:
    async with service.async_client() as client:
        body = {"backendMountId": mount.id, "path": "only-one"}
        answers = await asyncio.gather(*[client.post("/v1/directories", json=body) for _ in range(30)])
    assert Counter(a.status_code for a in answers) == {201: 1, 409: 29}


async def test_metadata_by_id_finds_its_node_while_it_is_renamed(service: Service, mount: MountOfTest) -> None:
    data, files = upload_parts(mount.id, "name-0", b"content")
    async with service.async_client() as client:
        made = (await client.post("/v1/files", data=data, files=files)).json()["data"]["node"]
        ended = asyncio.Event()

        async def rename() -> list[int]:
            statuses, number = [], 0
            while not ended.is_set():
                body = {"backendMountId": mount.id, "path": f"name-{number}", "targetPath": f"name-{number + 1}"}
                statuses.append((await client.post("/v1/nodes/move", json=body)).status_code)
                number += 1
            return statuses

        async def describe() -> list[int]:
            address, body = f"/v1/nodes/{made['id']}/metadata", {"backendMountId": mount.id, "set": {"a": 1}}
            statuses = [(await client.patch(address, json=body)).status_code for _ in range(40)]
            ended.set()
            return statuses

        renamed, described = await asyncio.gather(rename(), describe())
    assert set(described) == {200} and set(renamed) == {200} and len(renamed) > 5


async def test_many_commands_share_few_workflows(service: Service, mount: MountOfTest) -> None:
    async with service.async_client() as client:
        await asyncio.gather(*[
            client.post("/v1/directories", json={"backendMountId": mount.id, "path": f"n{i}"}) for i in range(128)
        ])  # fmt: skip
    entries = service.journal(mount)
    lists = Counter(entry["workflowId"] for entry in entries)
    assert len(entries) == 128 and max(lists.values()) <= LIST_MAX and len(lists) < 64


async def test_a_directory_is_deleted_or_gets_a_child_never_both(service: Service, mount: MountOfTest) -> None:
    async with service.async_client() as client:
        for round_ in range(10):
            folder = f"d{round_}"
            await client.post("/v1/directories", json={"backendMountId": mount.id, "path": folder})
            data, files = upload_parts(mount.id, f"{folder}/f", b"x")
            deleted, uploaded = await asyncio.gather(
                client.request("DELETE", "/v1/nodes", json={"backendMountId": mount.id, "path": folder}),
                client.post("/v1/files", data=data, files=files),
            )
            assert (deleted.status_code, uploaded.status_code) in ((200, 404), (409, 201)), (
                deleted.text,
                uploaded.text,
            )


async def test_a_slow_item_does_not_hold_up_its_neighbours(
    service: Service, mount: MountOfTest, tmp_path: Path
) -> None:
    gate = shut(tmp_path, "apply.act")
    service.kill("api")
    service.start("api", fault=f"apply.act=hold:{gate.parent}~slow", FILESTORE_APPLY_SECONDS="2")
    async with service.async_client() as client:

        async def make(name: str) -> int:
            return (await client.post("/v1/directories", json={"backendMountId": mount.id, "path": name})).status_code

        first = asyncio.create_task(make("first"))
        await asyncio.sleep(0)
        slow = asyncio.create_task(make("slow"))
        others = await asyncio.gather(*[make(f"n{i}") for i in range(20)])
        assert set(others) == {201} and await first == 201
        assert not slow.done(), "it stands at its step, and all the others are answered"
        gate.unlink()
        assert await slow == 201
    service.kill("api")


async def test_a_poisoned_item_fails_alone(service: Service, mount: MountOfTest) -> None:
    service.kill("api")
    service.start("api", fault="commit.item=fail~poison")
    async with service.async_client() as client:
        names = [f"n{i}" for i in range(10)] + ["poison"] + [f"m{i}" for i in range(10)]
        answers = await asyncio.gather(*[
            client.post("/v1/directories", json={"backendMountId": mount.id, "path": name}) for name in names
        ])  # fmt: skip
    by_name = dict(zip(names, answers, strict=True))
    poisoned = by_name.pop("poison")
    service.kill("api")
    assert {a.status_code for a in by_name.values()} == {201}
    assert poisoned.status_code == 503 and poisoned.json()["error"]["code"] == "UNAVAILABLE"
    assert "poison" not in mount.on_disk()
    service.ensure_running()
    assert service.mkdir(mount, "poison").status_code == 201


async def test_a_quiet_principal_is_not_starved_by_a_loud_one(service: Service, mount: MountOfTest) -> None:
    quiet = service.make_token("quiet", "write")
    async with service.async_client() as loud, service.async_client(token=quiet) as still:
        crowd = [
            asyncio.create_task(loud.post("/v1/directories", json={"backendMountId": mount.id, "path": f"loud{i}"}))
            for i in range(600)
        ]
        await asyncio.sleep(0.3)
        began = time.monotonic()
        answer = await still.post("/v1/directories", json={"backendMountId": mount.id, "path": "quiet"})
        waited = time.monotonic() - began
        ahead = sum(task.done() for task in crowd)
        await asyncio.gather(*crowd)
        total = time.monotonic() - began
    assert answer.status_code == 201
    assert ahead < 600 and waited < max(total, 0.5)


async def test_a_full_queue_is_429_and_says_when_to_come_back(
    service: Service, mount: MountOfTest, tmp_path: Path
) -> None:
    gate = shut(tmp_path, "apply.act")
    service.kill("api")
    service.start("api", fault=f"apply.act=hold:{gate.parent}", FILESTORE_QUEUE_MAX="4")
    async with service.async_client() as client:
        asked = [
            asyncio.create_task(client.post("/v1/directories", json={"backendMountId": mount.id, "path": f"n{i}"}))
            for i in range(60)
        ]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)  # one that is refused: nothing gets done
        gate.unlink()
        answers = await asyncio.gather(*asked)
    service.kill("api")
    by_status = Counter(a.status_code for a in answers)
    assert set(by_status) == {201, 429}, by_status
    refused = next(a for a in answers if a.status_code == 429)
    assert refused.json()["error"]["code"] == "RATE_LIMITED" and int(refused.headers["retry-after"]) >= 1
    assert len(mount.on_disk()) == by_status[201]


async def test_who_waits_for_a_directory_that_is_copied_is_answered_in_the_end(
    service: Service, mount: MountOfTest
) -> None:
    """Only `begin` knows that the source is a directory: what comes into it meanwhile goes back to the queue, often as the
    first of its list, and into the next list before the one that it came from has ended."""
    service.restart(fault="stage.staged=sleep:0.3")

    async def make(client: httpx2.AsyncClient, path: str) -> httpx2.Response:
        return await client.post("/v1/directories", json={"backendMountId": mount.id, "path": path})

    async with service.async_client() as client:
        for folder in ("a", "b", "c", "d"):
            await make(client, folder)
            body = {"backendMountId": mount.id, "path": folder, "targetPath": f"{folder}-copy"}
            copying = asyncio.create_task(client.post("/v1/nodes/copy", json=body))
            await asyncio.sleep(0.1)
            answers = await asyncio.gather(*[make(client, f"{folder}/{number}") for number in range(5)])
            assert [answer.status_code for answer in [await copying, *answers]] == [201] * 6
    service.restart()
