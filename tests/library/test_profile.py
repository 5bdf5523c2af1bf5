"""Profiles: the counts of a data set without its values; merged, saved, compared."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import modelwatch as mw
from modelwatch.library.profile import MOST_WINDOWS
from modelwatch.stats.counting.binning import encode_binning
from modelwatch.storage.references.subjects import Subject

ROWS = 2_000


def frame(seed: int, *, moved: bool = False, rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "amount": np.where(rng.random(rows) < 0.05, np.nan, rng.normal(5 if moved else 0, 1, rows)),
            "country": rng.choice(["DE", "FR", "secret name" if moved else "IT"], rows),
            "prediction": rng.choice(["no", "yes"], rows),
            "prediction_probability": rng.random(rows),
        }
    )


def timed(seed: int, hours: float, rows: int = ROWS) -> pd.DataFrame:
    found = frame(seed, rows=rows)
    found["timestamp"] = pd.Timestamp("2026-01-05", tz="UTC") + pd.to_timedelta(
        np.arange(rows) / rows * hours, unit="h"
    )
    return found


@pytest.fixture(scope="module")
def reference() -> mw.Reference:
    return mw.Reference.fit(frame(1))


def test_a_profile_compares_as_its_rows_do(reference: mw.Reference) -> None:
    for data in (frame(2), frame(3, moved=True), timed(4, 30.0)):
        found = mw.compare(reference, mw.profile(data, like=reference))
        assert found.document == mw.compare(reference, data).document


def test_parts_merge_to_the_whole(reference: mw.Reference) -> None:
    data = timed(5, 3.0)
    whole = mw.profile(data, like=reference)
    one, other = (mw.profile(part, like=reference) for part in (data.iloc[:700], data.iloc[700:]))
    merged = one + other
    assert merged.rows == whole.rows == ROWS
    assert len(whole.parts) == 36
    assert whole.parts.keys() == merged.parts.keys()
    for start, part in whole.parts.items():
        assert part.rows == merged.parts[start].rows
        assert part.latest == merged.parts[start].latest
        for subject, counts in part.counts.items():
            assert counts.tolist() == merged.parts[start].counts[subject].tolist()
    assert merged.id == (other + one).id
    assert merged.id not in (one.id, other.id)
    with pytest.raises(ValueError, match="with itself"):
        one + one
    with pytest.raises(ValueError, match="different references"):
        one + mw.profile(data, like=mw.Reference.fit(frame(9)))


def test_profiles_whose_cells_are_listed_in_another_order_merge(reference: mw.Reference) -> None:
    answer = {
        "subjects": [
            {
                "kind": subject.kind,
                "name": subject.name,
                "hashed": False,
                "binning": b64encode(encode_binning(each.profile.binning)).decode(),
            }
            for subject, each in reference.subjects.items()
        ]
    }
    turned = {"subjects": answer["subjects"][::-1]}
    one, other = (mw.profile(frame(2), like=like) for like in (answer, turned))
    assert list(one.binnings) == list(other.binnings)[::-1]
    for merged in (one + other, other + one):
        for subject in one.binnings:
            assert merged.counts(subject).counts.tolist() == (2 * one.counts(subject).counts).tolist()


def test_a_profile_without_a_readable_column_counts_its_rows() -> None:
    reference = mw.Reference.fit({"a": list(range(1_000))})
    found = mw.profile({"a": [[1], [2], [3]]}, like=reference)
    merged = mw.Profile.from_bytes(found.to_bytes()) + mw.profile({"a": [[4]]}, like=reference)
    assert (merged.rows, dict(merged.binnings), list(merged.left_out)) == (4, {}, ["a"])


def test_a_profile_is_saved_and_loaded_and_holds_no_values(reference: mw.Reference, tmp_path: Path) -> None:
    found = mw.profile(frame(3, moved=True), like=reference, id="mine")
    found.save(tmp_path / "today.profile")
    loaded = mw.Profile.load(tmp_path / "today.profile")
    assert (loaded.id, loaded.rows, loaded.binnings_id) == ("mine", ROWS, found.binnings_id)
    assert mw.compare(reference, loaded).document == mw.compare(reference, found).document
    assert b"secret name" not in (tmp_path / "today.profile").read_bytes()
    assert loaded.counts(Subject("feature", "country")).unseen > 0
    (tmp_path / "other").write_bytes(b"something else")
    with pytest.raises(ValueError, match="other is no saved profile"):
        mw.Profile.load(tmp_path / "other")


def test_columns_that_are_missing_new_or_unreadable(reference: mw.Reference) -> None:
    data = {"amount": [1.0, 2.0], "new": [1, 2], "country": [[1], [2]], "prediction": ["no", "yes"]}
    found = mw.profile(data, like=reference)
    assert found.left_out == {
        "country": "its type is list<item: int64>; numbers, text and booleans can be compared",
        "new": "the reference does not have it",
    }
    # As in a service: what a prediction does not have is missing.
    assert found.counts(Subject("score")).missing == 2
    assert Subject("feature", "country") not in found.binnings


def test_a_profile_of_another_reference_is_not_compared(reference: mw.Reference) -> None:
    other = mw.profile(frame(2), like=mw.Reference.fit(frame(7)))
    with pytest.raises(ValueError, match="cells of another reference: amount"):
        mw.compare(reference, other)


@pytest.mark.parametrize(
    ("data", "like", "error", "message"),
    [
        ({"a": []}, None, ValueError, "has no row"),
        ({"a": [1]}, 5, TypeError, "a int has no cells"),
        ({"a": [1]}, {"subjects": [{"kind": "feature"}]}, ValueError, "the binnings can't be read"),
    ],
)
def test_what_can_not_be_profiled_is_named(
    reference: mw.Reference, data: object, like: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        mw.profile(data, like=reference if like is None else like)
    with pytest.raises(TypeError, match="names of columns already: prediction"):
        mw.profile({"a": [1]}, like=reference, prediction="y")


def test_requests_are_the_same_however_often_they_are_made(reference: mw.Reference) -> None:
    data = timed(6, 20.0)
    data.loc[:99, "timestamp"] = pd.NaT
    found = mw.profile(data, like=reference, id="mine")
    first, second = (list(found.requests(datetime(2026, 1, 5, hour, tzinfo=UTC))) for hour in (1, 12))
    assert [each["profile_id"] for each in first] == ["mine-0", "mine-1", "mine-2", "mine-untimed"]
    assert first[:3] == second[:3]
    assert max(len(each["parts"]) for each in first) == MOST_WINDOWS
    assert sum(part["predictions"] for each in first for part in each["parts"]) == ROWS
    assert first[3]["parts"][0]["window_start"] == "2026-01-05T01:00:00Z"
    [one] = mw.profile(frame(2), like=reference, id="mine").requests()
    assert one["profile_id"] == "mine"
