"""Labels, and keys of probabilities, that mean no class of the model: how many there are, and whether that matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
from sqlalchemy import Connection

from modelwatch.charts.drawing.numbers import percent
from modelwatch.events import Scalar
from modelwatch.measures import plain
from modelwatch.monitoring.checks.performance.labels.interpretation import strange_labels
from modelwatch.monitoring.checks.quality.report import ClassUseReport, Severity
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.stored_windows import stored_whole
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.drift.evidence import rate_increase_p_value
from modelwatch.stats.outcomes.classes import class_key
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.outcomes.predicted_scores import ScoreByPredictedClass, ScoreByPredictedClassCounts
from modelwatch.stats.quality.rates import ROUNDING, rise_that_matters
from modelwatch.storage.counts.labels.times import later_outcomes
from modelwatch.storage.counts.outcomes import meanings_of_day, sum_outcomes
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.slots import Slot
from modelwatch.storage.references.layouts import Counts, ModelLayouts, read_layouts
from modelwatch.storage.references.outcome_references import outcomes_for, outcomes_in_force
from modelwatch.storage.references.subjects import PREDICTED_SCORES
from modelwatch.times import SECONDS_PER_DAY, iso_of_seconds

# Labels come later than their predictions: so far back they are looked at, farther where there are too few.
LABELS_LOOKED_AT = (("7d", 7 * SECONDS_PER_DAY), ("90d", 90 * SECONDS_PER_DAY))
# Predictions that are looked through for the names of what means no class, and how many names are kept.
ROWS_LOOKED_AT = 500
NAMES_KEPT = 5
SEVERE_RISE = 2.0
RULE = "unknown_class"

What = Literal["ground_truth", "prediction_probability"]


class ClassUse(msgspec.Struct, frozen=True):
    """Labels of a stretch, or predictions with probabilities by class, that match no class: `count` of `n`.

    reference_count, reference_n: the same of the labelled reference; 0 without one. names: the most frequent of some
    rows. start, end: of the stretch, in seconds.
    """

    what: What
    count: int
    n: int
    reference_count: int
    reference_n: int
    names: tuple[str, ...]
    start: int
    end: int
    lookback: str | None

    @property
    def share(self) -> float | None:
        """Of those of the stretch."""
        return self.count / self.n if self.n else None

    @property
    def reference_share(self) -> float:
        """Of those of the reference; 0 without one."""
        return self.reference_count / self.reference_n if self.reference_n else 0.0

    @property
    def rise(self) -> float:
        """Difference between the share and that of the reference."""
        return (self.share or 0.0) - self.reference_share


@dataclass(frozen=True, slots=True)
class ClassJudgement:
    """Judgement of such a share. p_value: that chance alone gives a rise like this; None without a reference."""

    use: ClassUse
    severity: Severity
    p_value: float | None
    reason: str | None

    @property
    def subject(self) -> str:
        """Subject of a finding about it."""
        return f"{self.use.what}: {RULE}"


def gather_classes(
    connection: Connection,
    store: Store,
    stream: StreamKey,
    generation: int,
    window: tuple[int, int, str | None],
    slot: Slot | None,
    *,
    enough: int,
    known_by: int | None,
) -> tuple[ClassUse, ...]:
    """Class uses to judge, for a classifier; empty for other models.

    window, slot: start, end and name of the longest look-back, and what the stream has in it. enough: so many labels
    are looked for. known_by: seconds; labels of later times do not count.
    """
    layouts = read_layouts(connection, stream.model, generation)
    of_version = layouts.of(stream.version)
    layout, place = of_version.outcome, of_version.slices.get(PREDICTED_SCORES)
    if layout.task not in ("binary", "multiclass") or layout.naming == "exact":
        return ()
    start, end, lookback = window
    found = []
    if slot is not None and place is not None:
        calls = ScoreByPredictedClassCounts(ScoreByPredictedClass(layout), slot.counts[place])
        unnamed, scored = calls.nameless, int(calls.vector.sum()) - calls.unscored
        names = _names(layout, _rows(connection, stream, end), "prediction_probability") if unnamed else ()
        found.append(ClassUse("prediction_probability", unnamed, unnamed + scored, 0, 0, names, start, end, lookback))
    labels = _labels(connection, store, stream, layouts, end, enough, known_by)
    if labels is not None:
        looked_at, vector = labels
        reference = outcomes_for(outcomes_in_force(connection, stream.model, generation), stream.version)
        before = None if reference is None else reference.counts
        now = strange_labels(OutcomeCounts(layout, vector), before)
        then = None if before is None or not before.n else strange_labels(before, before)
        names = now.names
        if now.n and not names:
            names = _names(layout, _rows(connection, stream, end), "ground_truth")
        counts = (0, 0) if then is None else (then.n, then.of)
        span = (looked_at.start, looked_at.end)
        names = names[:NAMES_KEPT]
        found.append(ClassUse("ground_truth", now.n, now.of, *counts, names, *span, looked_at.lookback))
    return tuple(found)


def _labels(
    connection: Connection,
    store: Store,
    stream: StreamKey,
    layouts: ModelLayouts,
    end: int,
    enough: int,
    known_by: int | None,
) -> tuple[Window, Counts] | None:
    """The outcomes of the shortest look-back with enough of them, else of the longest; None where none has any."""
    found = None
    windows = stored_whole(connection, stream, [Window(end - each, end, name) for name, each in LABELS_LOOKED_AT])
    for window in windows:
        span = (window.start, window.end)
        [sums] = sum_outcomes(connection, stream.model, layouts, stream.environment, [span], stream.version)
        vector = sums.get(stream.version)
        if vector is None:
            continue
        if known_by is not None:
            [later] = later_outcomes(connection, store, stream, layouts, [span], known_by)
            vector = vector if later is None else vector - later
        n = OutcomeCounts(layouts.of(stream.version).outcome, vector).n
        if n:
            found = window, vector
        if n >= enough:
            break
    return found


def judge_classes(uses: Iterable[ClassUse], rules: QualityRules, alpha: float) -> list[ClassJudgement]:
    """The judgement on each: a share that is large, and more than chance gives where there is a reference."""
    return [_judged(use, rules, alpha) for use in uses]


def _judged(use: ClassUse, rules: QualityRules, alpha: float) -> ClassJudgement:
    if not use.n:
        return ClassJudgement(use, "no_data", None, "There are none in this window.")
    if use.n < rules.min_samples:
        missing = rules.min_samples - use.n
        return ClassJudgement(
            use, "insufficient_data", None, f"{use.n} of at least {rules.min_samples}: {missing} more are needed."
        )
    p_value = None
    if use.reference_n:
        p_value = rate_increase_p_value(use.reference_count, use.reference_n, use.count, use.n)
    warning, alert = thresholds_of(use, rules)
    if use.rise < warning - ROUNDING or (p_value is not None and p_value >= alpha):
        return ClassJudgement(use, "stable", p_value, None)
    return ClassJudgement(use, "alert" if use.rise >= alert - ROUNDING else "warning", p_value, None)


def thresholds_of(use: ClassUse, rules: QualityRules) -> tuple[float, float]:
    """From which rise on there is a warning, and an alert."""
    if not use.reference_n:
        return rules.min_rise, SEVERE_RISE * rules.min_rise
    warning = rise_that_matters(use.reference_share, least_rise=rules.min_rise, factor=rules.factor)
    return warning, max(warning, SEVERE_RISE * rules.min_rise)


def detail_of(use: ClassUse) -> str:
    """Sentence on the finding."""
    share = plain(percent(use.share or 0.0))
    names = f" ({', '.join(map(repr, use.names))})" if use.names else ""
    if use.what == "ground_truth":
        return f"{share} of the labels are of classes{names} that were never predicted and are not in the reference"
    return f"{share} of the probabilities by class do not name the predicted class; their keys{names} are no classes"


def class_reports(judgements: Iterable[ClassJudgement]) -> list[ClassUseReport]:
    """The judgements as they are shown."""
    return [
        ClassUseReport(
            each.use.what,
            each.severity,
            iso_of_seconds(each.use.start),
            iso_of_seconds(each.use.end),
            each.use.count,
            each.use.n,
            each.use.share,
            each.use.reference_share if each.use.reference_n else None,
            list(each.use.names),
            each.p_value,
            each.reason,
        )
        for each in judgements
    ]


_Meaning = tuple[Scalar, float | Mapping[str, float] | None, Scalar]


def _rows(connection: Connection, stream: StreamKey, end: int) -> Sequence[_Meaning]:
    return meanings_of_day(connection, stream, (end - 1) // SECONDS_PER_DAY, ROWS_LOOKED_AT)


def _names(layout: OutcomeLayout, rows: Iterable[_Meaning], what: What) -> tuple[str, ...]:
    """The most frequent of what means no class."""
    counts: Counter[str] = Counter()
    for _, shares, truth in rows:
        given: Iterable[Scalar] = (truth,)
        if what == "prediction_probability":
            given = shares if isinstance(shares, Mapping) else ()
        for value in given:
            key = class_key(value)
            if key is not None and layout.names.of(value) is None:
                counts[key] += 1
    return tuple(sorted(counts, key=lambda key: (-counts[key], key))[:NAMES_KEPT])
