"""How a mount on S3 is reached: endpoint, region, credentials; and the clients its whole process shares."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from activities.executors.s3.wire.signature import Credentials
from activities.executors.s3.wire.wire import Endpoint, Patience, Wire, place_of
from schema.errors import InvalidRequest

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CONNECT_SECONDS = 3.0
READ_SECONDS = 15.0
"""Without a byte for so long a request has failed. Nothing is tried twice here: the workflow does that."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a mount says. What it does not say comes from the standard AWS variables, files or roles, found by boto3."""

    endpoint: str | None = None
    region: str | None = None
    path_style: bool = False
    ca_bundle: str | None = None
    """A path, or the certificates themselves (PEM)"""
    key: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


def account_of(config: Mapping[str, Any], secrets: Mapping[str, str]) -> Account:
    """`S3Kind.check_place` has seen both."""
    endpoint = config.get("endpoint")
    return Account(
        endpoint=endpoint,
        region=config.get("region"),
        # Private servers rarely have a host name for each bucket.
        path_style=bool(config.get("forcePathStyle", endpoint is not None)),
        ca_bundle=config.get("caBundle"),
        key=secrets.get("accessKeyId"),
        secret=secrets.get("secretAccessKey"),
        token=secrets.get("sessionToken"),
    )


def connect(account: Account, connections: int, folder: Path | None = None) -> S3Client:
    """A client for all threads. Sends no request. `folder`: where certificates that came as text are put."""
    return _client(_session(account, _core()), account, connections, folder)


def wired(account: Account, bucket: str, connections: int, folder: Path | None = None) -> tuple[S3Client, Wire]:
    """The client, and beside it the wire for what is asked for often. Sends no request."""
    core = _core()
    client = _client(_session(account, core), account, connections, folder)
    wire = Wire(
        lambda: _place(client, account, bucket, folder),
        lambda: _credentials(core),
        _certificates(account.ca_bundle, folder) or core.get_config_variable("ca_bundle") or True,
        connections,
        Patience(CONNECT_SECONDS, READ_SECONDS),
    )
    return client, wire


def _credentials(core: botocore.session.Session) -> Credentials | None:
    """The credentials as they are now: those of a role are renewed before they end."""
    found = core.get_credentials()
    if found is None:
        return None
    now = found.get_frozen_credentials()
    return Credentials(now.access_key or "", now.secret_key or "", now.token)


def _place(client: S3Client, account: Account, bucket: str, folder: Path | None) -> Endpoint:
    """A mount on AWS need not say its region. Any region of AWS, asked once, tells the right one."""
    if account.endpoint is None:
        try:
            answer: Any = client.head_bucket(Bucket=bucket)
        except ClientError as error:
            answer = error.response
        region = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("x-amz-bucket-region")
        if region and region != client.meta.region_name:
            client = connect(replace(account, region=region), 1, folder)
    return place_of(client, bucket)


def _core() -> botocore.session.Session:
    core = botocore.session.Session()
    core.register_component("data_loader", _descriptions())
    return core


def _session(account: Account, core: botocore.session.Session) -> boto3.session.Session:
    return boto3.session.Session(account.key, account.secret, account.token, account.region, botocore_session=core)


def _client(session: boto3.session.Session, account: Account, connections: int, folder: Path | None) -> S3Client:
    client: S3Client = session.client(
        "s3",
        endpoint_url=account.endpoint,
        region_name=account.region or session.region_name or "us-east-1",
        verify=_certificates(account.ca_bundle, folder),
        config=Config(
            signature_version="s3v4",
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": 1},
            max_pool_connections=connections,
            tcp_keepalive=True,
            s3={"addressing_style": "path"} if account.path_style else {},
            # Ours are SHA-256, and sent with each body; the default would add a CRC of its own.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    return client


@functools.cache
def _descriptions() -> botocore.loaders.Loader:
    """What the library knows of the service, read once for all mounts: that takes most of the time of a new client."""
    return botocore.loaders.create_loader()


def _certificates(bundle: str | None, folder: Path | None) -> str | None:
    if bundle is None or "-----BEGIN" not in bundle:
        return bundle
    if folder is None:
        raise InvalidRequest("Certificates as text need a spool folder; name a file instead.", field="config.caBundle")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"ca-{hashlib.sha256(bundle.encode()).hexdigest()[:16]}.pem"
    if not file.exists():
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_text(bundle)
        draft.rename(file)
    return str(file)
