"""Every shell block of README.md and docs/ is run, against the service that these tests use."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fix_service import MountOfTest, Service, until
from tests.fix_stack import REPOSITORY

SHELL = ("sh", "bash", "shell", "console")
OTHER = ("text", "mermaid", "yaml", "json", "http", "python", "sql")
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)

ADAPTED = {
    "make dev": ("make --dry-run dev", "it stays in the foreground; tests/deploy/test_dev_stack.py starts the stack"),
    "make test": ("make --dry-run test", "it is what runs this"),
    ".venv/bin/python -m pytest tests/executors": (
        ".venv/bin/python -m pytest -q --collect-only tests/executors/every",
        "the suite runs them, and more of them",
    ),
    '"backendMountId": 1,': ('"backendMountId": {mount},', "the same in JSON"),
    "backendMountId=1": ("backendMountId={mount}", "mounts of tests have other ids; in a new stack 1 is a local one"),
}
"""What can not be run as it stands there, what is run instead, and why."""


@dataclass(frozen=True)
class Block:
    page: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.strip().splitlines()[0]}"


def blocks() -> list[Block]:
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    return [
        Block(str(page.relative_to(REPOSITORY)), language, text)
        for page in pages
        for language, text in _FENCE.findall(page.read_text(encoding="utf-8"))
    ]


def in_shell() -> list[Block]:
    return [block for block in blocks() if block.language in SHELL]


def in_python() -> list[Block]:
    """Programs: the pages of the clients."""
    return [block for block in blocks() if block.language == "python" and block.page.startswith("docs/clients/")]


def adapted(text: str, mount: MountOfTest) -> str:
    for written, (instead, _) in ADAPTED.items():
        text = re.sub(re.escape(written) + r"(?!\S)", instead.format(mount=mount.id), text)
    return text.replace("demo-local", mount.key)


@pytest.fixture
def lake(service: Service) -> None:
    """The blocks ask the Timestore, too: there is one once its consumer has run."""
    if not (Path(service.env["FILESTORE_TIMESTORE_PATH"]) / "main").exists():
        service.start("consumers")
        assert until(lambda: service.call("GET", "/v1/timestore").status_code == 200)


@pytest.fixture
def home(service: Service, lake: None, tmp_path: Path) -> Path:
    """A folder like a checkout beside a development stack that runs: its `.dev/env`, and all of ours by link."""
    folder = tmp_path / "checkout"
    (folder / ".dev").mkdir(parents=True)
    variables = {"FILESTORE_URL": service.url, "FILESTORE_TOKEN": service.token}
    (folder / ".dev" / "env").write_text("".join(f"{n}={shlex.quote(v)}\n" for n, v in variables.items()))
    for part in REPOSITORY.iterdir():
        if part.name not in (".dev", ".git"):
            (folder / part.name).symlink_to(part)
    # A refusal is a failure of the block.
    (folder / ".dev" / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    return folder


def test_a_block_says_what_it_is_written_in() -> None:
    assert [block for block in blocks() if block.language not in (*SHELL, *OTHER)] == []


def test_what_is_adapted_is_written_somewhere() -> None:
    text = "\n".join(block.text for block in in_shell())
    assert [written for written in ADAPTED if written not in text] == []


@pytest.mark.parametrize("block", in_shell(), ids=str)
def test_a_shell_block_runs(block: Block, mount: MountOfTest, home: Path) -> None:
    assert shutil.which("curl"), "README.md needs curl"
    ran = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", adapted(block.text, mount)],
        cwd=home,
        env={
            **os.environ,
            "CURL_HOME": str(home / ".dev"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"{block.text}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"


@pytest.mark.parametrize("block", in_python(), ids=str)
def test_a_program_runs(block: Block, mount: MountOfTest, service: Service) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", adapted(block.text, mount)],
        env={**os.environ, "FILESTORE_URL": service.url, "FILESTORE_TOKEN": service.token, "PYTHONPATH": "api/sdk"},
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, f"{block.text}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"


def test_the_file_that_the_first_page_uploads_is_there_afterwards(
    service: Service, mount: MountOfTest, home: Path
) -> None:
    [block] = [one for one in in_shell() if one.page == "README.md" and "hello.txt" in one.text]
    test_a_shell_block_runs(block, mount, home)
    assert mount.on_disk() == {"hello.txt": (REPOSITORY / "README.md").read_bytes()}
    assert service.at(mount, "hello.txt").status_code == 200


def test_every_verb_of_make_that_a_page_names_is_in_the_makefile() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    named = set(re.findall(r"`make ([a-z-]+)", text))
    assert {"dev", "test-slow", "reset"} <= named
    assert sorted(verb for verb in named if not re.search(rf"^{verb}:", makefile, re.MULTILINE)) == []
