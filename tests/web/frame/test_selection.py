"""What an address selects, and the address of a selection."""

from __future__ import annotations

import pytest

from modelwatch.errors import InvalidInput
from modelwatch.web.frame.selection import Selection, selection_of

SUNDAY = 1_795_903_200


def test_an_empty_address_selects_48_hours_up_to_the_newest_data() -> None:
    assert selection_of({"version": "", "range": ""}) == Selection()
    assert Selection().stretch(SUNDAY) == (SUNDAY - 48 * 3_600, SUNDAY)


def test_a_stretch_has_its_own_ends() -> None:
    whole = selection_of({"from": "2026-11-28T10:00:00Z", "to": "2026-11-28T14:00:00+02:00"})
    assert whole.stretch(SUNDAY) == (1_795_860_000, 1_795_867_200)
    assert selection_of({"from": "2026-11-28T10:00:00Z"}).stretch(SUNDAY) == (1_795_860_000, SUNDAY)
    assert selection_of({"to": "2026-11-28T10:00:00Z", "range": "6h"}).stretch(SUNDAY) == (1_795_838_400, 1_795_860_000)


def test_a_selection_is_its_address() -> None:
    query = {
        "version": "2.1 <b>",
        "environment": "production",
        "from": "2026-11-28T10:00:00Z",
        "to": "2026-11-28T12:00:00Z",
        "segment": "country=a=b",
        "sort": "psi",
    }
    selection = selection_of(query)
    assert selection.segment == ("country", "a=b")
    assert selection.query() == (
        "?version=2.1%20%3Cb%3E&environment=production&from=2026-11-28T10%3A00%3A00Z&to=2026-11-28T12%3A00%3A00Z"
        "&segment=country%3Da%3Db&sort=psi"
    )
    assert selection.query(start=None, end=None, segment=None, range="7d", sort=None) == (
        "?version=2.1%20%3Cb%3E&environment=production&range=7d"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("range", "5h"),
        ("from", "yesterday"),
        ("to", "2026-11-28T10:04:00Z"),
        ("segment", "country"),
        ("version", "a\0"),
        ("environment", "x" * 513),
        ("from", "0001-01-01T00:00:00Z"),
        ("from", "0001-01-01T00:00:00+14:00"),
        ("to", "1899-12-31T23:59:59Z"),
        ("to", "9999-12-31T23:59:59Z"),
    ],
)
def test_what_selects_nothing_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        selection_of({"from": "2026-11-28T10:00:00Z", name: value})
    assert refused.value.errors[0].pointer == f"/{name}"


def test_a_time_that_no_prediction_can_have_is_refused_with_those_that_it_can() -> None:
    with pytest.raises(InvalidInput) as refused:
        selection_of({"to": "0001-01-01T00:00:00Z"})
    assert refused.value.errors[0].message == "Expected a time from 1900-01-01 00:00 UTC to 9999-12-31 00:00 UTC"
    assert selection_of({"from": "1900-01-01", "to": "9999-12-31"}).query() == (
        "?from=1900-01-01T00%3A00%3A00Z&to=9999-12-31T00%3A00%3A00Z"
    )
