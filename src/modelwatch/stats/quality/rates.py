"""Data quality: rates of bad values of a feature, compared with those of the reference.

Everything here is decided from counts that a profile carries beside its cells. Magnitude and evidence stay apart: a
check says whether a change is large and how likely chance is; the caller, who knows the significance level, decides.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from modelwatch.stats.counting.binning import Binning
from modelwatch.stats.counting.numeric import NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.evidence import rate_increase_p_value
from modelwatch.stats.drift.significance.names import Split, expected_new
from modelwatch.stats.errors import IncompatibleProfiles, StatsError

Rule = Literal["missing", "invalid_type", "below_range", "above_range", "unseen_category"]
Dimension = Literal["completeness", "validity", "consistency"]

DIMENSION_OF: Mapping[Rule, Dimension] = {
    "missing": "completeness",
    "invalid_type": "validity",
    "below_range": "consistency",
    "above_range": "consistency",
    "unseen_category": "consistency",
}
# By rule, the values that break it and those that could have.
UnsoundCounts = Mapping[Rule, tuple[int, int]]
DIMENSIONS: tuple[Dimension, ...] = ("completeness", "validity", "consistency")

LEAST_RISE = 0.05
FACTOR = 3.0
LEAST_FACTOR_RISE = 0.01
NO_P_VALUES: Mapping[Rule, float] = {}
# 0.15 - 0.10 is a hair less than 0.05.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class RateCheck:
    """One rule of one feature: how often it is broken now, and how often in the reference.

    reference_count of reference_n, current_count of current_n: values with an issue, and values that could have one.
    For `missing` these are all values; for `invalid_type` those that are given; for the others the valid ones.
    reference_rate, current_rate: their quotients; None when there was nothing to count. change: current less reference.
    p_value: one-sided, that chance alone gives a rise like this; 1 when a side has nothing to count. large: whether the
    rise is large enough to matter, regardless of its p-value.
    """

    rule: Rule
    dimension: Dimension
    reference_count: int
    reference_n: int
    reference_rate: float | None
    current_count: int
    current_n: int
    current_rate: float | None
    change: float | None
    p_value: float
    large: bool


@dataclass(frozen=True, slots=True)
class DataQuality:
    """Quality of the values of a model's features, in [0, 1]; None when there are no values.

    score: 1 minus the mean share of values with an issue. dimensions: the same for the rules of one dimension each:
    completeness (missing), validity (wrong type), consistency (outside the reference's range or categories).
    """

    score: float | None
    dimensions: Mapping[Dimension, float | None]


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A feature that only one of two sets of rows has.

    reference_count, current_count: rows that give it. p_value: one-sided, that chance alone explains it; not small when
    the feature is too rare, or the rows too few, to be missed.
    """

    feature: str
    change: Literal["appeared", "disappeared"]
    reference_count: int
    current_count: int
    p_value: float


def rate_checks(
    reference: Profile,
    current: Profile,
    split: Split | None = None,
    *,
    least_rise: float = LEAST_RISE,
    factor: float = FACTOR,
    least_factor_rise: float = LEAST_FACTOR_RISE,
    p_values: Mapping[Rule, float] = NO_P_VALUES,
) -> tuple[RateCheck, ...]:
    """Every rule that applies to the feature: the range rules to numeric ones, unseen categories to categorical ones.

    split: how a categorical reference was split, which tells how many unseen categories are to be expected. A rise is
    large when it is at least `least_rise`, or at least `least_factor_rise` and to `factor` times the reference rate.
    p_values: as of `compare_rates`.
    Raises IncompatibleProfiles when the binnings differ.

    >>> from modelwatch.stats.counting.binning import categorical_binning
    >>> binning = categorical_binning(["a"] * 90 + ["b"] * 10)
    >>> reference, current = (Profile.of(binning, ["a"] * n + [None] * (100 - n)) for n in (98, 80))
    >>> missing, invalid, unseen = rate_checks(reference, current)
    >>> missing.rule, missing.current_rate, round(missing.change, 2), missing.large, missing.p_value < 1e-4
    ('missing', 0.2, 0.18, True, True)
    >>> unseen.rule, unseen.large, unseen.p_value
    ('unseen_category', False, 1.0)
    """
    if reference.binning.id != current.binning.id:
        raise IncompatibleProfiles(
            "rates are compared over the same binning, "
            f"got binnings {reference.binning.id} and {current.binning.id}: count the window with the reference's"
        )
    return compare_rates(
        reference_rates(reference, split),
        unsound_counts(current),
        least_rise=least_rise,
        factor=factor,
        least_factor_rise=least_factor_rise,
        p_values=p_values,
    )


def compare_rates(
    before: UnsoundCounts,
    now: UnsoundCounts,
    *,
    least_rise: float = LEAST_RISE,
    factor: float = FACTOR,
    least_factor_rise: float = LEAST_FACTOR_RISE,
    p_values: Mapping[Rule, float] = NO_P_VALUES,
) -> tuple[RateCheck, ...]:
    """The same of counts that were taken from profiles earlier. Both sides have the same rules.

    p_values: of rules whose counts alone don't tell it, since values are alike.

    Raises StatsError when a side has more hits than observations.
    """
    checks = []
    for rule, (reference_count, reference_n) in before.items():
        current_count, current_n = now[rule]
        reference_rate = reference_count / reference_n if reference_n else None
        current_rate = current_count / current_n if current_n else None
        change = None if reference_rate is None or current_rate is None else current_rate - reference_rate
        large = change is not None and (
            change >= least_rise - ROUNDING
            or (
                change >= least_factor_rise - ROUNDING
                and (current_rate or 0.0) >= factor * (reference_rate or 0.0) - ROUNDING
            )
        )
        checks.append(
            RateCheck(
                rule,
                DIMENSION_OF[rule],
                reference_count,
                reference_n,
                reference_rate,
                current_count,
                current_n,
                current_rate,
                change,
                p_values[rule]
                if rule in p_values
                else rate_increase_p_value(reference_count, reference_n, current_count, current_n),
                large,
            )
        )
    return tuple(checks)


def rise_that_matters(
    reference_rate: float,
    *,
    least_rise: float = LEAST_RISE,
    factor: float = FACTOR,
    least_factor_rise: float = LEAST_FACTOR_RISE,
) -> float:
    """The rise from which on `compare_rates` calls one large: the smaller of what its two conditions ask for.

    >>> rise_that_matters(0.2), rise_that_matters(0.01), rise_that_matters(0.0)
    (0.05, 0.02, 0.01)
    """
    return min(least_rise, max(least_factor_rise, (factor - 1.0) * reference_rate))


def unsound_counts(profile: Profile) -> dict[Rule, tuple[int, int]]:
    """Per rule that applies, the values that break it and those that could have. No value breaks two rules.

    >>> from modelwatch.stats.counting.binning import numeric_binning
    >>> import numpy as np
    >>> profile = Profile.of(numeric_binning(np.arange(10.0)), [-200.0, 3.0, None, "x"])
    >>> unsound_counts(profile)
    {'missing': (1, 4), 'invalid_type': (1, 3), 'below_range': (1, 2), 'above_range': (0, 2)}
    """
    counts: dict[Rule, tuple[int, int]] = {
        "missing": (profile.missing, profile.total),
        "invalid_type": (profile.invalid, profile.total - profile.missing),
    }
    if isinstance(profile.binning, NumericBinning):
        return counts | {"below_range": (profile.below, profile.n), "above_range": (profile.above, profile.n)}
    return counts | {"unseen_category": (profile.unseen, profile.n)}


def unsound_counts_of_windows(
    binning: Binning, counts: npt.NDArray[np.int64]
) -> dict[Rule, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """The same of a feature in several windows at once: arrays of shape (windows,). counts: of its cells and of what is
    counted beside them, shape (windows, size of the binning).

    >>> from modelwatch.stats.counting.binning import categorical_binning
    >>> binning = categorical_binning(["a"])
    >>> counts = np.stack([binning.count(["a", "z", None]), binning.count(["a"])])
    >>> found = unsound_counts_of_windows(binning, counts)
    >>> {rule: (broken.tolist(), of.tolist()) for rule, (broken, of) in found.items()}
    {'missing': ([1, 0], [3, 1]), 'invalid_type': ([0, 0], [2, 1]), 'unseen_category': ([1, 0], [2, 1])}
    """
    cells = binning.n_fine
    valid, missing, invalid = counts[:, :cells].sum(axis=1), counts[:, cells], counts[:, cells + 1]
    found: dict[Rule, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = {
        "missing": (missing, valid + missing + invalid),
        "invalid_type": (invalid, valid + invalid),
    }
    if isinstance(binning, NumericBinning):
        return found | {"below_range": (counts[:, -2], valid), "above_range": (counts[:, -1], valid)}
    return found | {"unseen_category": (counts[:, cells - 1], valid)}


def reference_rates(reference: Profile, split: Split | None) -> dict[Rule, tuple[int, int]]:
    """Rates that `unsound_counts` of windows are compared with: the reference's own, and expected unseen categories.

    The reference has none of these by construction. Where new ones can't be judged, such as in a column of ids, the
    rule is left out.

    >>> from modelwatch.stats.drift.significance.names import split_reference
    >>> names = [str(number) for number in range(40)] * 5 + [f"once {number}" for number in range(20)]
    >>> binning, split = split_reference(names)
    >>> reference_rates(Profile.of(binning, names), split)["unseen_category"]
    (21, 220)
    """
    counts = unsound_counts(reference)
    if "unseen_category" in counts:
        expected = expected_new(reference, split)
        if expected is None:
            del counts["unseen_category"]
        else:
            counts["unseen_category"] = (expected.hits, expected.n)
    return counts


def unsound_share(profile: Profile, dimension: Dimension | None = None) -> float | None:
    """The share of all values that break a rule (of one dimension), in [0, 1]; None when there are no values.

    >>> from modelwatch.stats.counting.binning import categorical_binning
    >>> profile = Profile.of(categorical_binning(["a"]), ["a", "a", "z", None])
    >>> unsound_share(profile), unsound_share(profile, "completeness"), unsound_share(profile, "validity")
    (0.5, 0.25, 0.0)
    """
    return share_of_unsound(unsound_counts(profile), dimension)


def share_of_unsound(counts: UnsoundCounts, dimension: Dimension | None = None) -> float | None:
    """The same from counts that were taken from a profile earlier."""
    total = counts["missing"][1]
    if not total:
        return None
    wanted = [count for rule, (count, _) in counts.items() if dimension is None or DIMENSION_OF[rule] == dimension]
    return sum(wanted) / total


def data_quality_score(profiles: Iterable[Profile]) -> DataQuality:
    """The soundness of a model's window from the profiles of its features; those without values are left out.

    Every feature weighs the same. What the dimensions lose adds up to what the score loses.

    >>> from modelwatch.stats.counting.binning import categorical_binning
    >>> binning = categorical_binning(["a"])
    >>> quality = data_quality_score([Profile.of(binning, ["a", "a", "z", None]), Profile.of(binning, ["a"])])
    >>> quality.score, dict(quality.dimensions)
    (0.75, {'completeness': 0.875, 'validity': 1.0, 'consistency': 0.875})
    """
    return soundness_of(unsound_counts(profile) for profile in profiles)


def soundness_of(features: Iterable[UnsoundCounts]) -> DataQuality:
    """The same from counts that were taken from the features' profiles earlier."""
    with_values = [counts for counts in features if counts["missing"][1]]
    return DataQuality(
        _mean_soundness(with_values, None), {name: _mean_soundness(with_values, name) for name in DIMENSIONS}
    )


def schema_changes(
    reference: Mapping[str, int], current: Mapping[str, int], *, reference_n: int, current_n: int
) -> tuple[SchemaChange, ...]:
    """The features that appear or disappear between two sets of rows, by name.

    reference, current: how many rows give each feature a value (of a profile: total less missing); a feature that
        is left out counts as 0.
    reference_n, current_n: the number of rows on each side.
    Nothing has changed when a side has no rows at all. Raises StatsError when a feature is given in more rows than
    there are, or in less than none.

    >>> changes = schema_changes({"age": 900, "rare": 1}, {"age": 0, "income": 50}, reference_n=900, current_n=50)
    >>> [(each.feature, each.change, each.p_value < 1e-6) for each in changes]
    [('age', 'disappeared', True), ('income', 'appeared', True), ('rare', 'disappeared', False)]
    """
    for rows, n in ((reference, reference_n), (current, current_n)):
        for feature, count in rows.items():
            if not 0 <= count <= n:
                raise StatsError(f"feature {feature!r} is given in {count} of {n} rows: expected between 0 and {n}")
    changes = []
    for feature in sorted({*reference, *current}) if reference_n and current_n else ():
        before, now = reference.get(feature, 0), current.get(feature, 0)
        if now and not before:
            p_value = rate_increase_p_value(0, reference_n, now, current_n)
            changes.append(SchemaChange(feature, "appeared", before, now, p_value))
        elif before and not now:
            p_value = rate_increase_p_value(reference_n - before, reference_n, current_n, current_n)
            changes.append(SchemaChange(feature, "disappeared", before, now, p_value))
    return tuple(changes)


def _mean_soundness(features: list[UnsoundCounts], dimension: Dimension | None) -> float | None:
    shares = [share for counts in features if (share := share_of_unsound(counts, dimension)) is not None]
    return 1.0 - sum(shares) / len(shares) if shares else None
