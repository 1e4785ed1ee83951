"""Mounts in buckets, before one is open: what their place may be called, and which of them meet."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from activities.executors.s3.keys import PREFIX_MAX, Keys
from schema.errors import InvalidRequest
from schema.mounts import Mount

if TYPE_CHECKING:
    from activities.executors.s3.executor import S3Executor

MIB = 1 << 20

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_REGION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?")
_SETTINGS = {"endpoint", "region", "forcePathStyle", "caBundle"}
_PORTS = {"http": 80, "https": 443}


class S3Kind:
    reading, writing = 18 * MIB, 34 * MIB
    """A bucket is read ahead in blocks, and written in several parts at once."""
    direct_reads = True

    def check_place(self, place: Any) -> None:
        if not place.bucket:
            raise InvalidRequest("A mount on S3 needs its bucket.", field="bucket")
        if not _BUCKET.fullmatch(place.bucket) or _ADDRESS.fullmatch(place.bucket):
            raise InvalidRequest(
                "A bucket's name has 3 to 63 small letters, digits, hyphens and single dots, and is no IP address.",
                field="bucket",
            )
        if place.root_path is not None:
            raise InvalidRequest("A mount on S3 has no rootPath; leave it out.", field="rootPath")
        _check_prefix(place.prefix or "")
        _check_config(place.config)
        if ("accessKeyId" in place.secrets) != ("secretAccessKey" in place.secrets):
            raise InvalidRequest("A mount brings accessKeyId and secretAccessKey, or neither of them.", field="config")

    def open(self, mount: Mount, spool: Path) -> S3Executor:
        from activities.executors.s3.executor import S3Executor

        return S3Executor(mount.bucket or "", mount.prefix or "", mount.mount_uuid, mount.config, mount.secrets, spool)

    def prepare(self, mount: Mount, spool: Path) -> None:
        self.open(mount, spool).register()

    def sentinel(self, mount: Mount, spool: Path) -> str | None:
        return self.open(mount, spool).sentinel()

    def meets(self, mount: Mount, other: Mount, spool: Path) -> bool:
        """One bucket can be reached by many names: where the other's sentinel is read through this mount's endpoint, it is the
        same bucket."""
        one, two = Keys(mount.prefix or "").prefix, Keys(other.prefix or "").prefix
        if mount.bucket != other.bucket or not (one.startswith(two) or two.startswith(one)):
            return False
        if _endpoint(mount) == _endpoint(other):
            return True
        return self.open(replace(mount, prefix=other.prefix), spool).sentinel() == other.mount_uuid


def _check_prefix(prefix: str) -> None:
    names = prefix.strip("/").split("/")
    if prefix.strip("/") and any(name in ("", ".", "..") for name in names):
        raise InvalidRequest("Send prefix without '.', '..' and doubled slashes.", field="prefix")
    if ".filestore" in names:
        raise InvalidRequest("The name .filestore is Filestore's own; choose another prefix.", field="prefix")
    if len(prefix.encode("utf-8", "surrogatepass")) > PREFIX_MAX:
        raise InvalidRequest(f"A prefix has at most {PREFIX_MAX} bytes; keys below it need the rest.", field="prefix")


def _check_config(config: Any) -> None:
    """Refuse unknown names: a misspelt one must not go unnoticed."""
    for name in config:
        if name not in _SETTINGS:
            known = ", ".join(sorted(_SETTINGS))
            raise InvalidRequest(f"config.{name} is not known on S3 mounts; they take {known}.", field=f"config.{name}")
    region, endpoint, path_style = (config.get(name) for name in ("region", "endpoint", "forcePathStyle"))
    if region is not None and not (isinstance(region, str) and _REGION.fullmatch(region)):
        raise InvalidRequest(
            "config.region has letters, digits and hyphens, as in eu-central-1.", field="config.region"
        )
    if endpoint is not None and not (isinstance(endpoint, str) and _is_address(endpoint)):
        raise InvalidRequest(
            "config.endpoint is the address of the store: http:// or https://, a host, and a port if need be.",
            field="config.endpoint",
        )
    if path_style is not None and not isinstance(path_style, bool):
        raise InvalidRequest("config.forcePathStyle is true or false.", field="config.forcePathStyle")
    bundle = config.get("caBundle")
    if bundle is not None and not isinstance(bundle, str):
        raise InvalidRequest("config.caBundle is a path, or the certificates as text.", field="config.caBundle")


def _is_address(endpoint: str) -> bool:
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or parts.username or parts.password) and port != 0
    return parts.scheme in _PORTS and bool(parts.hostname) and plain and not re.search(r"\s", endpoint)


def _endpoint(mount: Mount) -> tuple[str, int | None] | None:
    """Host and port, without the scheme. None is AWS itself, whatever its region: a bucket's name is unique there."""
    endpoint = mount.config.get("endpoint")
    if endpoint is None:
        return None
    parts = urlsplit(str(endpoint))
    return (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme)
