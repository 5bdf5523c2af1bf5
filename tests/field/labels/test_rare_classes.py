"""Classifiers whose positive class is rare, as of fraud and of failures: it doubles, and the PSI hardly moves."""

from __future__ import annotations

import numpy as np

from modelwatch.config import Settings
from modelwatch.events import ReferenceFrame, ReferenceSample, Scalar
from modelwatch.findings import Finding
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.monitoring.verification import verify_verdict
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import verdicts_of
from tests.support.background import Taken, background, new_id, run_out
from tests.support.data.streams import HOUR, SECOND
from tests.support.events import NOON, Clock, event, open_ledger

RULES = DriftRules.of(Settings())
USUAL, DOUBLED = 0.05, 0.11


def classes(size: int, share: float, seed: int) -> list[Scalar]:
    """Draws of which this share is `fraud`."""
    return ["fraud" if drawn < share else "fine" for drawn in np.random.default_rng(seed).random(size).tolist()]


def findings_by_hour(store: Store, shares: list[float], per_hour: int = 300) -> list[tuple[Finding, ...]]:
    """What was found about the prediction at the end of each hour, as the service does by default."""
    sample = ReferenceSample("prediction", "", "categorical", classes(20_000, USUAL, seed=1))
    set_reference_frame(store, ReferenceFrame("m", None, [sample]), now=NOON, new_id=new_id)
    clock, sink = Clock(), Taken()
    for hour, share in enumerate(shares):
        drawn = classes(per_hour, share, seed=100 + hour)
        ledger = open_ledger(store, clock, prefix=f"h{hour}")
        ledger.commit(
            [
                event(f"{hour}-{number}", {}, prediction=str(each), timestamp=NOON + hour * HOUR + number * SECOND)
                for number, each in enumerate(drawn)
            ]
        )
        ledger.close()
    clock.now = NOON + len(shares) * HOUR
    clock.advance(120)
    run_out(background(store, RULES, clock, sink=sink))
    by_hour: list[tuple[Finding, ...]] = [()] * len(shares)
    for each in sink.assessments:
        if each.check == "drift":
            by_hour[min((each.window_end * SECOND - NOON - 1) // HOUR, len(shares) - 1)] = each.findings
    return by_hour


def test_a_rare_class_that_doubles_is_found_within_hours_and_is_over_when_it_is_back(store: Store) -> None:
    found = findings_by_hour(store, [USUAL] * 24 + [DOUBLED] * 12 + [USUAL] * 36)
    assert not any(found[:24])
    first = next(hour for hour, findings in enumerate(found) if findings)
    assert first <= 24 + 6
    [finding] = found[35]
    assert (finding.kind, finding.subject, finding.score_name) == ("prediction_drift", "prediction", "odds ratio")
    assert (finding.category, finding.score >= finding.threshold) == ("fraud", True)
    assert all(found[first:36])
    assert found[-1] == ()
    with store.read() as connection:
        verdicts = verdicts_of(connection, "m", limit=200)
    worst = [each for each in verdicts if each.severity in ("warning", "alert")]
    assert worst
    assert all(verify_verdict(store, each.id).reproduced for each in worst[:5])


def test_a_rare_class_that_is_as_usual_raises_nothing(store: Store) -> None:
    assert not any(findings_by_hour(store, [USUAL] * 120, per_hour=60))
