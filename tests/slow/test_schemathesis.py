"""Schemathesis finds nothing: what the document says is what the service does, for requests that fit it and for those that
do not. Seeded and bounded; `SUITE_SEED` chooses other requests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fix_service import MountOfTest, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

TOOL = Path(sys.executable).with_name("schemathesis")
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
EXAMPLES = 60
"""Of each operation, beside those that follow from the limits of its parameters"""
CONFIG = """
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
negative_data_rejection.expected-statuses = ["4xx", "503"]
missing_required_header.expected-statuses = ["4xx"]
[[operations]]
include-path = "/v1/events/stream"
enabled = false
[[operations]]
include-path = "/v1/events"
parameters = { wait = 0 }
"""
"""Other tests leave mounts behind that are switched off, and a list tells of them: 503 is said of these, while a defect is
500. tus and conditions refuse with 412, which the tool does not count as a refusal. Whether a status is one that the
document has for its operation is another check. A stream never ends; a poll could be asked to wait half a minute."""
NOT_CHECKED = "positive_data_acceptance"
"""What fits the document can be refused all the same: a path leads nowhere, a condition does not hold."""


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_schemathesis_finds_nothing(service: Service, mount: MountOfTest, tmp_path: Path, mode: str) -> None:
    token = service.make_token("fuzzer", "read", "write")
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    done = subprocess.run(
        [TOOL, "run", f"{service.url}/openapi.json", "--mode", mode, "--phases", "examples,coverage,fuzzing", "--max-examples",
         str(EXAMPLES), "--seed", os.environ.get("SUITE_SEED", "20261129"), "--exclude-checks", NOT_CHECKED, "--no-color",
         "--continue-on-failure", "--generation-database", "none", "--suppress-health-check", "filter_too_much",
         "--header", f"Authorization: Bearer {token}"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS), "FILESTORE_FUZZED_MOUNT": str(mount.id)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
