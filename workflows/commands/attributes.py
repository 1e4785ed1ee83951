"""What a person sees of a list in Temporal's list of runs, and finds it by: the search attributes, and a line for each command."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from schema.ids import CommandId, MountId

FS_SUMMARY = SearchAttributeKey.for_keyword("FsSummary")
FS_OUTCOME = SearchAttributeKey.for_keyword("FsOutcome")
FS_PATH = SearchAttributeKey.for_keyword_list("FsPath")
FS_COMMAND = SearchAttributeKey.for_keyword_list("FsCommand")
FS_PRINCIPAL = SearchAttributeKey.for_keyword_list("FsPrincipal")
FS_MOUNT = SearchAttributeKey.for_keyword("FsMount")
ALL = (FS_SUMMARY, FS_OUTCOME, FS_PATH, FS_COMMAND, FS_PRINCIPAL, FS_MOUNT)

_VALUES_MAX = 1800
"""Bytes of one attribute: the server refuses a start beyond 2 KiB. The journal answers in full."""
_SUMMARY_MAX = 200
_WORST_FIRST = ("inconsistent", "failed", "refused", "running", "waits", "joined", "replayed")
"""The first words of what is shown of a command that did not simply succeed"""
_LINES_MAX = 20


class Shows(Protocol):
    """A command that is under way, or one that is resumed: what a person calls it."""

    @property
    def id(self) -> CommandId: ...
    @property
    def kind(self) -> str: ...
    @property
    def principal(self) -> str: ...
    @property
    def shown_paths(self) -> list[str]: ...


def of_commands(requests: Sequence[Shows], mount: MountId, *, atomic: bool = False) -> TypedSearchAttributes:
    return TypedSearchAttributes([
        SearchAttributePair(FS_SUMMARY, summary(requests, atomic=atomic)),
        SearchAttributePair(FS_PATH, cut(path[:255] for request in requests for path in request.shown_paths)),
        SearchAttributePair(FS_COMMAND, cut(request.id for request in requests)),
        SearchAttributePair(FS_PRINCIPAL, cut(sorted({request.principal for request in requests}))),
        SearchAttributePair(FS_MOUNT, str(mount)),
    ])  # fmt: skip


def summary(requests: Sequence[Shows], *, atomic: bool = False) -> str:
    """One line: what a lone command does and where, or how many there are of each kind."""
    if len(requests) == 1:
        return f"{requests[0].kind} {' to '.join(requests[0].shown_paths)}"[:_SUMMARY_MAX]
    kinds = Counter(str(request.kind) for request in requests)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items()) + (": all or none" if atomic else "")


def lines(requests: Sequence[Shows], outcomes: dict[CommandId, str] | None = None) -> str:
    """A line for each command, with its outcome once it has one. Markdown."""
    shown = [_line(request, (outcomes or {}).get(request.id)) for request in requests[:_LINES_MAX]]
    more = len(requests) - len(shown)
    return "\n".join([*shown, *([f"- and {more} more"] if more else [])])


def _line(request: Shows, outcome: str | None) -> str:
    places = " to ".join(f"`{path}`" for path in request.shown_paths)
    return f"- {request.kind} {places} by {request.principal}" + (f": **{outcome}**" if outcome else "")


def word(outcomes: Iterable[str]) -> str:
    """The value of FsOutcome: that of the command for which it went worst."""
    found = {outcome.split(" ")[0] for outcome in outcomes}
    return next((one for one in _WORST_FIRST if one in found), "succeeded")


def cut(values: Iterable[str]) -> list[str]:
    """As many values as fit."""
    kept: list[str] = []
    size = 0
    for value in values:
        size += len(value.encode("utf-8", "replace")) + 4
        if size > _VALUES_MAX:
            break
        kept.append(value)
    return kept
