"""Every feature of every window of every open scenario equals the oracle that was computed with scipy alone.

A feature with a heavy atom (a value with a tenth of the reference or more) has other coarse cells than the oracle by
design. There the score functions are compared on the oracle's own counts, and Kolmogorov-Smirnov from the fine cells.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelwatch.stats.counting.binning import NumericBinning, categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.evidence import ks_p_value
from modelwatch.stats.drift.scores import drift_scores, jensen_shannon, psi, total_variation
from modelwatch.stats.drift.significance.omnibus import Groups
from tests.parity.scenarios import NAMES, load, rows, texts
from tests.support.data.data_sets import DataSets

TOLERANCE = 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_numeric_features_equal_the_oracle(shared_data: DataSets, name: str) -> None:
    reference, production, oracle = load(shared_data / name)
    bases = oracle["reference"]["numeric"] | oracle["reference"].get("outputs", {})
    binnings, profiles = {}, {}
    for feature, base in bases.items():
        sample = reference[feature].to_numpy(dtype=np.float64)
        binnings[feature] = numeric_binning(sample)
        profiles[feature] = Profile(binnings[feature], binnings[feature].count_floats(sample))
        if same_cells(binnings[feature], base):
            assert profiles[feature].coarse.tolist() == base["counts_right_closed"]
    checked = 0
    for window in oracle["windows"]:
        current = rows(production, window)
        assert len(current) == window["n"]
        for feature, expected in (window["features"] | window["outputs"]).items():
            if feature in bases and expected["n"] - expected["missing"] > 0 and "psi_eps1e4" in expected:
                values = current[feature].to_numpy(dtype=np.float64)
                profile = Profile(binnings[feature], binnings[feature].count_floats(values))
                check_numeric(profiles[feature], profile, bases[feature], expected)
                checked += 1
    assert checked >= len(oracle["windows"]) * len(bases) * 0.9


def same_cells(binning: NumericBinning, base: dict[str, Any]) -> bool:
    """Whether the coarse cells are the oracle's."""
    return binning.coarse_edges.tolist() == base["edges"]


def check_numeric(reference: Profile, current: Profile, base: dict[str, Any], expected: dict[str, Any]) -> None:
    binning = reference.binning
    assert isinstance(binning, NumericBinning)
    assert current.missing == expected["missing"]
    assert (current.below, current.above) == (expected["below_ref_min"], expected["above_ref_max"])
    scores = drift_scores(reference, current)
    assert scores.ks is not None
    hidden = np.minimum(reference.fine, current.fine)[~binning.atomic].any()
    if not hidden:
        assert scores.ks.statistic == scores.ks.upper == pytest.approx(expected["ks_stat"], abs=TOLERANCE)
        assert scores.ks.p_value == pytest.approx(expected["ks_p_asymp"], rel=1e-6, abs=1e-300)
    assert scores.ks.statistic <= expected["ks_stat"] + TOLERANCE
    assert expected["ks_stat"] <= scores.ks.upper + TOLERANCE
    assert ks_p_value(expected["ks_stat"], reference.n, current.n) == pytest.approx(
        expected["ks_p_asymp"], rel=1e-6, abs=1e-300
    )
    r, c = base["counts_right_closed"], expected["counts_right_closed"]
    if same_cells(binning, base):
        assert current.coarse.tolist() == c
        assert scores.psi == pytest.approx(expected["psi_eps1e4"], abs=TOLERANCE)
    assert psi(r, c) == pytest.approx(expected["psi_eps1e4"], abs=TOLERANCE)
    assert psi(r, c, floor=1e-6) == pytest.approx(expected["psi_eps1e6"], abs=TOLERANCE)
    assert jensen_shannon(r, c).divergence == pytest.approx(expected["js_divergence_b2"], abs=TOLERANCE)
    assert jensen_shannon(r, c).distance == pytest.approx(expected["js_distance_b2"], abs=TOLERANCE)
    if expected["wasserstein_over_ref_std"] is None:
        assert scores.wasserstein is None
    elif not expected["below_ref_min"] and not expected["above_ref_max"]:
        # The oracle divides by the deviation with ddof=0 as well; cells hide where in them the values lie.
        assert scores.wasserstein == pytest.approx(
            expected["wasserstein_over_ref_std"],
            abs=displacement(reference, current) + TOLERANCE,
            # Values of their own are where single precision has them.
            rel=2.0**-23 if binning.version > 1 else None,
        )


def displacement(reference: Profile, current: Profile) -> float:
    """How far Wasserstein can be off: spreading a cell's mass evenly moves none of it further than the cell is wide."""
    binning = reference.binning
    assert isinstance(binning, NumericBinning)
    bounds = np.clip(np.concatenate(([binning.low], binning.edges, [binning.high])), binning.low, binning.high)
    moved = reference.fine / reference.n + current.fine / current.n
    return float(moved @ np.diff(bounds)) / binning.scale


@pytest.mark.parametrize("name", NAMES)
def test_categorical_features_equal_the_oracle(shared_data: DataSets, name: str) -> None:
    reference, production, oracle = load(shared_data / name)
    windows = [(window, rows(production, window)) for window in oracle["windows"]]
    known = oracle["reference"]["categorical"]
    first = oracle["windows"][0]
    features = [key for key, value in (first["features"] | first["outputs"]).items() if "chi2_p" in value]
    for feature in features:
        sample = texts(reference[feature])
        binning = categorical_binning(sample)
        before = Profile.of(binning, sample)
        if feature in known:
            assert before.missing == known[feature]["missing"]
            assert dict(zip(binning.categories, before.coarse.tolist(), strict=False)) == {
                category: count
                for category, count in known[feature]["counts"].items()
                if category in binning.categories
            }
        for window, current in windows:
            expected = (window["features"] | window["outputs"])[feature]
            check_categorical(before, Profile.of(binning, texts(current[feature])), expected, reference[feature])


def check_categorical(before: Profile, after: Profile, expected: dict[str, Any], sample: pd.Series) -> None:
    assert after.missing == expected["missing"]
    assert after.unseen == expected["n_new_category_rows"]
    r, c = before.coarse, after.coarse
    if len(expected["new_categories"]) > 1 or before.coarse[-2]:
        # The oracle gives every new or rare category a cell of its own; we have one for all of them.
        names = sorted(set(expected["counts"]) | {text for text in texts(sample) if text is not None})
        frequency = pd.Series(texts(sample)).value_counts()
        r = np.array([int(frequency.get(name, 0)) for name in names])
        c = np.array([expected["counts"].get(name, 0) for name in names])
    assert psi(r, c) == pytest.approx(expected["psi_eps1e4"], abs=TOLERANCE)
    assert jensen_shannon(r, c).divergence == pytest.approx(expected["js_divergence_b2"], abs=TOLERANCE)
    assert jensen_shannon(r, c).distance == pytest.approx(expected["js_distance_b2"], abs=TOLERANCE)
    assert total_variation(r, c) == pytest.approx(expected["total_variation"], abs=TOLERANCE)
    # The oracle leaves every cell as it is, however small.
    held = r + c > 0
    groups, n = Groups.of(r[held]), np.array([c.sum()])
    statistic, _, p_value = groups.test(0, c[held][None], n)
    assert statistic[0] == pytest.approx(expected["chi2_stat"], rel=TOLERANCE, abs=TOLERANCE)
    assert groups.df(0) == expected["chi2_dof"]
    assert p_value[0] >= expected["chi2_p"] * (1.0 - 1e-7)
