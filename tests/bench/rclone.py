"""rclone, for measurements only: built once from the Go module proxy, kept in `tests/bench/.cache`, which git ignores."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

VERSION = "v1.76.0"
PROGRAM = Path(__file__).parent / ".cache" / f"rclone-{VERSION}" / "rclone"


def installed() -> Path:
    """The program, built first if it is not there."""
    if not PROGRAM.exists():
        print(f"building rclone {VERSION} with Go into {PROGRAM.parent}: some minutes, once", flush=True)
        # The person's own settings must not change what is built, or where it is put.
        env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GOBIN": str(PROGRAM.parent)}
        flags = ["-trimpath", "-buildvcs=false", "-ldflags", "-s -w"]
        subprocess.run(
            ["nice", "-n", "10", "go", "install", *flags, f"github.com/rclone/rclone@{VERSION}"], env=env, check=True
        )
    return PROGRAM


def variables(env: Mapping[str, str]) -> dict[str, str]:
    """A remote called `bench`; no file of the person's is read or written."""
    return {
        "RCLONE_CONFIG": "",
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "SeaweedFS",
        "RCLONE_CONFIG_BENCH_ENDPOINT": env["AWS_ENDPOINT_URL"],
        "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": env["AWS_ACCESS_KEY_ID"],
        "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": env["AWS_SECRET_ACCESS_KEY"],
        "RCLONE_CONFIG_BENCH_REGION": "us-east-1",
        "RCLONE_CONFIG_BENCH_NO_CHECK_BUCKET": "true",
    }
