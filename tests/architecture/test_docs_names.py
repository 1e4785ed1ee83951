"""What the documentation names is there: files, tests, decisions, links; and each claim of a decision names its test."""

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [
    REPOSITORY / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *sorted((REPOSITORY / "docs" / "decisions").glob("*.md")),
]
DECISIONS = [page for page in PAGES if page.parent.name == "decisions" and page.name != "index.md"]
_FILE = re.compile(r"[\w./*{},-]*\w\.(?:py|sql|md)\b")
_TEST = re.compile(r"\btest_\w+\b(?!\*|\.py|_\*)")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def shown(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


@cache
def own_paths() -> list[str]:
    """Every file of ours, as a path from the top."""
    top = [file for file in REPOSITORY.iterdir() if not file.name.startswith(".")]
    files = [file for part in top for file in ([part] if part.is_file() else part.rglob("*")) if file.is_file()]
    return [str(file.relative_to(REPOSITORY)) for file in files]


@cache
def own_tests() -> frozenset[str]:
    files = (REPOSITORY / "tests").rglob("*.py")
    found = {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))}
    return frozenset(found | {file.stem for file in (REPOSITORY / "tests").rglob("test_*.py")})


def is_there(name: str, page: Path) -> bool:
    """A path from the top or from the page, or, where the page has said which folder it speaks of, the end of one."""
    if "*" in name:
        return any(REPOSITORY.glob(name))
    return (page.parent / name).is_file() or any(f"/{path}".endswith(f"/{name}") for path in own_paths())


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_a_file_that_a_page_names_is_there(page: Path) -> None:
    named = set(_FILE.findall(page.read_text(encoding="utf-8")))
    assert sorted(name for name in named if not is_there(name, page)) == []


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_a_test_that_a_page_names_is_there(page: Path) -> None:
    named = set(_TEST.findall(page.read_text(encoding="utf-8")))
    assert sorted(named - own_tests()) == []


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_a_link_leads_somewhere(page: Path) -> None:
    links = set(_LINK.findall(page.read_text(encoding="utf-8")))
    assert sorted(link for link in links if not (page.parent / link).exists()) == []


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_a_python_that_a_page_runs_is_that_of_the_checkout(page: Path) -> None:
    """A fresh machine may have no `python`, and none that has our packages."""
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"(?<![\w./])python3? +-m [\w.]+", text) == []
    modules = re.findall(r"\.venv/bin/python -m ([\w.]+)", text)
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


def test_a_name_that_nothing_has_is_found_out() -> None:
    page = REPOSITORY / "README.md"
    assert is_there("schema/errors.py", page) and is_there("errors.py", page) and is_there("docs/index.md", page)
    assert not is_there("schema/mistakes.py", page) and not is_there("other/errors.py", page)
    assert _TEST.findall("`test_that_never_was`, `tests/x/test_a.py`, `test_s3_*.py`") == ["test_that_never_was"]


@pytest.mark.parametrize("page", DECISIONS, ids=shown)
def test_a_decision_names_the_tests_that_keep_it(page: Path) -> None:
    kept = page.read_text(encoding="utf-8").split("**Kept by**")
    assert len(kept) == 2 and re.search(r"tests/\w", kept[1])


def test_every_decision_is_in_the_index_under_its_number_and_title() -> None:
    index = (REPOSITORY / "docs" / "decisions" / "index.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:\[(\d+)\]\((\S+)\)|(\d+)) \| (.+) \|$", index, re.MULTILINE)
    numbers = [int(linked or bare) for linked, _, bare, _ in rows]
    assert numbers == list(range(1, len(numbers) + 1))
    titles = {page.name: page.read_text(encoding="utf-8").splitlines()[0] for page in DECISIONS}
    assert {file: f"# {number}. {title}" for number, file, _, title in rows if file} == titles
    assert {title for _, file, _, title in rows if not file} <= {"never given"}


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    page = (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| ([a-z][a-z -]*) \| .+ \|$", page, re.MULTILINE)
    words.remove("word")
    assert len(words) > 40 and words == sorted(set(words))
