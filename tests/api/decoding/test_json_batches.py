"""Rows of JSON that become columns together are the events, and the refusals, that they are one by one."""

from __future__ import annotations

import gc
import itertools
import json
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.decoding.json_batches import columnar, row_types
from modelwatch.api.decoding.json_batches import rows as json_rows
from modelwatch.api.decoding.values import Limits
from modelwatch.errors import InvalidInput, MalformedBody
from modelwatch.stats.counting.columns import FloatColumn, IntegerColumn, TextColumn
from tests.support.events import NOON, numbered

LIMITS = Limits(max_features=6, max_name_length=40, max_value_length=20)
JSON, NDJSON = "application/json", "application/x-ndjson"

NUMBERS = (
    st.floats(-4.0, 4.0) | st.integers(-3, 3) | st.sampled_from([2**53 + 1, 2**64 - 1, 2**64, -(2**63) - 1, 2**70])
)
TEXTS = st.sampled_from(["red", "größe", 'a "quoted": text', "1", "", "x" * 20, "x" * 21])
# Each feature in one type, as most are, or in any.
VALUE = st.one_of(st.none(), NUMBERS, TEXTS, st.booleans())
FEATURES = {
    "amount": st.floats(-4.0, 4.0),
    "count": st.integers(-3, 2**40),
    "color": st.none() | st.sampled_from(["red", "green"]),
    "member": st.booleans(),
    "any": VALUE,
}
NAMES = st.sampled_from([*FEATURES, "", "n" * 41, "tab\t"])
FEATURE_MAPS = st.one_of(
    st.fixed_dictionaries(FEATURES),
    st.fixed_dictionaries(FEATURES),
    st.dictionaries(NAMES, VALUE, max_size=8),
)
FEATURE_LISTS = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES, "value": VALUE},
        optional={"data_type": st.sampled_from([None, "continuous", "categorical"])},
    ),
    max_size=8,
)
SHARES = st.one_of(
    st.floats(0.0, 1.0),
    st.sampled_from([0, 1, 1.0000001, 1.5, -1, {}, {"a": 0.5, "b": 0.5}, {"a": 1.0000001}, {"a": 2.0}, {"": 1.0}]),
)
ROW = st.fixed_dictionaries(
    {
        "model_name": st.sampled_from(["fraud", "fraud", "fraud", "churn", "", ".", "ab", "m" * 41]),
        "prediction": st.one_of(
            st.sampled_from(["yes", "no"]), st.floats(0.0, 1.0), VALUE.filter(lambda v: v is not None)
        ),
        "features": FEATURE_MAPS | FEATURE_LISTS,
    },
    optional={
        "prediction_id": st.none() | st.sampled_from([f"id-{n}" for n in range(20)] + ["", "..", "1", "i" * 41]),
        "model_version": st.sampled_from([None, "unversioned", "2.1.0", "", "v" * 41]),
        "environment": st.sampled_from([None, "production", "staging"]),
        "timestamp": st.sampled_from(
            [None, "2025-06-15T14:00:00Z", "2025-06-15T16:00:00+02:00", "1850-01-01T00:00:00Z", "2999-01-01T00:00:00"]
        ),
        "prediction_probability": st.none() | SHARES,
        "latency_ms": st.sampled_from([None, 0, 1.5, -1.0, 2**70]),
        "ground_truth": VALUE,
    },
)
# What a body may hold that is decoded in another way.
ODD = st.sampled_from(
    [{"surprise": 1}, {"prediction_id": "nul \0"}, {"ground_truth": 10**400}, {"latency_ms": "slow"}, {}]
)


