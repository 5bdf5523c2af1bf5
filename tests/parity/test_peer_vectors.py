"""The named definitions of other tools give the numbers that those tools publish or were observed to give.

Not covered, because no definition of that name is offered:
- `ev-ad-1`, `ev-cvm-1`, `ev-mw-1`, `ev-es-1`, `ev-t-1`, `ev-energy-*`, two-sided `ev-fisher-*`: plain scipy calls that
  need raw samples;
- `ev-z-2`: Evidently calls a change from one category to two p = 1 there, the z test itself says 0.006;
- the permutation p-values of `ev-tvd-*`: seeded by the tool itself; the exact distance is checked instead;
- sampling errors, CBPE, `performance` and stream detectors: no drift score of two samples;
- MLRun's 10-bin vectors and AzureML's scenario grid: the inputs are not at hand; frouros' energy distance;
- chunks other than those of 5,000 rows of `nm-ks-weekly`: the same formula on other cuts of the same column;
- the verdict on `weight` of `wl-verdicts`: it comes from a sketch of three values, an exact p is 0.1;
- alibi-detect's `ad-cvm`, `ad-fet` and `ad-fdr`: tests not offered (Benjamini-Yekutieli here, not -Hochberg).
"""

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.compat import COMPAT_NAMES, compat_scores, evidently, formulas, nannyml, samples, shares
from modelwatch.stats.drift.evidence import ks_p_value
from modelwatch.stats.drift.significance.homogeneity import homogeneity
from modelwatch.stats.drift.significance.omnibus import Groups
from modelwatch.stats.errors import StatsError
from tests.parity.scenarios import load, rows
from tests.support.data.data_sets import DataSets

NOT_COVERED = {
    *("ev-ad-1", "ev-cvm-1", "ev-mw-1", "ev-es-1", "ev-t-1", "ev-energy-0", "ev-energy-5", "ev-z-2"),
    *(f"ev-fisher-{i}" for i in range(6)),
}
KINDS = {"num": "continuous", "cat": "categorical"}


def share(*values: float) -> np.ndarray:
    return np.array(values)


def test_small_vectors(shared_data: DataSets) -> None:
    vectors = json.loads((shared_data / "peers/evidently_nannyml_small_vectors.json").read_text())["vectors"]
    seen = set()
    for vector in vectors:
        value = small_vector(vector)
        if value is None:
            assert vector["id"] in NOT_COVERED, vector["id"]
            continue
        seen.add(vector["id"])
        if "exact_total_variation_distance" in vector:
            assert value == pytest.approx(vector["exact_total_variation_distance"], abs=1e-12)
        else:
            assert value == pytest.approx(vector["expected"], abs=vector["abs_tol"]), vector["id"]
            if vector["agrees"]:
                assert value == pytest.approx(vector["recomputed_here_scipy"], abs=1e-9), vector["id"]
    assert len(seen) + len(NOT_COVERED) == len(vectors)


def small_vector(vector: dict[str, Any]) -> float | None:
    """Our value of one vector, or None where no definition is offered."""
    reference, current = vector["reference"], vector["current"]
    name: str = vector["id"]
    if name in NOT_COVERED:
        return None
    if name.startswith("ev-chi2"):
        return evidently.chi_square_p_value(reference, current)
    if name.startswith("ev-hell"):
        return evidently.hellinger(reference, current, KINDS[vector["column_kind"]])  # type: ignore[arg-type]
    if name.startswith("ev-g-"):
        return evidently.g_test_p_value(reference, current)
    if name in ("ev-z-1", "ev-table-z"):
        return evidently.z_test_p_value(reference, current)
    if name.startswith("ev-tvd"):
        return formulas.total_variation(*map(formulas.shares, samples.category_counts(reference, current)))
    if name == "ev-psi-small":
        return evidently.psi(reference, current, "categorical")
    if name.startswith("nm-linf"):
        return nannyml.l_infinity(reference, current)
    raise AssertionError(f"{name} is neither covered nor listed")


def draw(recipe: dict[str, Any]) -> tuple[list, list]:
    """The samples of a recipe, drawn with numpy's legacy generator as the tool's own tests do."""
    rng = np.random.RandomState(recipe["numpy_legacy_seed"])
    drawn: list[list] = []
    for step in recipe["draws_in_order"]:
        if isinstance(step, str):
            drawn.append(drawn[0])
        elif step["dist"] == "choice":
            drawn.append(rng.choice(step["values"], step["size"]).tolist())
        else:
            drawn.append(rng.normal(step["loc"], step["scale"], step["size"]).tolist())
    return drawn[0], drawn[1]


