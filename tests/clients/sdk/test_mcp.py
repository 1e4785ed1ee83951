"""The MCP server, asked by the published client of the protocol."""

import json
import os
import sys
from typing import Any

from filestore_sdk import AsyncClient
from filestore_sdk.cli.addresses import remote
from filestore_sdk.mcp import server
from mcp import Client, StdioServerParameters, stdio_client

from tests.fix_service import MountOfTest, Service
from tests.fix_stack import REPOSITORY


async def call(agent: Client, tool: str, **arguments: Any) -> Any:
    result = await agent.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return (result.structured_content or {}).get("result", result.structured_content)


async def refused(agent: Client, tool: str, **arguments: Any) -> str:
    result = await agent.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)  # type: ignore[union-attr]


async def test_an_agent_writes_plans_and_is_rewound(service: Service, mount: MountOfTest) -> None:
    service.upload(mount, "mine", b"not the agent's")
    async with (
        AsyncClient(service.url, service.token, correlation_id="mcp-test-1") as client,
        Client(server(client, "mcp-test-1", writable=True)) as agent,
    ):
        at = f"{mount.key}:"
        await call(agent, "write", place=at + "d/notes.md", text="one")
        assert "NODE_EXISTS" in await refused(agent, "write", place=at + "d/notes.md", text="two")
        await call(agent, "write", place=at + "d/notes.md", text="two", overwrite=True)
        assert (await call(agent, "read_text", place=at + "d/notes.md"))["text"] == "two"
        assert [one["path"] for one in await call(agent, "list_dir", place=at + "d")] == ["d/notes.md"]
        history = await call(agent, "history", place=at + "d/notes.md")
        assert [one["outcome"] for one in history] == ["succeeded", "failed", "succeeded"]
        plan = await call(agent, "plan", kind="delete", place=at + "d")
        assert plan["state"] == "planned" and plan["items"][0]["path"] == "d"
        assert (await call(agent, "apply", operation=plan["id"]))["state"] == "succeeded"
        assert mount.on_disk() == {"mine": b"not the agent's"}
        await call(agent, "undo", id=plan["id"])
        assert mount.on_disk()["d/notes.md"] == b"two"
        agents = [one for one in service.journal(mount) if one["path"] != "mine"]
        assert {one["correlationId"] for one in agents} == {"mcp-test-1"}


async def test_a_session_is_put_back_and_nothing_of_others(service: Service, mount: MountOfTest) -> None:
    service.upload(mount, "mine", b"1")
    session = f"mcp-{mount.key}"
    async with (
        AsyncClient(service.url, service.token, correlation_id=session) as client,
        Client(server(client, session, writable=True)) as agent,
    ):
        at = f"{mount.key}:"
        await call(agent, "write", place=at + "a", text="one")
        await call(agent, "write", place=at + "mine", text="spoiled", overwrite=True)
        await call(agent, "move", place=at + "a", to=at + "b")
        service.upload(mount, "theirs", b"2")
        assert (await call(agent, "undo_session", place=at))["state"] == "succeeded"
        assert mount.on_disk() == {"mine": b"1", "theirs": b"2"}


async def test_a_reader_has_no_tool_that_changes_and_a_root_is_a_wall(service: Service, mount: MountOfTest) -> None:
    service.upload(mount, "secret", b"1")
    service.mkdir(mount, "d")
    async with (
        AsyncClient(service.url, service.token) as client,
        Client(server(client, "s", root=remote(f"{mount.key}:d"))) as agent,
    ):
        tools = (await agent.list_tools()).tools
        assert {tool.name for tool in tools}.isdisjoint({"write", "delete", "move", "apply", "undo"})
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        for place in (f"{mount.key}:secret", f"{mount.key}:d/../secret", f"{mount.key}:", "other:d"):
            assert "outside" in await refused(agent, "stat", place=place)
        assert (await call(agent, "stat", place=f"{mount.key}:d"))["kind"] == "directory"


async def test_it_speaks_over_standard_input_and_output(service: Service, mount: MountOfTest) -> None:
    service.upload(mount, "f", b"1")
    asked = StdioServerParameters(
        command=sys.executable, args=["-c", "from filestore_sdk.cli import main; main()", "mcp"],
        env={
            "PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY / "api/sdk"), "HOME": str(mount.root),
            "FILESTORE_URL": service.url, "FILESTORE_TOKEN": service.token,
        },
    )  # fmt: skip
    async with Client(stdio_client(asked)) as agent:
        found = await agent.call_tool("list_dir", {"place": f"{mount.key}:"})
        assert "f" in json.dumps(found.structured_content)
