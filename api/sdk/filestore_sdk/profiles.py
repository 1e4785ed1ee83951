"""Where the server is, and which token to send: flags, then environment, then a profile of the configuration file."""

from __future__ import annotations

import configparser
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FIELDS = ("url", "token", "mount")


@dataclass(frozen=True)
class Profile:
    url: str
    token: str
    sources: Mapping[str, str]
    """Where each value came from, for `filestore doctor`."""


class NoProfile(Exception):
    """Nothing says where the server is, or which token to send."""


def place(environ: Mapping[str, str] = os.environ) -> Path:
    if named := environ.get("FILESTORE_CONFIG"):
        return Path(named)
    base = environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "filestore" / "config.ini"


def read(file: Path) -> configparser.ConfigParser:
    """Raises NoProfile for a file that others can read: a token is in it."""
    found = configparser.ConfigParser(interpolation=None)
    if file.exists():
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise NoProfile(f"{file} can be read by other users, and holds tokens. Run: chmod 600 {file}")
        found.read(file, encoding="utf-8")
    return found


def write(file: Path, parser: configparser.ConfigParser) -> None:
    """The file as a whole, for its owner alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as opened:
        parser.write(opened)
    os.replace(temporary, file)


def chosen(url: str | None, token: str | None, profile: str | None, environ: Mapping[str, str] = os.environ) -> Profile:
    """Raises NoProfile with what to do."""
    name = profile or environ.get("FILESTORE_PROFILE") or "default"
    stored = read(place(environ))
    if profile and not stored.has_section(profile):
        raise NoProfile(f"There is no profile {profile!r}. `filestore config list` names them.")
    section = stored[name] if stored.has_section(name) else {}
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    for field, flag in (("url", url), ("token", token)):
        variable = f"FILESTORE_{field.upper()}"
        for source, value in (
            ("flag", flag), (variable, None if profile else environ.get(variable)), (f"profile {name}", section.get(field)),
        ):  # fmt: skip
            if value:
                values[field], sources[field] = value, source
                break
    if missing := [field for field in ("url", "token") if field not in values]:
        raise NoProfile(
            f"Nothing says the {' and the '.join(missing)}. Set FILESTORE_URL and FILESTORE_TOKEN, give --url and --token, "
            "or store them: filestore config set url http://127.0.0.1:8080"
        )
    return Profile(values["url"], values["token"], sources)
