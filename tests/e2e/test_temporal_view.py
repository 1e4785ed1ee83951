"""What a person finds in Temporal: the story of a file, by its path; and what nobody may find there."""

import asyncio

from schema.settings import Settings
from tests.fix_service import MountOfTest, Service, until
from workflows.client import connect


async def found(query: str) -> list[tuple[str, str]]:
    """Workflow ids and their whole histories as text."""
    settings = Settings()  # type: ignore[call-arg]
    client = await connect(settings.temporal_address, settings.temporal_namespace)
    rows = [execution async for execution in client.list_workflows(query)]
    return [
        (row.id, (await client.get_workflow_handle(row.id, run_id=row.run_id).fetch_history()).to_json())
        for row in rows
    ]


def test_a_path_a_command_and_a_principal_lead_to_the_workflow(service: Service, mount: MountOfTest) -> None:
    made = service.mkdir(mount, "searched-for").json()["data"]
    principal = service.journal(mount)[0]["principal"]
    queries = [
        f"FsPath = 'searched-for' AND FsMount = '{mount.id}'",
        f"FsCommand = '{made['commandId']}'",
        f"FsPrincipal = '{principal}' AND FsMount = '{mount.id}'",
    ]
    for query in queries:
        assert until(lambda query=query: len(asyncio.run(found(query))) == 1), query  # type: ignore[misc]
    ((workflow, history),) = asyncio.run(found(queries[0]))
    assert workflow == f"cmd/{mount.id}/{made['commandId']}"
    assert workflow == service.journal(mount)[0]["workflowId"]
    assert "searched-for" in _decoded(history)


def test_no_token_metadata_or_content_is_in_a_history(service: Service, mount: MountOfTest) -> None:
    canary = "canary-c0ffee"
    answer = service.upload(mount, "f", f"{canary}-bytes".encode(), metadata={"note": f"{canary}-metadata"})
    assert answer.json()["data"]["node"]["metadata"] == {"note": f"{canary}-metadata"}
    query = f"FsMount = '{mount.id}'"
    assert until(lambda: bool(asyncio.run(found(query))))
    for _, history in asyncio.run(found(query)):
        for payload in (history, _decoded(history)):
            assert canary not in payload and service.token not in payload


def _decoded(history: str) -> str:
    """Payload data is base64 in the JSON of a history."""
    import base64
    import re

    pieces = re.findall(r'"data": ?"([A-Za-z0-9+/=]+)"', history)
    return "\n".join(base64.b64decode(piece).decode("utf-8", "replace") for piece in pieces)
