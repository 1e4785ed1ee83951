"""Where a mount may lie that a client asks for: which folders of this host, and which endpoints. Pure."""

import ipaddress
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from schema.errors import InvalidRequest

_METADATA = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_TRANSLATED = ipaddress.ip_network("::ffff:0:0:0/96")
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")
_ULA_METADATA = ipaddress.ip_address("fd00:ec2::254")
_V4_METADATA = {ipaddress.ip_address("169.254.169.254"), ipaddress.ip_address("100.100.100.200")}


def check_root(real: str, roots: Sequence[str]) -> None:
    """`real`: where a local root really lies, without links. `roots`: it lies below one of them. Raises InvalidRequest."""
    path = PurePosixPath(real)
    if not any(path.is_relative_to(root) for root in roots):
        raise InvalidRequest(
            "rootPath does not lie below a folder that is meant for mounts. Choose one below FILESTORE_LOCAL_ROOTS of this "
            "host, or ask its operator.",
            field="rootPath",
        )


def check_endpoint(host: str, addresses: Collection[str], allowed: Sequence[str]) -> None:
    """`addresses`: all that the host's name stands for. `allowed`: names, addresses and networks of the operator. Raises
    InvalidRequest."""
    name = host.lower().rstrip(".")
    if name in allowed:
        return
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        if not is_allowed(address, allowed) and (kind := _kind(stands_for(address))) is not None:
            raise _refused(host, kind)
    if name in _METADATA:
        raise _refused(host, "a service for metadata of this machine")


def is_allowed(address: Address, allowed: Sequence[str]) -> bool:
    for one in allowed:
        try:
            network = ipaddress.ip_network(one, strict=False)
        except ValueError:
            continue  # a name
        if address.version == network.version and address in network:
            return True
    return False


def stands_for(address: Address) -> Address:
    """The IPv4 address that one of IPv6 stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64 or address in _TRANSLATED or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return ipaddress.IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    return address


def _kind(address: Address) -> str | None:
    if address in _V4_METADATA or address == _ULA_METADATA:
        return "a service for metadata of this machine"
    if address.is_loopback or address.is_unspecified:
        return "this machine itself"
    if address.is_link_local:
        return "link-local"
    if address.is_multicast or address == ipaddress.ip_address("255.255.255.255"):
        return "no single machine"
    return None


def _refused(host: str, kind: str) -> InvalidRequest:
    return InvalidRequest(
        f"The endpoint {host!r} is {kind}: requests to it are not sent. Name another one, or ask the operator to allow it with "
        "FILESTORE_ENDPOINTS_ALLOWED.",
        field="config.endpoint",
    )
