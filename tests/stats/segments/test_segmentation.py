"""What a segment is: one text for each value of a feature, whatever the value."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.errors import MalformedProfile
from modelwatch.stats.segments.segmentation import Segmentation, SegmentFeature, decode_segmentation, segment_feature


def numeric(values: list[float], parts: int = 4) -> SegmentFeature:
    return segment_feature("x", Profile.of(numeric_binning(np.array(values)), values), parts)


def categorical(values: list[object]) -> SegmentFeature:
    return segment_feature("x", Profile.of(categorical_binning(values), values), 4)  # type: ignore[arg-type]


@pytest.mark.parametrize("parts", [2, 4, 10])
def test_a_continuous_sample_is_cut_into_equal_parts(parts: int) -> None:
    values = np.random.default_rng(0).normal(size=5_000).tolist()
    found = Counter(map(numeric(values, parts).text_of, values))
    assert len(found) == parts
    assert all(abs(count - 5_000 / parts) < 30 for count in found.values())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0] * 50, ("(all)",)),
        ([0.0] * 50 + [1.0] * 50, ("<= 0", "> 0")),
        ([1.0, 2.0, 3.0, 4.0] * 25, ("<= 1", "(1, 2]", "(2, 3]", "> 3")),
        # A value with most of the mass is one part.
        ([float(number) for number in range(40)] + [100.0] * 60, ("<= 24", "(24, 39]", "> 39")),
    ],
)
def test_heavy_values_make_fewer_parts(values: list[float], expected: tuple[str, ...]) -> None:
    assert numeric(values).values == expected


def test_a_cut_directly_under_a_heavy_value_leaves_it_in_the_part_above() -> None:
    rng = np.random.default_rng(0)
    feature = numeric([*rng.uniform(0.0, 10.0, 497).tolist(), *[10.0] * 303, *rng.uniform(10.0, 20.0, 200).tolist()], 2)
    assert feature.values == ("< 10", ">= 10")
    assert (feature.text_of(9.999), feature.text_of(10.0), feature.text_of(11.0)) == ("x=< 10", "x=>= 10", "x=>= 10")
    between = numeric([*[-1.0] * 10, *[0.0] * 80, *[1.0] * 10], 10)
    assert between.text_of(0.0) == "x=(-1, 0]"


def test_a_category_that_is_too_long_for_a_key_is_other() -> None:
    feature = categorical(["a", "b" * 101])
    assert feature.values == ("a",)
    assert feature.text_of("b" * 101) == "x=(other)"


def test_values_are_compared_as_categories_are() -> None:
    feature = categorical([True, 3, 2.5, "3"])
    assert [feature.text_of(value) for value in (True, 3.0, "3", 2.5, "true")] == [
        "x=true",
        "x=3",
        "x=3",
        "x=2.5",
        "x=true",
    ]
    assert [feature.text_of(value) for value in (None, float("nan"), float("inf"), [1])] == [
        "x=(missing)",
        "x=(missing)",
        "x=(invalid)",
        "x=(invalid)",
    ]


def test_a_number_of_a_wrong_kind_is_invalid() -> None:
    feature = numeric([1.0, 2.0, 3.0])
    assert [feature.text_of(value) for value in ("1", True, 10**400, float("inf"), float("nan"))] == [
        "x=(invalid)",
        "x=(invalid)",
        "x=(invalid)",
        "x=(invalid)",
        "x=(missing)",
    ]


names = st.text(max_size=6)


@given(st.lists(names, min_size=1, max_size=5, unique=True), st.lists(names, max_size=8, unique=True))
def test_texts_of_different_segments_are_different_and_name_their_feature(
    features: list[str], categories: list[str]
) -> None:
    segmentation = Segmentation(tuple(SegmentFeature(name, tuple(categories)) for name in features))
    texts = [text for feature in segmentation.features for text in feature.texts]
    assert len(set(texts)) == len(texts)
    for feature in segmentation.features:
        assert {segmentation.feature_of(text) for text in feature.texts} == {feature}
        assert all("\0" not in text for text in feature.texts)
        for category in categories:
            assert feature.text_of(category) == feature.texts[categories.index(category)]
    assert decode_segmentation(segmentation.encode()) == segmentation


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"format":2,"features":[]}'])
def test_other_bytes_are_no_segmentation(raw: bytes) -> None:
    with pytest.raises(MalformedProfile):
        decode_segmentation(raw)
