"""A form with one file, read as it arrives: first all fields, then the file's bytes."""

import logging
import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.http.fields import METADATA_MAX
from api.http.media import mime, shown_name
from schema.errors import InvalidRequest, PayloadTooLarge

FORM_MAX = 1024 * 1024
"""What the fields and boundaries of a form may need beside its file."""
FIELDS_MAX = 64

# The parser tells each malformed form to the log as well. Its sender hears of it; that is enough.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)

_PLAIN = (b"7bit", b"8bit", b"binary", b"")
"""Of the old encodings of parts those that change nothing (RFC 7578, 4.7)"""
_EXACT_NAME = re.compile(rb"filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)


@dataclass(slots=True)
class FormPart:
    """The headers of a part, and as much of its content as was not taken yet."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    content: list[bytes] = field(default_factory=list)
    size: int = 0


class UploadForm:
    """Feed it the body piece by piece. `fields` are complete when `file` is there; after it comes nothing else."""

    def __init__(self, content_type: str) -> None:
        """Raises InvalidRequest when this is no form."""
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise InvalidRequest("Send a form: Content-Type: multipart/form-data; boundary=...")
        self.fields: dict[str, str] = {}
        self.file: FormPart | None = None
        self.filename: str | None = None
        self.mime_type: str | None = None
        self.ended = False
        self._part = FormPart()
        self._parts, self._fields_size = 0, 0
        self._header = [b"", b""]
        self._parser = _parser(self, boundary)

    def feed(self, chunk: bytes) -> None:
        """Raises InvalidRequest, PayloadTooLarge."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidRequest(f"The form is malformed: {error}.") from error

    def take(self) -> list[bytes]:
        """The file's bytes that came since."""
        if self.file is None:
            return []
        taken, self.file.content = self.file.content, []
        return taken

    def begin_part(self) -> None:
        self._parts += 1
        if self._parts > FIELDS_MAX:
            raise InvalidRequest(f"A form has at most {FIELDS_MAX} parts.")
        if self.file is not None:
            raise InvalidRequest("The file is the last part of the form, and the only one; put all fields before it.")
        self._part = FormPart()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def end_header(self) -> None:
        name, value = self._header
        self._part.headers[name.lower()] = value
        self._header = [b"", b""]

    def end_headers(self) -> None:
        if (coding := self._part.headers.get(b"content-transfer-encoding", b"8bit").strip().lower()) not in _PLAIN:
            shown = coding.decode("ascii", "replace")[:40]
            raise InvalidRequest(f"A part of a form comes as it is, without Content-Transfer-Encoding: {shown}.")
        disposition = self._part.headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        self._part.name = _text(options.get(b"name", b""), "A field's name")
        if b"filename" not in options and b"filename*" not in disposition.lower() and self._part.name != "file":
            if self._part.name in self.fields:
                raise InvalidRequest(f"The form has the field {self._part.name!r} twice.")
            return
        self.file = self._part
        self.filename = _filename(disposition, options.get(b"filename", b""))
        self.mime_type = mime(self._part.headers.get(b"content-type", b"").decode("latin-1"))

    def data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        part.content.append(data[start:end])
        part.size += end - start
        if part is not self.file:
            self._fields_size += end - start
            if part.size > METADATA_MAX or self._fields_size > FORM_MAX:
                raise PayloadTooLarge(f"A field of a form may have {METADATA_MAX} bytes, all of them {FORM_MAX}.")

    def end_part(self) -> None:
        if self._part is not self.file:
            self.fields[self._part.name] = _text(b"".join(self._part.content), f"The field {self._part.name!r}")

    def end(self) -> None:
        self.ended = True


def _parser(form: UploadForm, boundary: bytes) -> MultipartParser:
    try:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin_part,
                "on_header_field": form.header_name,
                "on_header_value": form.header_value,
                "on_header_end": form.end_header,
                "on_headers_finished": form.end_headers,
                "on_part_data": form.data,
                "on_part_end": form.end_part,
                "on_end": form.end,
            },
        )
    except FormParserError as error:
        raise InvalidRequest(f"The form is malformed: {error}.") from error


def _text(raw: bytes, what: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{what} is not UTF-8; send the path of such a name as pathB64.") from error


def _filename(disposition: bytes, plain: bytes) -> str | None:
    exact = _EXACT_NAME.search(disposition)
    raw = unquote_to_bytes(exact[1]) if exact else plain
    return shown_name(raw.decode("utf-8", "replace"))
