"""The table of the rules of drift names a test for each, and that test is there."""

from pathlib import Path

from tests.architecture.test_operation_rules import ROW

REPOSITORY = Path(__file__).resolve().parents[2]


def test_each_rule_of_drift_has_a_test() -> None:
    rules = (REPOSITORY / "docs/drift.md").read_text(encoding="utf-8").partition("## Rules\n")[2]
    rows = ROW.findall(rules)
    assert len(rows) == len({rule for rule, _, _ in rows}) == rules.count("\n| `") >= 34
    for rule, file, name in rows:
        source = (REPOSITORY / (file or "tests/store/test_drift_rules.py")).read_text(encoding="utf-8")
        assert f"def {name}(" in source, f"the test of {rule} is missing"
