"""Which version of a record a client means."""

import re

from starlette.datastructures import Headers

from schema.errors import VersionConflict

_TAG = re.compile(r'(?:W/)?"?([0-9]{1,18})"?')


def wanted_version(headers: Headers, if_match: str | int | None, version: int | None) -> int | None:
    """None: whichever it is. The body wins over the header. Raises VersionConflict for what no record can be."""
    if version is not None:
        return version
    said = headers.get("if-match") if if_match is None else str(if_match)
    if said is None or said.strip() == "*":
        return None
    tag = _TAG.fullmatch(said.strip())
    if tag is None:
        raise VersionConflict("No record has this version. Read it again and decide anew.")
    return int(tag[1])


def check_version(wanted: int | None, is_now: int) -> None:
    """Raises VersionConflict."""
    if wanted is not None and wanted != is_now:
        raise VersionConflict(f"It has version {is_now} now. Read it again and decide anew.", version=is_now)
