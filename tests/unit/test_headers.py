"""What a client repeats is read once: the work grows with what was sent, and not with its square."""

from collections.abc import Iterator

from starlette.datastructures import Headers, QueryParams

from api.http.fields import Query, read_query
from api.http.headers import joined


class Lines(list[tuple[bytes, bytes]]):
    """Header lines that count how many of them were looked at."""

    seen = 0

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        for line in super().__iter__():
            self.seen += 1
            yield line


def test_a_repeated_header_is_one_list_in_the_order_of_its_lines() -> None:
    headers = Headers(raw=[(b"if-match", b'"a"'), (b"range", b"bytes=0-1"), (b"if-match", b'"b", "c"')])
    assert joined(headers) == {"if-match": '"a", "b", "c"', "range": "bytes=0-1"}


def test_each_header_line_is_looked_at_once() -> None:
    lines = Lines((b"if-none-match", b'"%d"' % number) for number in range(20_000))
    found = joined(Headers(raw=lines))
    assert found["if-none-match"].count(",") == 19_999
    assert lines.seen == len(lines)


class Repeated(Query):
    a: list[str]
    b: str


def test_a_repeated_name_of_a_query_is_a_list_and_a_single_one_is_not() -> None:
    pairs = [("a", str(number)) for number in range(200_000)]
    found = read_query(Repeated, QueryParams([*pairs, ("b", "x")]))
    assert (found.b, len(found.a), found.a[:2], found.a[-1]) == ("x", 200_000, ["0", "1"], "199999")
