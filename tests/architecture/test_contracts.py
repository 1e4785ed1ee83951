"""Every contract of import-linter is proved: one import that it forbids is planted, and exactly this contract breaks."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LINTER = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
CONTRACTS = [contract["name"] for contract in LINTER["contracts"]]

PLANTED: Mapping[str, Sequence[tuple[str, str]]] = {
    "One way down: workers, api, workflows, activities, schema": [("schema/settings.py", "activities.failures")],
    "Executors do not know each other": [("activities/executors/s3/errors.py", "activities.executors.memory")],
    "The nouns know only the standard library": [("schema/locks.py", "orjson")],
    "Workflow definitions stay light": [("workflows/policies.py", "yaml")],
    "In api: app, uploads, the capabilities, access and dispatch, services, http and submission": [
        ("api/dispatch/answers.py", "api.mounts.known")
    ],
    "Capabilities do not know each other; only uploads use commands": [("api/journal/routes.py", "api.mounts.known")],
    "The dispatch knows no HTTP": [("api/dispatch/queue.py", "starlette.status")],
    "HTTP is spoken without our nouns": [("api/http/ids.py", "schema.principals")],
    "In uploads: routes of every kind, tus beside direct, how each comes in, what is remembered": [
        ("api/uploads/remembered.py", "api.uploads.tus.protocol")
    ],
    "No circles in api": [
        ("api/access/admission.py", "api.dispatch.queue"), ("api/dispatch/staging.py", "api.access.lookups"),
    ],
    "In workers: the wiring is imported by processes alone, and builds what runs in them": [
        ("workers/engine/served.py", "workers.wiring")
    ],
    "In activities: effects, their ports, executors, the table of threads": [
        ("activities/executors/contract/task.py", "activities.commands.tasks")
    ],
    "The engine is handed what it runs: it makes no bus, no threads and no connections": [
        ("workers/engine/engine.py", "workers.buses.redis")
    ],
}  # fmt: skip
"""For each contract the files, and what they import, that break it and no other."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and their contracts, in a folder where they can be spoilt."""
    folder = tmp_path_factory.mktemp("contracts")
    for package in LINTER["root_packages"]:
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    return folder


def broken(folder: Path) -> set[str]:
    """The names of the contracts that are broken there."""
    linter = str(Path(sys.executable).with_name("lint-imports"))
    result = subprocess.run([linter], cwd=folder, capture_output=True, text=True, check=False)
    report = " ".join(result.stdout.split())  # long names are wrapped
    states = {
        name: found[1]
        for name in CONTRACTS
        if (found := re.search(rf"{re.escape(name)}\s+(?:\([^)]*\)\s+)?(KEPT|BROKEN)", report))
    }
    assert states.keys() == set(CONTRACTS), result.stdout + result.stderr
    return {name for name, state in states.items() if state == "BROKEN"}


def test_as_the_packages_are_no_contract_is_broken(copy: Path) -> None:
    assert broken(copy) == set()


@pytest.mark.parametrize("name", CONTRACTS)
def test_an_import_that_a_contract_forbids_breaks_it_alone(copy: Path, name: str) -> None:
    kept = {copy / file: (copy / file).read_text(encoding="utf-8") for file, _ in PLANTED[name]}
    try:
        for file, module in PLANTED[name]:
            (copy / file).write_text(f"{kept[copy / file]}\nimport {module}\n", encoding="utf-8")
        assert broken(copy) == {name}
    finally:
        for path, text in kept.items():
            path.write_text(text, encoding="utf-8")
