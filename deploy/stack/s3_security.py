"""Close the other ports of SeaweedFS to all but itself: its roles talk to each other over TLS with certificates of both
sides, and its files are served only for a key. All secrets lie in the server's own folder, which is private."""

import secrets
from pathlib import Path

import trustme

from deploy.stack.remembered import Remembered
from deploy.stack.whole_file import write_whole

ROLES = ("master", "volume", "filer", "s3", "client")
KEYS = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")


def write_security(data: Path, remembered: Remembered) -> None:
    """`security.toml`, where the server looks for it: in the folder that it works in."""
    if not (data / "tls-ca.pem").exists():
        _make_certificates(data)
    keys = [f'[{name}]\nkey = "{remembered.secret(f"s3_{name}", _key)}"\nexpires_after_seconds = 60\n' for name in KEYS]
    grpc = [f'[grpc.{role}]\ncert = "{data / "tls.pem"}"\nkey = "{data / "tls-key.pem"}"\n' for role in ROLES]
    authority = f'[grpc]\nca = "{data / "tls-ca.pem"}"\n'
    write_whole(data / "security.toml", "\n".join([*keys, authority, *grpc]))


def _key() -> str:
    return secrets.token_hex(32)


def _make_certificates(data: Path) -> None:
    authority = trustme.CA()
    ours = authority.issue_cert("127.0.0.1", "localhost", common_name="filestore")
    write_whole(data / "tls.pem", b"".join(part.bytes() for part in ours.cert_chain_pems).decode())
    write_whole(data / "tls-key.pem", ours.private_key_pem.bytes().decode())
    write_whole(data / "tls-ca.pem", authority.cert_pem.bytes().decode())