def as_list(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps(rows).encode()


def as_object(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps({"predictions": rows}, ensure_ascii=False, separators=(",", ":")).encode()


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows) + b"\n\n"


def decoded(body: bytes, kind: str, defaults: dict[str, str] | None = None) -> Any:
    """What a body becomes, down to the types of its values, or the error that it is refused with."""
    decoder = Decoder(LIMITS, lambda: NOON, lambda: "made-here")
    try:
        batch = decoder.batch(body, kind, defaults)
    except (InvalidInput, MalformedBody) as error:
        return type(error), error.detail, error.errors
    # Rows that name the same features keep the order of the first.
    fields = [(repr(structs.replace(event, features={})), event.features) for event in batch.events]
    return [
        (rest, sorted((name, repr(value)) for name, value in values.items())) for rest, values in fields
    ], batch.rejected


def both_ways(monkeypatch: pytest.MonkeyPatch, body: bytes, kind: str, defaults: dict[str, str] | None = None) -> Any:
    """The same body, its rows together and one by one."""
    with monkeypatch.context() as patched:
        patched.setattr(columnar, "FEW_ROWS", 0)
        patched.setattr(json_rows, "WORTH_A_LOOK", 1)
        patched.setattr(row_types, "VALUES_WORTH_A_MAP", 1)
        patched.setattr(row_types, "ROWS_WORTH_A_LIST", 1)
        together = decoded(body, kind, defaults)
        patched.setattr(columnar, "FEW_ROWS", sys.maxsize)
        patched.setattr(columnar, "FEW_BYTES", sys.maxsize)
        return together, decoded(body, kind, defaults)


@pytest.mark.parametrize(("written", "kind"), [(as_list, JSON), (as_object, JSON), (as_lines, NDJSON)])
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    rows=st.lists(ROW, min_size=1, max_size=8),
    times=st.sampled_from([1, 1, 9]),
    usual=st.integers(0, 3),
    odd=st.none() | ODD,
    listed=st.booleans(),
)
def test_rows_together_are_what_they_are_one_by_one(
    written: Callable[[list[dict[str, Any]]], bytes],
    kind: str,
    rows: list[dict[str, Any]],
    times: int,
    usual: int,
    odd: dict[str, Any] | None,
    listed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Most rows of a batch are alike.
    alike = [row(f"usual-{place}") for place in range(10 * usual)]
    if listed:
        alike = [{**each, "features": as_typed(each["features"])} for each in alike]
    others = [] if odd is None else [row("odd", **odd)]
    together, one_by_one = both_ways(monkeypatch, written([*alike, *rows * times, *others]), kind)
    assert together == one_by_one


@pytest.mark.parametrize("names", [["x"], ["x", "y"]])
@pytest.mark.parametrize("typed", [False, True])
def test_a_row_that_names_its_features_twice_and_one_without_any_do_not_make_up_for_each_other(
    names: list[str], typed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All names in one line are as if each row had them once."""
    kind = {"data_type": "continuous"} if typed else {}

    def of(place: int, times: int) -> dict[str, Any]:
        features = [{"name": name, "value": float(place), **kind} for name in names * times]
        return row(f"id-{place}", features=features)

    rows = [of(place, {1: 2, 9: 0}.get(place, 1)) for place in range(100)]
    together, one_by_one = both_ways(monkeypatch, as_list(rows), JSON)
    assert together == one_by_one
    decoder = Decoder(LIMITS, lambda: NOON, lambda: "made-here")
    batch = decoder.batch(as_list(rows), JSON)
    assert [(each.index, each.pointer) for each in batch.rejected] == [(1, f"/features/{len(names)}/name")]
    assert {event.prediction_id: event.features for event in batch.events} == {
        f"id-{place}": dict.fromkeys(() if place == 9 else names, float(place)) for place in range(100) if place != 1
    }


def as_typed(features: dict[str, Any]) -> list[dict[str, Any]]:
    """The features as a list, of which every second one says a type."""
    kinds: list[dict[str, Any]] = [{"data_type": "categorical"}, {}, {"data_type": None}, {"data_type": "continuous"}]
    return [{"name": name, "value": value, **kinds[place % 4]} for place, (name, value) in enumerate(features.items())]


def row(identity: str, **others: Any) -> dict[str, Any]:
    features = {"amount": 0.5, "count": 3, "color": "red", "member": True}
    return {"model_name": "fraud", "prediction_id": identity, "prediction": "yes", "features": features, **others}


def test_a_bad_row_among_many_is_named_and_the_others_are_columns() -> None:
    decoder = Decoder(LIMITS, lambda: NOON, numbered("made"))
    rows = [row(f"id-{place}") for place in range(100)]
    rows[41]["features"] = {"amount": 0.5, "count": 3, "color": "x" * 21, "member": False}
    rows[77]["latency_ms"] = -1.0
    batch = decoder.batch(as_list(rows), JSON)
    assert [(each.index, each.pointer) for each in batch.rejected] == [(41, "/features/color"), (77, "/latency_ms")]
    assert batch.events.ids == [f"id-{place}" for place in range(100) if place not in (41, 77)]
    [block] = batch.events.blocks
    assert [type(column) for column in block.values()] == [FloatColumn, IntegerColumn, TextColumn, TextColumn]


def test_an_integer_beyond_64_bits_among_many_becomes_a_float_as_it_does_alone() -> None:
    decoder = Decoder(LIMITS, lambda: NOON, numbered("made"))
    rows = [row(f"id-{place}") for place in range(100)]
    rows[41]["features"] = {"amount": 0.5, "count": 2**70, "color": "red", "member": True}
    batch = decoder.batch(as_list(rows), JSON)
    assert batch.events.ids == [f"id-{place}" for place in range(100)]
    counts = [event.features["count"] for event in batch.events]
    assert counts == [float(2**70) if place == 41 else 3 for place in range(100)]
    assert type(counts[40]) is int
    assert type(counts[41]) is float


@pytest.mark.parametrize("names", [["amount"], ["amount", "größe", "a/b", ""], ['a "name"', "tab\t"], ["x" * 40, "y"]])
def test_rows_of_a_type_that_is_made_for_their_names_are_as_any(
    names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [0.5, -0.0, 1, 2**63, True, None, "text", "x" * 21, 2**70]
    rows = [
        row(f"id-{place}", features={name: values[(place + shift) % len(values)] for shift, name in enumerate(names)})
        for place in range(80)
    ]
    for listed in (False, True):
        if listed:
            rows = [{**each, "features": as_typed(each["features"])} for each in rows]
        together, one_by_one = both_ways(monkeypatch, as_list(rows), JSON)
        assert together == one_by_one
        # One that is not like the first.
        for other in ({"another": 1.5}, [{"value": 1.5, "name": names[0], "data_type": "categorical"}], []):
            mixed = [*rows[:70], {**rows[70], "features": other}, *rows[71:]]
            together, one_by_one = both_ways(monkeypatch, as_list(mixed), JSON)
            assert together == one_by_one


@pytest.mark.parametrize("first", [{"name": 1}, {"name": "a", "data_type": []}, {"value": 1.5}, 7, {"name": "a"}])
def test_what_is_wrong_in_the_first_row_is_named_as_in_any(first: object, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(f"id-{place}", features=as_typed({"a": 0.5, "b": "red"})) for place in range(80)]
    rows[0]["features"] = [first]
    together, one_by_one = both_ways(monkeypatch, as_list(rows), JSON)
    assert together == one_by_one


@pytest.mark.parametrize("place", [0, 5, 39])
def test_a_key_that_is_there_twice_is_named_in_a_large_batch(place: int) -> None:
    decoder = Decoder(LIMITS, lambda: NOON, numbered("made"))
    written = [json.dumps(row(f"id-{number}")) for number in range(40)]
    written[place] = written[place].replace('"count": 3', '"count": 3, "amount" : 0.25')
    # Blanks before the colons of another row hide none.
    written[20] = written[20].replace('":', '" :')
    batch = decoder.batch(f"[{','.join(written)}]".encode(), JSON)
    [refused] = batch.rejected
    assert (refused.index, refused.pointer, refused.message) == (place, "/features/amount", "Duplicate key")
    assert len(batch.events) == 39


def test_a_key_that_is_there_twice_is_found_in_long_bodies_with_and_without_blanks() -> None:
    decoder = Decoder(Limits(), lambda: NOON, numbered("made"))
    for blank, twice in itertools.product(("", " "), (False, True)):
        written = [json.dumps(row(f"id-{number}")) for number in range(1_000)]
        if twice:
            written[400] = written[400].replace('"count": 3', '"count": 3, "count": 4')
            written[401] = written[401].replace('":', f'"{blank}:')
        body = f"[{','.join(written)}]".encode()
        assert len(body) > 2 * 65_536
        batch = decoder.batch(body, JSON)
        assert [each.index for each in batch.rejected] == ([400] if twice else [])


@pytest.mark.parametrize("listed", [False, True])
def test_a_type_is_made_once_many_rows_have_had_the_same_names(listed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def has_type(rows: int, name: str) -> bool:
        features: Any = {f"{name}-{listed}": 0.5}
        features = as_typed(features) if listed else features
        body = as_list([row(f"id-{place:04}", features=features) for place in range(rows)])
        found = json_rows.read_rows(body, in_lines=False, unnamed=False)
        assert found is not None
        return found._shape is not None

    monkeypatch.setattr(json_rows, "ROW_TYPES", row_types.RowTypes())
    monkeypatch.setattr(row_types, "VALUES_WORTH_A_MAP", 200)
    monkeypatch.setattr(row_types, "ROWS_WORTH_A_LIST", 200)
    assert [has_type(120, "again") for _ in range(3)] == [False, True, True]
    assert has_type(20, "again"), "what is there is used for fewer rows"
    assert not has_type(json_rows.WORTH_A_LOOK - 4, "again")
    assert has_type(240, "many")
    monkeypatch.setattr(row_types, "MOST_COUNTED", 1)
    assert [has_type(120, name) for name in ("one", "other", "one", "one")] == [False, False, False, True]


def test_a_row_with_several_problems_is_named_by_the_first_in_its_own_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_types, "VALUES_WORTH_A_MAP", 1_000)
    decoder = Decoder(LIMITS, lambda: NOON, numbered("made"))
    for number in (100, 300):
        rows = [row(f"id-{place}") for place in range(number)]
        rows[41]["features"] = {"color": "x" * 21, "count": 3, "amount": "y" * 21, "member": True}
        batch = decoder.batch(as_list(rows), JSON)
        [refused] = batch.rejected
        assert (refused.index, refused.pointer) == (41, "/features/color")
        assert "(and 1 more)" in refused.message
        assert len(batch.events) == number - 1


def test_types_that_are_made_for_names_of_clients_do_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_types, "VALUES_WORTH_A_MAP", 50)

    def made(number: int) -> type:
        rows = [row(f"id-{place}", features={f"feature-{number}": place}) for place in range(100)]
        found = json_rows.read_rows(as_list(rows), in_lines=False, unnamed=False)
        assert found is not None
        [group] = found.groups
        assert group.names == (f"feature-{number}",)
        return type(found._rows[0].features)

    first = weakref.ref(made(0))
    for number in range(1, row_types.MOST_TYPES + 1):
        made(number)
    gc.collect()
    assert first() is None


def test_names_that_the_request_gives_are_those_of_rows_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(f"id-{place}", model_name=None) for place in range(12)]
    rows[3]["model_name"] = "churn"
    rows[4]["model_version"] = "2"
    defaults = {"model_name": "fraud", "model_version": "1", "environment": "staging"}
    together, one_by_one = both_ways(monkeypatch, as_list(rows), JSON, defaults)
    assert together == one_by_one
    assert "model_name='fraud', model_version='2', environment='staging'" in together[0][4][0]
