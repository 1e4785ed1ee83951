"""The table of the rules of operations names a test for each, and that test is there."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `(\w+)` \| .+ \| (?:`(tests/[\w/]+\.py)`, )?`(test_\w+)` \|$", re.MULTILINE)


def test_each_rule_of_operations_has_a_test() -> None:
    rules = (REPOSITORY / "docs/operations.md").read_text(encoding="utf-8").partition("## Rules\n")[2]
    rows = ROW.findall(rules)
    assert len(rows) == len({rule for rule, _, _ in rows}) == rules.count("\n| `") >= 25
    for rule, file, name in rows:
        source = (REPOSITORY / (file or "tests/store/test_operation_rules.py")).read_text(encoding="utf-8")
        assert f"def {name}(" in source, f"the test of {rule} is missing"
