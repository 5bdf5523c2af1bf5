"""Drift scores as other tools define them, so that thresholds tuned with those tools keep their meaning.

The same two samples have six different population stability indices in six tools: they differ in cells, in what they do
with an empty cell, and in the base of the logarithm. `compat_scores` gives what can be had from counts; the modules
`evidently`, `nannyml` and `shares` hold the definitions themselves, those that need raw samples too.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.binning import NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.compat import evidently, formulas, nannyml, samples, shares
from modelwatch.stats.drift.scores import ks, wasserstein
from modelwatch.stats.errors import IncompatibleProfiles, StatsError

Counts = NDArray[np.int64]
Scores = dict[str, float | None]

__all__ = ["COMPAT_NAMES", "compat_scores", "evidently", "formulas", "nannyml", "samples", "shares"]


def compat_scores(name: str, reference: Profile, current: Profile) -> Scores:
    """The scores of one tool (see `COMPAT_NAMES`) for two profiles, by the tool's name of the score.

    None where the tool's own cells can't be had from the counts (it bins both samples together), where the score is not
    defined for the kind of feature, or where a side has no valid values. Kolmogorov-Smirnov and Wasserstein come from
    the fine cells, so they are as close to the raw samples' as those are narrow.
    Raises StatsError for an unknown name, IncompatibleProfiles when the binnings differ.

    >>> from modelwatch.stats.counting.binning import categorical_binning
    >>> binning = categorical_binning(["a", "b"])
    >>> scores = compat_scores("whylabs", Profile.of(binning, ["a"]), Profile.of(binning, ["b"]))
    >>> round(scores["psi"], 2), round(scores["jensen_shannon"], 6)
    (32.24, 0.832555)
    """
    if name not in _TOOLS:
        raise StatsError(f"no compatibility definitions named {name!r}; there are {', '.join(COMPAT_NAMES)}")
    if reference.binning.id != current.binning.id:
        raise IncompatibleProfiles(
            f"the profiles count different cells: {reference.binning.id} and {current.binning.id}"
        )
    keys, compute = _TOOLS[name]
    scores: Scores = dict.fromkeys(keys)
    if reference.n and current.n:
        scores.update(compute(reference, current))
    return scores


def _cells(reference: Profile, current: Profile, most_values: float) -> tuple[Counts, Counts] | None:
    """Counts by value, or None for a numeric feature of more values or with values hidden inside a cell."""
    r, c = reference.fine, current.fine
    occupied = (r > 0) | (c > 0)
    if isinstance(reference.binning, NumericBinning):
        single = bool(reference.binning.atomic[occupied].all())
        if not single or np.count_nonzero(r) > most_values:
            return None
    return r[occupied], c[occupied]


def _evidently(reference: Profile, current: Profile) -> Scores:
    scores: Scores = {}
    cells = _cells(reference, current, evidently.VALUE_LIMIT)
    if cells is not None:
        p, q = map(formulas.shares, cells)
        filled = formulas.fill_zeros_relative(p), formulas.fill_zeros_relative(q)
        scores["psi"] = formulas.psi(*filled)
        scores["kl_divergence"] = formulas.kullback_leibler(*filled)
        scores["jensen_shannon"] = formulas.jensen_shannon_distance(p, q, base=math.e)
    if isinstance(reference.binning, NumericBinning):
        distance = wasserstein(reference, current)
        if distance is not None:
            scale = reference.binning.scale
            scores["wasserstein"] = distance * scale / max(scale, evidently.SMALLEST_SCALE)
        scores["ks_p_value"] = ks(reference, current).p_value
    elif cells is not None:
        scores["chi_square_p_value"] = evidently.chi_square_p_value_of_counts(*cells)
    return scores


def _nannyml(reference: Profile, current: Profile) -> Scores:
    scores: Scores = {}
    most_values = min(nannyml.MANY_VALUES, nannyml.MANY_DISTINCT * reference.n)
    cells = _cells(reference, current, most_values)
    if cells is not None:
        p, q = map(formulas.shares, cells)
        scores["jensen_shannon"] = formulas.jensen_shannon_distance(p, q, base=2.0)
        scores["hellinger"] = formulas.hellinger(p, q)
    if isinstance(reference.binning, NumericBinning):
        distance = wasserstein(reference, current)
        scores["wasserstein"] = None if distance is None else distance * reference.binning.scale
        scores["ks_statistic"] = ks(reference, current).statistic
    elif cells is not None:
        scores["l_infinity"] = float(np.abs(formulas.shares(cells[0]) - formulas.shares(cells[1])).max())
    return scores


def _of_categories(*formulas_by_name: tuple[str, Callable[..., float]]) -> Callable[[Profile, Profile], Scores]:
    """Scores of tools that bin numbers on both samples together: from counts they are known for categories only."""

    def compute(reference: Profile, current: Profile) -> Scores:
        cells = None if isinstance(reference.binning, NumericBinning) else _cells(reference, current, math.inf)
        if cells is None:
            return {}
        p, q = map(formulas.shares, cells)
        return {name: formula(p, q) for name, formula in formulas_by_name}

    return compute


def _azureml(reference: Profile, current: Profile) -> Scores:
    cells = None if isinstance(reference.binning, NumericBinning) else _cells(reference, current, math.inf)
    if cells is None:
        return {}
    p, q = map(formulas.shares, cells)
    return {
        "psi": shares.azureml_psi(*cells),
        "jensen_shannon": formulas.jensen_shannon_distance(p, q, base=2.0),
    }


def _scouter(reference: Profile, current: Profile) -> Scores:
    r, c = reference.coarse, current.coarse
    return {
        "psi": shares.scouter_psi(formulas.shares(r), formulas.shares(c)),
        "psi_threshold": shares.scouter_threshold(len(r), current.n),
    }


def _whylogs(reference: Profile, current: Profile) -> Scores:
    if isinstance(reference.binning, NumericBinning):
        return {"ks_p_value": ks(reference, current).p_value}
    return _of_categories(("hellinger", formulas.hellinger))(reference, current)


def _naive(reference: Profile, current: Profile) -> Scores:
    p, q = (_without_outsiders(profile) for profile in (reference, current))
    if not p.any() or not q.any():
        return {"psi": shares.naive_psi_of_shares(p, q)}
    return {
        "psi": shares.naive_psi_of_shares(p, q),
        "jensen_shannon": formulas.jensen_shannon_distance(p, q, base=math.e),
    }


def _without_outsiders(profile: Profile) -> NDArray[np.float64]:
    inside = profile.coarse.astype(np.float64)
    if isinstance(profile.binning, NumericBinning):
        inside[0] -= profile.below
        inside[-1] -= profile.above
    else:
        inside = inside[:-1]
    result: NDArray[np.float64] = inside / profile.n
    return result


_TOOLS: dict[str, tuple[tuple[str, ...], Callable[[Profile, Profile], Scores]]] = {
    "azureml": (("psi", "jensen_shannon"), _azureml),
    "deepchecks": (("psi",), _of_categories(("psi", shares.deepchecks_psi))),
    "evidently": (
        ("psi", "kl_divergence", "jensen_shannon", "wasserstein", "ks_p_value", "chi_square_p_value"),
        _evidently,
    ),
    "mlrun": (
        ("symmetric_kl", "hellinger", "total_variation"),
        _of_categories(
            ("symmetric_kl", shares.mlrun_symmetric_kl),
            ("hellinger", formulas.hellinger),
            ("total_variation", formulas.total_variation),
        ),
    ),
    "naive": (("psi", "jensen_shannon"), _naive),
    "nannyml": (("jensen_shannon", "hellinger", "l_infinity", "wasserstein", "ks_statistic"), _nannyml),
    "popmon": (("psi",), _of_categories(("psi", shares.popmon_psi))),
    "scouter": (("psi", "psi_threshold"), _scouter),
    "whylabs": (
        ("psi", "kl_divergence", "jensen_shannon", "hellinger"),
        _of_categories(
            ("psi", shares.whylabs_psi),
            ("kl_divergence", shares.whylabs_kl),
            ("jensen_shannon", shares.whylabs_jensen_shannon),
            ("hellinger", formulas.hellinger),
        ),
    ),
    "whylogs": (("hellinger", "ks_p_value"), _whylogs),
}
COMPAT_NAMES = tuple(_TOOLS)