def test_nannyml_seeded_vectors(shared_data: DataSets) -> None:
    content = json.loads((shared_data / "peers/nannyml_seeded_vectors.json").read_text())
    for vector in content["vectors"]:
        reference, current = draw(vector["recipe"])
        kind = "categorical" if isinstance(reference[0], str) else "continuous"
        if vector["statistic"].startswith("Jensen"):
            value = nannyml.jensen_shannon(reference, current, kind)  # type: ignore[arg-type]
        elif vector["statistic"].startswith("Hellinger"):
            value = nannyml.hellinger(reference, current, kind)  # type: ignore[arg-type]
        else:
            value = nannyml.wasserstein(reference, current)
        # Above 10,000 values nannyml approximates Wasserstein; all its values are rounded.
        assert value == pytest.approx(vector["expected_rounded"], abs=0.5 * 10.0 ** -vector["decimals"] + 1e-9)
        if vector["recomputed_here_scipy"] is not None:
            assert value == pytest.approx(vector["recomputed_here_scipy"], abs=1e-9)


def test_nannyml_kolmogorov_smirnov_of_chunks(shared_data: DataSets) -> None:
    chunks = json.loads((shared_data / "peers/nannyml_seeded_vectors.json").read_text())["ks_chunks"]
    column = np.random.RandomState(167).randn(20_160)
    column[10_080 + 5 * 1_008 :] += 0.6  # week 16 begins five weeks after the analysis part
    reference = column[:10_080]
    expected = chunks["expected"]["chunk_size_5000"]
    binning = numeric_binning(reference)
    base = Profile.of(binning, reference)
    for start, published in zip(range(0, 20_160, 5_000), expected, strict=True):
        chunk = column[start : start + 5_000]
        assert nannyml.ks_statistic(reference, chunk) == pytest.approx(published, abs=2e-4)
        ours = compat_scores("nannyml", base, Profile.of(binning, chunk))["ks_statistic"]
        assert ours == pytest.approx(published, abs=0.006)


@pytest.mark.parametrize("scenario", ["bike_regression", "carloan_nannyml", "elec2_binary"])
def test_evidently_run_on_open_windows(shared_data: DataSets, scenario: str) -> None:
    content = json.loads((shared_data / "peers/evidently_run_on_open_windows.json").read_text())
    reference, production, oracle = load(shared_data / scenario)
    found = [row for row in content["rows"] if row["scenario"] == scenario]
    assert found
    for row in found:
        window = next(window for window in oracle["windows"] if window["window"] == row["window"])
        before = reference[row["column"]].to_numpy(dtype=np.float64)
        after = rows(production, window)[row["column"]].to_numpy(dtype=np.float64)
        assert evidently.psi(before, after, "continuous") == pytest.approx(row["psi"], abs=1e-9)
        assert evidently.kl_divergence(before, after, "continuous") == pytest.approx(row["kl_div"], abs=1e-9)
        assert evidently.jensen_shannon(before, after, "continuous") == pytest.approx(row["jensenshannon"], abs=1e-9)
        assert evidently.wasserstein(before, after) == pytest.approx(row["wasserstein_normed"], rel=1e-9, abs=1e-12)
        assert evidently.ks_p_value(before, after) == pytest.approx(row["ks_p"], rel=1e-6, abs=1e-320)


FIRST = share(0.32, 0.16, 0.28, 0.04, 0.2), share(0.25, 0.0625, 0.4375, 0.1875, 0.0625)
SECOND = (
    share(0.5826087, 0.1, 0.05217391, 0.24782609, 0.0173913),
    share(0.67346939, 0.05102041, 0.00340136, 0.10884354, 0.16326531),
)


@pytest.mark.parametrize(
    ("pair", "index", "kl", "distance"),
    [
        (FIRST, 0.5670270283866204, 0.2752701838700412, 0.2584730043524462),
        (SECOND, 0.6203258, 0.2902839, 0.2577793),
    ],
)
def test_whylabs_vectors(pair: tuple[np.ndarray, np.ndarray], index: float, kl: float, distance: float) -> None:
    assert shares.whylabs_psi(*pair) == pytest.approx(index, abs=1e-6)
    assert shares.whylabs_kl(*pair) == pytest.approx(kl, abs=1e-6)
    assert shares.whylabs_jensen_shannon(*pair) == pytest.approx(distance, abs=1e-6)


