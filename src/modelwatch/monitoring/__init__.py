"""What the counts mean: references, windows, drift checks, verdicts, and the chores that keep them current."""

from modelwatch.monitoring.checks import DriftQuery, check_drift
from modelwatch.monitoring.chores import ChoreObserver, Chores
from modelwatch.monitoring.references import set_reference_frame, take_provisional_reference
from modelwatch.monitoring.reports import DriftReport
from modelwatch.monitoring.verdicts import DriftRules
from modelwatch.monitoring.windows import Window, covering, iso

__all__ = [
    "ChoreObserver",
    "Chores",
    "DriftQuery",
    "DriftReport",
    "DriftRules",
    "Window",
    "check_drift",
    "covering",
    "iso",
    "set_reference_frame",
    "take_provisional_reference",
]
