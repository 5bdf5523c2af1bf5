"""Whether the data that a model gets are sound: missing and wrong values, the schema, repeats, volume, silence."""

from modelwatch.monitoring.quality.check import QualityCheck, check_quality
from modelwatch.monitoring.quality.freshness import Freshness, FreshnessReport, freshness_of
from modelwatch.monitoring.quality.reports import QualityReport
from modelwatch.monitoring.quality.rules import QualityRules

__all__ = [
    "Freshness",
    "FreshnessReport",
    "QualityCheck",
    "QualityReport",
    "QualityRules",
    "check_quality",
    "freshness_of",
]
