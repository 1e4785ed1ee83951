"""A date is a text with a date in it: a number is none, however it comes."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from api.http.fields import Moment

READ = TypeAdapter[Any](Moment)


@pytest.mark.parametrize(
    "text", ["0", "1767225600", "-1", "1e9", "20260101T000000Z", "2026-1-1T00:00:00Z", "now", "", "12:00Z"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        READ.validate_python(text)


@pytest.mark.parametrize("value", [0, 1767225600, 1.5, True, None])
def test_a_number_is_no_date(value: object) -> None:
    with pytest.raises(ValidationError):
        READ.validate_python(value)


@pytest.mark.parametrize("text", ["2026-01-01", "2026-01-01T00:00:00"])
def test_without_a_zone_it_is_not_known_when_that_was(text: str) -> None:
    with pytest.raises(ValidationError):
        READ.validate_python(text)


@pytest.mark.parametrize(
    "text",
    ["2026-01-01T00:00:00Z", "2026-01-01 01:00:00+01:00", "2026-01-01t00:00:00.000z", "2025-12-31T19:00:00-05:00"],
)
def test_dates_of_the_same_moment_are_the_same(text: str) -> None:
    assert READ.validate_python(text).timestamp() == 1767225600