def test_more_whylabs_vectors() -> None:
    p, q = share(0.4, 0.4, 0.2), share(0.5, 0.0, 0.5)
    assert shares.whylabs_jensen_shannon(p, q) == pytest.approx(0.4178757172728631, abs=1e-12)
    filled = formulas.fill_zeros_relative(p), formulas.fill_zeros_relative(q)
    assert formulas.psi(*filled) == pytest.approx(3.6139, abs=1e-4)
    p = share(0.32573783, 0.26860953, 0.14846763, 0.10319746, 0.15398756)
    q = share(0.32450529, 0.04326352, 0.26435823, 0.31585057, 0.05202239)
    assert formulas.hellinger(p, q) == pytest.approx(0.3145182904, abs=1e-8)
    assert formulas.hellinger(share(0, 1), share(1, 0)) == 1.0


def test_one_pair_of_shares_has_six_indices() -> None:
    p, q = share(0.0, 1.0), share(1.0, 0.0)
    found = {
        "deepchecks": shares.deepchecks_psi(p, q),
        "evidently": formulas.psi(formulas.fill_zeros_relative(p), formulas.fill_zeros_relative(q)),
        "popmon": shares.popmon_psi(p, q),
        "whylabs": shares.whylabs_psi(p, q),
        "naive": shares.naive_psi_of_shares(p, q),
        "scouter": shares.scouter_psi(p, q),
        "frouros": formulas.psi(*(formulas.fill_zeros(x, 2.2250738585072014e-308) for x in (p, q))),
    }
    published = {
        "deepchecks": 9.12,
        "evidently": 18.42,
        "popmon": 23.03,
        "whylabs": 32.24,
        "naive": 46.05,
        "scouter": 46.05,
        "frouros": 1416.79,
    }
    assert found == pytest.approx(published, abs=0.01)


def test_mlrun_vectors() -> None:
    p = share(0, 1 / 6, 1 / 3, 1 / 2)
    q = p[::-1]
    assert formulas.total_variation(p, q) == pytest.approx(0.666666, abs=1e-5)
    assert formulas.hellinger(p, q) == pytest.approx(0.727045, abs=1e-5)
    assert shares.mlrun_symmetric_kl(p, q) == pytest.approx(8.748242, abs=1e-5)
    filled = formulas.fill_zeros_relative(p), formulas.fill_zeros_relative(q)
    assert formulas.psi(*filled) == pytest.approx(8.74654, abs=1e-5)


def test_popmon_vectors() -> None:
    assert shares.popmon_psi(share(0.85, 0.05, 0.05, 0.05), np.full(4, 0.25)) == pytest.approx(1.699815077, abs=1e-8)


def test_scouter_thresholds() -> None:
    assert shares.scouter_threshold(10, 400) == pytest.approx(0.04230, abs=5e-6)
    assert shares.scouter_threshold(20, 1000) == pytest.approx(0.03014, abs=5e-6)
    assert shares.scouter_threshold(10, 400, normal=True) == pytest.approx(0.03995, abs=5e-6)
    with pytest.raises(StatsError):
        shares.scouter_threshold(1, 400)


def test_frouros_vectors() -> None:
    def normal(loc: float, scale: float, n: int = 100) -> list[float]:
        return np.random.RandomState(31).normal(loc, scale, n).tolist()

    before, after = normal(1, 1), normal(5, 2)
    assert shares.frouros_psi(before, after) == pytest.approx(461.20379435, rel=1e-8)
    assert shares.frouros_hellinger(before, after) == pytest.approx(0.74509099, abs=1e-8)
    assert nannyml.wasserstein(before, after) == pytest.approx(3.85346006, abs=1e-8)


def test_frouros_homogeneity_vector() -> None:
    statistic, _, _ = Groups.of(np.array([4, 2, 0])).test(0, np.array([[1, 1, 4]]), np.array([6]))
    assert statistic[0] == pytest.approx(6.1333333333, abs=1e-8)
    assert chi2.sf(statistic[0], 2) == pytest.approx(0.04657615, abs=1e-8)


def test_homogeneity_is_not_goodness_of_fit() -> None:
    reference, current = [16, 18, 16, 14, 12, 12], [16, 16, 16, 16, 16, 8]
    found = homogeneity(reference, current)
    assert chi2.sf(found.statistic, found.df) == pytest.approx(0.8985, abs=5e-5)
    assert evidently.chi_square_p_value_of_counts(np.array(reference), np.array(current)) == pytest.approx(
        0.67309, abs=1e-5
    )


