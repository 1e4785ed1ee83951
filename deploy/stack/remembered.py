"""What a stack keeps the same across restarts: its ports, its secrets, the variables it gave out."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.stack.ports import free_port, is_free
from deploy.stack.whole_file import write_whole


class Remembered:
    """One JSON file in the stack's folder. Only the supervisor writes it, under the folder's lock."""

    def __init__(self, file: Path, *, prefer_defaults: bool) -> None:
        self._file = file
        # Only a person's stack asks for the well-known ports. Test stacks stay off them: two could start at once, and
        # `make test` must not push the next `make dev` to other ports.
        self._prefer_defaults = prefer_defaults
        stored = json.loads(file.read_text()) if file.exists() else {}
        self._ports: dict[str, int] = stored.get("ports", {})
        self._secrets: dict[str, str] = stored.get("secrets", {})
        self._given_out: dict[str, str] = stored.get("given_out", {})
        self._chosen: dict[str, int] = {}

    def port(self, name: str, default: int) -> int:
        """The port of the last time, else the default; another one when that is taken."""
        if name not in self._chosen:
            port = self._ports.get(name, default if self._prefer_defaults else 0)
            others = self._chosen.values()
            self._chosen[name] = port if port and port not in others and is_free(port) else free_port(others)
            self._ports[name] = self._chosen[name]
            self._save()
        return self._chosen[name]

    def secret(self, name: str, make: Callable[[], str]) -> str:
        if name not in self._secrets:
            self._secrets[name] = make()
            self._save()
        return self._secrets[name]

    def give_out(self, variables: Mapping[str, str]) -> None:
        """Notes the variables of our own servers, see `is_ours`."""
        self._given_out = dict(variables)
        self._save()

    def is_ours(self, variable: str, value: str) -> bool:
        """A shell that has sourced our own env file does not name a foreign server."""
        return self._given_out.get(variable) == value

    def _save(self) -> None:
        stored = {"ports": self._ports, "secrets": self._secrets, "given_out": self._given_out}
        write_whole(self._file, json.dumps(stored, indent=2) + "\n")
