"""Temporal with its UI: the dev server of the Temporal CLI on a SQLite file."""

import os
import socket
from collections.abc import Mapping
from dataclasses import replace

from deploy.stack.folder import Folder
from deploy.stack.http_get import http_get
from deploy.stack.part import Part
from deploy.stack.process import Process
from deploy.stack.remembered import Remembered
from deploy.stack.temporal_program import find_program

SETTINGS = (
    # Without the first pragma it is half as fast; the second is what SQLite promises for a power cut.
    *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=full"),
    *("--dynamic-config-value", "system.enableActivityEagerExecution=true"),
    # The dev server has one shard, polled 20 times a second by default: each step that is not eager waited up to 50 ms.
    # Far higher rates make the eager ones slower, because clean-up work gets in between.
    *("--dynamic-config-value", "history.transferProcessorMaxPollRPS=200"),
    *("--dynamic-config-value", "history.timerProcessorMaxPollRPS=200"),
    # A worker that stops says so, and its last polls do not swallow tasks.
    *("--dynamic-config-value", "frontend.enableCancelWorkerPollsOnShutdown=true"),
    *("--search-attribute", "FsMount=Keyword", "--search-attribute", "FsPath=KeywordList"),
    *("--search-attribute", "FsCommand=KeywordList", "--search-attribute", "FsPrincipal=KeywordList"),
    *("--search-attribute", "FsOutcome=Keyword", "--search-attribute", "FsSummary=Keyword"),
)


def existing(address: str, environment: Mapping[str, str]) -> Part:
    ui = environment.get("TEMPORAL_UI_URL", "").rstrip("/")
    variables = {"TEMPORAL_ADDRESS": address, **({"TEMPORAL_UI_URL": ui} if ui else {})}
    return Part("temporal", "Temporal", address, variables, check=lambda: check(variables))


def own(folder: Folder, remembered: Remembered) -> Part:
    port, ui_port = remembered.port("temporal", 7233), remembered.port("temporal_ui", 8233)
    variables = {"TEMPORAL_ADDRESS": f"127.0.0.1:{port}", "TEMPORAL_UI_URL": f"http://127.0.0.1:{ui_port}"}
    data = folder.data("temporal")
    program = find_program()
    argv = (
        *(program.path, "server", "start-dev", "--ip", "127.0.0.1", "--port", str(port), "--ui-port", str(ui_port)),
        *("--db-filename", str(data / "temporal.db"), "--log-level", "error", *SETTINGS),
    )
    process = Process("temporal", argv, cwd=data, log=folder.log("temporal"))
    return Part(
        name="temporal",
        title=f"Temporal ({program.origin})",
        address=f"127.0.0.1:{port}, UI http://127.0.0.1:{ui_port}",
        variables=variables,
        check=lambda: check(variables),
        process=replace(process, env={**os.environ, "TEMPORAL_VERSION_CHECK_DISABLED": "1"}),
        prepare=lambda: data.mkdir(exist_ok=True),
    )


def check(variables: Mapping[str, str]) -> None:
    """Asks the UI for the namespace: it passes the question on, so one answer speaks for UI, frontend and database."""
    if "TEMPORAL_UI_URL" not in variables:  # a foreign server without a UI
        host, _, port = variables["TEMPORAL_ADDRESS"].rpartition(":")
        socket.create_connection((host, int(port)), timeout=2).close()
        return
    http_get(f"{variables['TEMPORAL_UI_URL']}/api/v1/namespaces/default")
