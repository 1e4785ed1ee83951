"""Content-Disposition of RFC 6266: what a browser does with a file, and the name it saves it under."""

import re
from urllib.parse import quote

_PLAIN = re.compile(r"[\w .,()+=@~-]+", re.ASCII)
_WORD = re.compile(r"[\w.,()+=@~-]", re.ASCII)


def disposition(name: str, kind: str = "attachment") -> str:
    """An ASCII name for old clients, and the exact one percent-encoded (RFC 8187). No name can break out of it.

    `name` is text; names that are not UTF-8 come with U+FFFD, because the encoded form has no way to say such bytes.
    Blanks at either end are cut off by many clients, so they are encoded too.
    """
    if _PLAIN.fullmatch(name) and name == name.strip(" "):
        return f'{kind}; filename="{name}"'
    plain = "".join(letter if letter == " " or _WORD.fullmatch(letter) else "_" for letter in name).strip(" ")
    return f"{kind}; filename=\"{plain or '_'}\"; filename*=UTF-8''{quote(name, safe='')}"
