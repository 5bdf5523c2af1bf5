"""What the counts mean: references, windows, drift checks, verdicts, and the evaluations that keep them current."""

from modelwatch.monitoring.backtest import Backtest, Episode, backtest
from modelwatch.monitoring.checks import check_drift
from modelwatch.monitoring.chores import Chore, ChoreObserver, Chores, Lease
from modelwatch.monitoring.evaluator import AssessmentSink, EvaluationObserver, Evaluator
from modelwatch.monitoring.evidence import DriftQuery, effective_rules
from modelwatch.monitoring.housekeeping import Housekeeping
from modelwatch.monitoring.reference_windows import TakenWindow, WindowOfReference, set_reference_from_window
from modelwatch.monitoring.references import (
    ReferenceWarning,
    set_reference_frame,
    take_provisional_reference,
    warnings_about,
)
from modelwatch.monitoring.reports import DriftReport
from modelwatch.monitoring.rules import DriftRules, rules_for
from modelwatch.monitoring.verification import Verification, verify_verdict
from modelwatch.monitoring.windows import Window, covering, iso

__all__ = [
    "AssessmentSink",
    "Backtest",
    "Chore",
    "ChoreObserver",
    "Chores",
    "DriftQuery",
    "DriftReport",
    "DriftRules",
    "Episode",
    "EvaluationObserver",
    "Evaluator",
    "Housekeeping",
    "Lease",
    "ReferenceWarning",
    "TakenWindow",
    "Verification",
    "Window",
    "WindowOfReference",
    "backtest",
    "check_drift",
    "covering",
    "effective_rules",
    "iso",
    "rules_for",
    "set_reference_frame",
    "set_reference_from_window",
    "take_provisional_reference",
    "verify_verdict",
    "warnings_about",
]
