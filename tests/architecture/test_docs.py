"""The documentation does not fall behind: settings, error codes, fault points and findings are written down."""

import subprocess
from pathlib import Path

import pytest
from pydantic import AliasChoices

from schema.check import FindingKind
from schema.errors import BY_CODE
from schema.faults import POINTS
from schema.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]


def docs() -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted((REPOSITORY / "docs").glob("*.md")))


def variables() -> list[str]:
    """The environment variable of each setting; of those with several names the first."""
    names = []
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        names.append(str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"FILESTORE_{name.upper()}")
    return names


@pytest.mark.parametrize("variable", [*variables(), "FILESTORE_FAULT"])
def test_a_setting_is_documented(variable: str) -> None:
    assert variable in docs()


@pytest.mark.parametrize("code", BY_CODE)
def test_an_error_code_is_documented(code: str) -> None:
    assert f"`{code}`" in docs()


@pytest.mark.parametrize("point", POINTS)
def test_a_fault_point_is_documented(point: str) -> None:
    assert f"`{point}`" in docs()


@pytest.mark.parametrize("kind", FindingKind)
def test_a_kind_of_finding_is_documented(kind: FindingKind) -> None:
    assert f"`{kind}`" in docs()


def test_every_table_is_in_the_diagram_of_the_schema() -> None:
    schema = (REPOSITORY / "schema" / "schema.sql").read_text(encoding="utf-8")
    tables = [
        line.split()[2].removeprefix("filestore.") for line in schema.splitlines() if line.startswith("CREATE TABLE")
    ]
    page = (REPOSITORY / "docs" / "schema.md").read_text(encoding="utf-8")
    diagram = page.split("```mermaid")[1].split("```")[0]
    missing = [table for table in tables if f"    {table} " not in diagram]
    assert tables and missing == []


def own_files() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [REPOSITORY / name for name in names if (REPOSITORY / name).is_file()]


def test_no_file_knows_the_folder_it_was_written_in() -> None:
    strange = ["/" + "work/", "../" + "shared/"]
    guilty = []
    for file in own_files():
        text = file.read_bytes().decode("utf-8", "replace")
        guilty += [f"{file.relative_to(REPOSITORY)}: {word}" for word in strange if word in text]
    assert guilty == []
