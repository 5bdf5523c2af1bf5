"""Whether a model is still right: labelled counts judged against the reference, with intervals and coverage."""

from modelwatch.monitoring.performance.check import PerformanceCheck, check_performance
from modelwatch.monitoring.performance.history import PerformanceHistory, performance_history
from modelwatch.monitoring.performance.reports import PerformanceReport
from modelwatch.monitoring.performance.rules import PerformanceRules

__all__ = [
    "PerformanceCheck",
    "PerformanceHistory",
    "PerformanceReport",
    "PerformanceRules",
    "check_performance",
    "performance_history",
]
