"""The clients are a distribution of their own: nothing of the service in it, both manners equal, its pages made of it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from filestore_sdk import errors, unasync
from filestore_sdk.cli import reference

from schema import errors as of_the_service
from tests.fix_stack import REPOSITORY

SDK = REPOSITORY / "api/sdk"
ALL = "filestore_sdk, filestore_sdk.fs, filestore_sdk.mcp, filestore_sdk.cli.app, filestore_sdk.cli.reference"


def test_it_imports_nothing_of_the_service() -> None:
    code = f"import sys, {ALL}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SDK)}, cwd="/", capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"schema", "activities", "workflows", "api", "workers", "psycopg", "temporalio", "fastapi"} & set(loaded)


def test_help_loads_no_http() -> None:
    code = "import sys; from filestore_sdk.cli.run import ended; ended(['--help']); print('httpx2' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SDK)}, capture_output=True, text=True, check=True
    ).stdout
    assert "Usage: filestore" in shown and shown.endswith("False\n")


def test_the_client_that_waits_is_made_of_the_other() -> None:
    for place, content in unasync.made().items():
        assert place.read_text(encoding="utf-8") == content, "run python -m filestore_sdk.unasync"


def test_every_code_of_the_service_is_a_class() -> None:
    below = [of_the_service.FilestoreError]
    codes = set()
    while below:
        kind = below.pop()
        codes.add(kind.code)
        below += kind.__subclasses__()
    assert sorted(codes - set(errors.REFUSALS)) == []
    assert all(kind.next_step for kind in errors.REFUSALS.values())


def test_the_reference_is_made_of_the_commands() -> None:
    page = (REPOSITORY / "docs/clients/cli.md").read_text(encoding="utf-8")
    assert page == reference.page(), "run python -m filestore_sdk.cli.reference > docs/clients/cli.md"


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(tmp_path: Path) -> None:
    [uv] = (REPOSITORY / ".tools").glob("uv-*/bin/uv")

    def run(*command: str | Path) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    run(uv, "build", "--wheel", "--out-dir", tmp_path, SDK)
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "filestore_sdk/py.typed" in names and all(name.startswith("filestore_sdk") for name in names)
    run(uv, "venv", "--python", sys.executable, tmp_path / "empty")
    run(uv, "pip", "install", "--python", tmp_path / "empty/bin/python", f"{wheel}[fsspec,mcp]")
    assert "Usage: filestore" in run(tmp_path / "empty/bin/filestore", "--help")
    run(tmp_path / "empty/bin/python", "-c", f"import {ALL}, fsspec; fsspec.get_filesystem_class('filestore')")
