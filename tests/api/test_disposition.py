"""No file name breaks out of its header, and every one arrives as it is."""

import random
from urllib.parse import unquote

import pytest

from api.http.disposition import disposition


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.txt", 'attachment; filename="a.txt"'),
        ("a b (1).txt", 'attachment; filename="a b (1).txt"'),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("a\r\nSet-Cookie: x=1",
        "attachment; filename=\"a__Set-Cookie_ x=1\"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x%3D1"),
        (" a ", "attachment; filename=\"a\"; filename*=UTF-8''%20a%20"), ("a.", 'attachment; filename="a."'),
        ("\U0001f600", "attachment; filename=\"_\"; filename*=UTF-8''%F0%9F%98%80"),
        (" ", "attachment; filename=\"_\"; filename*=UTF-8''%20"),
        ("a%41", "attachment; filename=\"a_41\"; filename*=UTF-8''a%2541"),
        ("é.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt"),
        ("a;b\\c", "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%3Bb%5Cc"),
        ("�.bin", "attachment; filename=\"_.bin\"; filename*=UTF-8''%EF%BF%BD.bin"),
    ],
)  # fmt: skip
def test_no_name_breaks_out_of_its_header(name: str, header: str) -> None:
    assert disposition(name) == header
    assert header.isascii() and "\n" not in header and "\r" not in header


def test_every_name_arrives_as_it_is() -> None:
    dice = random.Random(6266)
    letters = ['"', "\\", ";", "\r", "\n", "\0", "%", "'", " ", ".", "a", "é", "\U0001f600", "\u202e", "\x7f", "*", "="]
    for _ in range(2000):
        name = "".join(dice.choice(letters) for _ in range(dice.randrange(1, 12)))
        header = disposition(name, "inline")
        plain, _, exact = header.partition("; filename*=UTF-8''")
        assert header.isascii() and header.isprintable()
        assert plain.startswith('inline; filename="') and plain.count('"') == 2 and plain.endswith('"')
        assert (unquote(exact) if exact else plain.split('"')[1]) == name