def test_whylogs_vectors(shared_data: DataSets) -> None:
    facts = json.loads((shared_data / "peers/whylogs_alibi_facts.json").read_text())["whylogs"]
    for fact in facts:
        if fact["id"].startswith("wl-hell"):
            r, c = samples.value_counts(samples.numbers(fact["reference"]), samples.numbers(fact["target"]))
            assert formulas.hellinger(formulas.shares(r), formulas.shares(c)) == fact["expected"]
        elif fact["id"] == "wl-verdicts":
            reference, target = fact["reference"], fact["target"]
            binning = categorical_binning(reference["animal"])
            p = homogeneity(
                Profile.of(binning, reference["animal"]).coarse, Profile.of(binning, target["animal"]).coarse
            ).p_value
            assert shares.whylogs_verdict(p) == fact["expected"]["animal"]["verdict"]
            legs = shares.whylogs_ks_p_value(reference["legs"], target["legs"])
            assert shares.whylogs_verdict(legs) == fact["expected"]["legs"]["verdict"]
        else:
            assert fact["id"] in ("wl-chi2-zero", "wl-empty")
            binning = categorical_binning(["a"])
            scores = compat_scores("whylogs", Profile.empty(binning), Profile.empty(binning))
            assert set(scores.values()) == {None}


def test_alibi_detect_rules() -> None:
    rng = np.random.RandomState(0)
    reference = rng.randn(750)
    binning = numeric_binning(reference)
    base = Profile.of(binning, reference)
    for factor, offset, drifts in ((1, 0, False), (5, 5, True), (5, -5, True)):
        p = compat_scores("evidently", base, Profile.of(binning, reference * factor + offset))["ks_p_value"]
        assert p is not None
        assert (p < 0.05) is drifts
    assert homogeneity([20] * 5 + [0], [20] * 5 + [0]).p_value == 1.0
    assert homogeneity([20] * 5 + [0], [0] + [20] * 5).p_value < 0.05
    assert ks_p_value(0.0, 750, 750) == 1.0


def test_scores_from_counts_are_those_of_the_raw_samples_where_given() -> None:
    rng = np.random.default_rng(5)
    before, after = rng.choice(list("abcd"), 500).tolist(), rng.choice(list("abde"), 300).tolist()
    binning = categorical_binning(before)
    profiles = Profile.of(binning, before), Profile.of(binning, after)
    scores = compat_scores("evidently", *profiles)
    assert scores["psi"] == pytest.approx(evidently.psi(before, after, "categorical"), abs=1e-12)
    assert scores["jensen_shannon"] == pytest.approx(evidently.jensen_shannon(before, after, "categorical"), abs=1e-12)
    assert scores["chi_square_p_value"] == evidently.chi_square_p_value(before, after) == 0.0
    assert scores["wasserstein"] is None
    theirs = compat_scores("nannyml", *profiles)
    assert theirs["hellinger"] == pytest.approx(nannyml.hellinger(before, after, "categorical"), abs=1e-12)
    assert theirs["l_infinity"] == pytest.approx(nannyml.l_infinity(before, after), abs=1e-12)


def test_numbers_of_few_values_are_compared_by_value() -> None:
    rng = np.random.default_rng(6)
    before, after = rng.integers(0, 8, 2_000).astype(float), rng.integers(1, 10, 900).astype(float)
    after = np.minimum(after, 7)
    binning = numeric_binning(before)
    scores = compat_scores("evidently", Profile.of(binning, before), Profile.of(binning, after))
    assert scores["psi"] == pytest.approx(evidently.psi(before, after, "continuous"), abs=1e-12)
    assert scores["wasserstein"] == pytest.approx(evidently.wasserstein(before, after), abs=1e-9)


def test_the_naive_definition_from_counts_is_the_one_on_raw_samples() -> None:
    rng = np.random.default_rng(8)
    before, after = rng.normal(size=10_000), rng.normal(0.5, 2.0, 3_000)
    binning = numeric_binning(before)
    scores = compat_scores("naive", Profile.of(binning, before), Profile.of(binning, after))
    assert scores["psi"] == pytest.approx(shares.naive_psi(before, after), abs=1e-4)
    assert scores["jensen_shannon"] == pytest.approx(shares.naive_jensen_shannon(before, after), abs=1e-4)


@pytest.mark.parametrize("name", COMPAT_NAMES)
def test_every_tool_has_defined_answers_for_any_pair(name: str) -> None:
    constant, continuous = numeric_binning(np.full(50, 2.0)), numeric_binning(np.random.default_rng(0).normal(size=900))
    categorical = categorical_binning(["a", "b"])
    for binning in (constant, continuous, categorical):
        for values in ([], [2.0] * 30, ["a"] * 30, [1e9] * 30):
            for other in ([2.0] * 5, ["b"] * 5, [None]):
                scores = compat_scores(name, Profile.of(binning, other), Profile.of(binning, values))
                assert all(value is None or math.isfinite(value) for value in scores.values())


def test_an_unknown_tool_is_refused() -> None:
    profile = Profile.of(categorical_binning(["a"]), ["a"])
    with pytest.raises(StatsError, match="evidently"):
        compat_scores("nobody", profile, profile)
