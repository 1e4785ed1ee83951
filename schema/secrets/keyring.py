"""The keys that stored secrets are sealed with: AES-256-GCM, each text bound to the row that it belongs to.

A sealed text is `sealed:<key id>:<nonce and ciphertext, base64>`. The first key seals; the others open what was sealed before.
"""

import base64
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schema.errors import MountOffline, Unavailable
from schema.ids import MountId
from schema.mounts import Mount
from schema.secrets.references import ReferencesAllowed, SecretUnreadable, fingerprint, is_reference

_SEALED = "sealed:"
_KEY = re.compile(r"([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/_-]{43}=?)")
_NONCE = 12


class Keyring:
    """Of one process. The file is read again when it has changed, so that a key can be added while processes run."""

    def __init__(self, listed: str | None, path: str | None, allowed: ReferencesAllowed) -> None:
        """`listed`: keys separated by commas; they come before the file at `path`, which is made where nothing is listed."""
        self._listed, self._path, self._allowed = listed, path, allowed
        self._keys: dict[str, AESGCM] = {}
        self._first, self._read = "", (-1, -1)
        self._guard = threading.Lock()

    @property
    def current(self) -> str:
        """The id of the key that seals. Raises Unavailable."""
        with self._guard:
            self._load(make=True)
            return self._first

    def keep(self, place: str, secret: str) -> str:
        """What is stored of a secret: the reference, or the sealed text. Blocking. Raises InvalidRequest, Unavailable."""
        if is_reference(secret):
            self._allowed.check(secret)
            return secret
        return self.seal(place, secret)

    def seal(self, place: str, secret: str) -> str:
        key, nonce = self.current, os.urandom(_NONCE)
        text = nonce + self._keys[key].encrypt(nonce, secret.encode(), place.encode())
        return f"{_SEALED}{key}:{base64.b64encode(text).decode()}"

    def open(self, place: str, stored: str) -> str:
        """The secret. A text that is neither sealed nor a reference was stored by a release that did not seal. Raises
        SecretUnreadable."""
        if is_reference(stored):
            return self._allowed.read(stored)
        if not stored.startswith(_SEALED):
            return stored
        _, key, text = stored.split(":", 2)
        try:
            sealed = base64.b64decode(text, validate=True)
            return self._find(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], place.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise SecretUnreadable(
                f"A secret was changed where it is stored, or moved there, or key {key!r} is another one."
            ) from error

    def opened(self, mount: Mount) -> Mount:
        """With its secrets as they are, for its executor alone. Raises MountOffline."""
        try:
            held = {name: self.open(of_mount(mount.id, name), text) for name, text in mount.secrets.items()}
        except SecretUnreadable as error:
            raise MountOffline(f"The secrets of the mount can not be used on this host. {error}") from error
        return replace(mount, secrets=held)

    def fingerprint(self, mount: Mount) -> tuple[object, ...]:
        """Another one when a file that a secret of the mount refers to was written anew."""
        return tuple(fingerprint(text) for text in mount.secrets.values() if is_reference(text))

    def _find(self, key: str) -> AESGCM:
        with self._guard:
            if key not in self._keys:
                self._load(make=False)
            if key not in self._keys:
                raise SecretUnreadable(f"They are sealed with key {key!r}, which this host does not have.")
            return self._keys[key]

    def _load(self, *, make: bool) -> None:
        if self._listed is not None:
            self._take(self._listed.split(",")) if not self._keys else None
            return
        if self._path is None:
            raise Unavailable("There is no key to seal secrets with: see FILESTORE_SECRETS_KEYS_PATH.")
        try:
            if make and not os.path.exists(self._path):
                make_key_file(self._path)
            found = os.stat(self._path)
            if (found.st_ino, found.st_mtime_ns) != self._read:
                self._take(Path(self._path).read_text(encoding="utf-8").splitlines())
                self._read = found.st_ino, found.st_mtime_ns
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unavailable(f"The file with the keys of secrets can not be used: {error.strerror}.") from error

    def _take(self, lines: list[str]) -> None:
        """Keys that were there stay until the process ends. Raises Unavailable."""
        texts = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        found = [_KEY.fullmatch(text) for text in texts]
        if not found or not all(found):
            raise Unavailable("Keys of secrets are written `<id>:<32 bytes as base64>`, and one of them is not.")
        read = {one[1]: AESGCM(_bytes(one[2])) for one in found if one}
        self._keys |= read
        self._first = next(iter(read))


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.rstrip("=").replace("-", "+").replace("_", "/") + "=")


def of_mount(mount: MountId, name: str) -> str:
    """What a secret of a mount is bound to: in another row it does not open."""
    return f"mount:{mount}:{name}"


def of_subscription(id: str) -> str:
    return f"subscription:{id}"


def of_link(id: int) -> str:
    return f"link:{id}"


def new_key() -> str:
    return f"k{secrets.token_hex(4)}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def make_key_file(path: str) -> None:
    """With one key, for its owner alone. Where another process was first, its file stays."""
    write_keys(path, [new_key()], replace_it=False)


def write_keys(path: str, lines: list[str], *, replace_it: bool) -> None:
    """The whole file, or none of it."""
    folder = os.path.dirname(path) or "."
    os.makedirs(folder, mode=0o700, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=folder, prefix=".keys-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if replace_it:
            os.replace(draft, path)
        else:
            _link(draft, path)
    finally:
        if os.path.lexists(draft):
            os.unlink(draft)


def _link(draft: str, path: str) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        return


def sealed_all(keys: Keyring, mount: MountId, told: Mapping[str, str | None]) -> dict[str, str | None]:
    """As they are stored; null withdraws one. Raises InvalidRequest, Unavailable."""
    return {name: None if secret is None else keys.keep(of_mount(mount, name), secret) for name, secret in told.items()}


PLAIN = Keyring(None, None, ReferencesAllowed())
"""Has no key: it opens what was never sealed"""
