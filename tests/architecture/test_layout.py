"""What keeps the code as it is drawn: names, lightness, queries that no value can change."""

import ast
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ["schema", "activities", "workflows", "api", "workers"]
HEAVY = [
    "psycopg",
    "psycopg_pool",
    "redis",
    "fastapi",
    "uvicorn",
    "pydantic_settings",
    "yaml",
    "activities.executors.local",
    "activities.executors.s3",
    "boto3",
    "obstore",
]
QUERIES = sorted((REPOSITORY / "schema" / "sql").glob("*.sql"))


def sources() -> list[Path]:
    return [file for package in PACKAGES for file in sorted((REPOSITORY / package).rglob("*.py"))]


def module_name(file: Path) -> str:
    parts = file.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# Names


@pytest.mark.parametrize("name", PACKAGES)
def test_a_top_level_name_is_ours(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None
    assert Path(spec.origin).is_relative_to(REPOSITORY / name)
    assert importlib.metadata.packages_distributions().get(name) in (None, ["filestore-service"])


@pytest.mark.parametrize("file", sources(), ids=module_name)
def test_a_module_opens_with_the_line_a_newcomer_needs(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert not tree.body or ast.get_docstring(tree)


# Lightness


def light_modules() -> list[str]:
    """Workflows, and activities but for what moves bytes, however deep they lie."""
    moves_none = ("activities.executors.contract.", "activities.executors.drafts")
    names = {
        module_name(file) for package in ("workflows", "activities") for file in (REPOSITORY / package).rglob("*.py")
    }
    return sorted(name for name in names if not name.startswith("activities.executors.") or name.startswith(moves_none))


def test_what_has_to_be_light_is_found_in_every_folder() -> None:
    found = set(light_modules())
    assert {"activities.commands.begin", "workflows.commands.run", "activities.executors.contract.executor"} <= found
    assert "activities.executors.local" not in found


def test_workflows_and_activities_load_no_client_library_in_a_fresh_interpreter() -> None:
    script = """
import importlib, sys
heavy = sys.argv[1].split()
for name in sys.argv[2].split():
    importlib.import_module(name)
    loaded = [one for one in heavy if one in sys.modules]
    if loaded:
        sys.exit(f"{name} loads {loaded}")
"""
    command = [sys.executable, "-c", script, " ".join(HEAVY), " ".join(light_modules())]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


# Queries


def queries() -> Iterator[tuple[str, str, str]]:
    """Noun, name and text of each."""
    for file in QUERIES:
        parts = re.split(r"^-- name: (\w+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            yield file.stem, name, text.strip()


@pytest.mark.parametrize(
    ("noun", "name", "text"), list(queries()), ids=lambda value: value if "\n" not in value else ""
)
def test_a_query_says_what_it_is_for_and_is_used(noun: str, name: str, text: str) -> None:
    assert re.match(r"-- \w.{10,}", text), "the line after its name is a comment"
    users = [file for file in sources() if f'load("{noun}")' in file.read_text(encoding="utf-8")]
    assert any(f'["{name}"]' in file.read_text(encoding="utf-8") for file in users), "no code asks it"


_RUNS = {"execute", "executemany", "stream", "copy"}


def built_at_run_time(tree: ast.Module) -> Iterator[int]:
    """Lines where text that was put together reaches the database."""
    built = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _is_built(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _RUNS
            and node.args
        ):
            query = node.args[0]
            if _is_built(query) or any(isinstance(part, ast.Name) and part.id in built for part in ast.walk(query)):
                yield node.lineno


def _is_built(query: ast.expr) -> bool:
    """Joining queries of the files with each other is not building: `SQL["one"] + "\\n" + SQL["other"]`."""
    for part in ast.walk(query):
        if isinstance(part, ast.JoinedStr):
            return True
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in ("format", "join"):
            return True
        if isinstance(part, ast.BinOp) and not _is_joined(part):
            return True
    return False


def _is_joined(part: ast.expr) -> bool:
    if isinstance(part, ast.BinOp):
        return isinstance(part.op, ast.Add) and _is_joined(part.left) and _is_joined(part.right)
    if isinstance(part, ast.Subscript):
        return isinstance(part.value, ast.Name) and part.value.id == "SQL"
    return isinstance(part, ast.Constant)


@pytest.mark.parametrize("file", sources(), ids=module_name)
def test_no_query_is_put_together_at_run_time(file: Path) -> None:
    lines = list(built_at_run_time(ast.parse(file.read_text(encoding="utf-8"))))
    assert lines == [], f"{file.relative_to(REPOSITORY)}: lines {lines}"


@pytest.mark.parametrize(
    "code",
    [
        'c.execute(f"SELECT {x}")',
        'c.execute("SELECT " + x)',
        'c.execute("SELECT %s" % x)',
        'c.execute("{}".format(x))',
        'q = f"SELECT {x}"\nc.execute(q)',
        'c.execute(SQL["a"] + x)',
        'c.execute(" ".join(x))',
        'c.stream(f"{x}")',
    ],
)
def test_the_check_for_built_queries_finds_them(code: str) -> None:
    assert list(built_at_run_time(ast.parse(code)))


@pytest.mark.parametrize(
    "code", ['c.execute(SQL["a"], values)', 'Q = SQL["a"] + "\\n" + SQL["b"]\nc.execute(Q)', 'c.execute("SELECT 1")']
)
def test_the_check_for_built_queries_lets_the_others_pass(code: str) -> None:
    assert not list(built_at_run_time(ast.parse(code)))


# Class names


def class_names() -> Counter[str]:
    """Of service and tests, but for the shapes of answers, which are called as the document calls them. The clients are a
    distribution of their own, whose errors are called as the service's."""
    folders = [*PACKAGES, "deploy", "tests"]
    files = [file for folder in folders for file in (REPOSITORY / folder).rglob("*.py") if file.name != "shapes.py"]
    files = [file for file in files if not file.is_relative_to(REPOSITORY / "api/sdk")]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return Counter(node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef))


def test_a_class_name_means_one_thing_in_the_repository() -> None:
    counted = class_names()
    assert len(counted) > 400, "the count finds them"
    assert [name for name, number in counted.items() if number > 1] == []
