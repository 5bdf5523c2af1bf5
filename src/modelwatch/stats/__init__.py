"""The statistical core: binnings, mergeable profiles, drift scores and the evidence behind them.

Everything is computed from integer counts over cells that are frozen when a reference is set. Functions take arrays
and return frozen dataclasses; nothing here reads a clock, a file or a table.

>>> import numpy as np
>>> reference_sample = np.random.default_rng(0).normal(size=10_000)
>>> binning = numeric_binning(reference_sample)
>>> reference = Profile.of(binning, reference_sample)
>>> current = Profile.of(binning, reference_sample[:1_000] + 1.0)
>>> drift_scores(reference, current).psi > 0.25
True
>>> homogeneity(reference.coarse, current.coarse).p_value < 1e-12
True
"""

from modelwatch.stats.binning import (
    Binning,
    CategoricalBinning,
    Naming,
    NumericBinning,
    Scalar,
    categorical_binning,
    category_name,
    decode_binning,
    encode_binning,
    numeric_binning,
)
from modelwatch.stats.calls import Call, CallCells, CallCounts
from modelwatch.stats.classes import ClassNames, class_key, class_name, class_names, share_of
from modelwatch.stats.datatypes import inferred_type, is_finite_number, is_number, number_of, prediction_type
from modelwatch.stats.delays import DELAY_EDGES, DelayCounts, DelayCurve, DelayLayout
from modelwatch.stats.drift import (
    DriftScores,
    JensenShannon,
    KolmogorovSmirnov,
    drift_scores,
    hellinger,
    jensen_shannon,
    ks,
    psi,
    psi_by_chance,
    psi_contributions,
    total_variation,
    wasserstein,
)
from modelwatch.stats.drift_tests import (
    Homogeneity,
    degrees_of_freedom,
    homogeneity,
    homogeneity_p_values,
    minimum_detectable_psi,
    samples_needed,
)
from modelwatch.stats.errors import EmptySample, IncompatibleProfiles, MalformedProfile, StatsError
from modelwatch.stats.evidence import alpha_per_look, benjamini_yekutieli, ks_p_value, rate_increase_p_value
from modelwatch.stats.names import (
    Split,
    decode_split,
    encode_split,
    expected_new,
    is_ids,
    names_p_value,
    smallest_detectable_psi,
    split_reference,
    times_each,
    window_needed,
    window_test,
)
from modelwatch.stats.natural import (
    MetricVariation,
    NaturalVariation,
    beyond_natural,
    decode_natural,
    encode_natural,
    natural_variation,
)
from modelwatch.stats.odds import CategoryOdds, OddsShift, furthest_odds, odds_shift
from modelwatch.stats.outcomes import (
    NO_OUTCOMES,
    Outcome,
    OutcomeCounts,
    OutcomeLayout,
    Outcomes,
    decode_outcome_layout,
    outcome_layout,
)
from modelwatch.stats.profile import Profile, decode_counts, encode_counts
from modelwatch.stats.recovery import F1Size, MeanSize, OddsSize, RateSize, ShiftSize, Size
from modelwatch.stats.segmentation import (
    MAX_SEGMENT_FEATURES,
    NO_SEGMENTS,
    Segmentation,
    SegmentFeature,
    decode_segmentation,
    segment_feature,
)
from modelwatch.stats.sparse import decode_sparse, encode_sparse
from modelwatch.stats.tasks import Probability, Task
from modelwatch.stats.variation import Variation, decode_variation, encode_variation, variation_of

__all__ = [
    "DELAY_EDGES",
    "MAX_SEGMENT_FEATURES",
    "NO_OUTCOMES",
    "NO_SEGMENTS",
    "Binning",
    "Call",
    "CallCells",
    "CallCounts",
    "CategoricalBinning",
    "CategoryOdds",
    "ClassNames",
    "DelayCounts",
    "DelayCurve",
    "DelayLayout",
    "DriftScores",
    "EmptySample",
    "F1Size",
    "Homogeneity",
    "IncompatibleProfiles",
    "JensenShannon",
    "KolmogorovSmirnov",
    "MalformedProfile",
    "MeanSize",
    "MetricVariation",
    "Naming",
    "NaturalVariation",
    "NumericBinning",
    "OddsShift",
    "OddsSize",
    "Outcome",
    "OutcomeCounts",
    "OutcomeLayout",
    "Outcomes",
    "Probability",
    "Profile",
    "RateSize",
    "Scalar",
    "SegmentFeature",
    "Segmentation",
    "ShiftSize",
    "Size",
    "Split",
    "StatsError",
    "Task",
    "Variation",
    "alpha_per_look",
    "benjamini_yekutieli",
    "beyond_natural",
    "categorical_binning",
    "category_name",
    "class_key",
    "class_name",
    "class_names",
    "decode_binning",
    "decode_counts",
    "decode_natural",
    "decode_outcome_layout",
    "decode_segmentation",
    "decode_sparse",
    "decode_split",
    "decode_variation",
    "degrees_of_freedom",
    "drift_scores",
    "encode_binning",
    "encode_counts",
    "encode_natural",
    "encode_sparse",
    "encode_split",
    "encode_variation",
    "expected_new",
    "furthest_odds",
    "hellinger",
    "homogeneity",
    "homogeneity_p_values",
    "inferred_type",
    "is_finite_number",
    "is_ids",
    "is_number",
    "jensen_shannon",
    "ks",
    "ks_p_value",
    "minimum_detectable_psi",
    "names_p_value",
    "natural_variation",
    "number_of",
    "numeric_binning",
    "odds_shift",
    "outcome_layout",
    "prediction_type",
    "psi",
    "psi_by_chance",
    "psi_contributions",
    "rate_increase_p_value",
    "samples_needed",
    "segment_feature",
    "share_of",
    "smallest_detectable_psi",
    "split_reference",
    "times_each",
    "total_variation",
    "variation_of",
    "wasserstein",
    "window_needed",
    "window_test",
]
