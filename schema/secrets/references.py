"""References: a secret that is stored as the name of a place on the host, `env:NAME` or `file:/path`."""

import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from schema.errors import InvalidRequest

MAX_BYTES = 64 * 1024


class SecretUnreadable(Exception):
    """What is stored can not be turned into the secret here. The message names the key or the place, never a secret."""


@dataclass(frozen=True, slots=True)
class ReferencesAllowed:
    """What clients may refer to: without such a rule a reference would read any file, and any variable, of the host."""

    variables: Sequence[str] = ()
    """Names of environment variables, with `*`"""
    folders: Sequence[str] = ()

    def check(self, reference: str) -> None:
        """Raises InvalidRequest."""
        if (why := self._refusal(reference)) is not None:
            raise InvalidRequest(why)

    def read(self, reference: str) -> str:
        """The secret itself. Raises SecretUnreadable."""
        if (why := self._refusal(reference)) is not None:
            raise SecretUnreadable(why)
        scheme, _, name = reference.partition(":")
        return _variable(name) if scheme == "env" else _content(name)

    def _refusal(self, reference: str) -> str | None:
        scheme, _, name = reference.partition(":")
        if scheme == "env":
            if any(fnmatch.fnmatchcase(name, one) for one in self.variables):
                return None
            return f"The variable {name!r} is not one that secrets may be read from. See FILESTORE_SECRETS_ENV."
        if any(_real(name).is_relative_to(_real(folder)) for folder in self.folders):
            return None
        return (
            f"The file {name!r} does not lie in a folder that secrets may be read from. See FILESTORE_SECRETS_FOLDERS."
        )


def is_reference(text: str) -> bool:
    return text.startswith(("env:", "file:/"))


def fingerprint(reference: str) -> tuple[int, ...]:
    """Another one when the file was written anew. Of a variable, and of what is not there, always the same."""
    scheme, _, name = reference.partition(":")
    if scheme != "file":
        return ()
    try:
        found = os.stat(name)
    except (OSError, ValueError):
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _real(path: str) -> PurePosixPath:
    """Where it lies without links: one inside of a folder may lead out of it."""
    return PurePosixPath(os.path.realpath(path.replace("\0", "")))


def _variable(name: str) -> str:
    if not (value := os.environ.get(name)):
        raise SecretUnreadable(f"The variable {name!r} is not set in this process.")
    return value


def _content(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode()
    except (OSError, ValueError) as error:
        raise SecretUnreadable(f"The file {path!r} can not be read: {type(error).__name__}.") from error
    if not text.strip() or len(content) > MAX_BYTES:
        raise SecretUnreadable(f"The file {path!r} is empty, or has more than {MAX_BYTES} bytes.")
    return text.rstrip("\r\n")
