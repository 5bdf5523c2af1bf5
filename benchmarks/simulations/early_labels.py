"""Early verdicts: how often they are wrong, and how often they find a loss, by how the delay depends on the label.

Each draw has a reference, older windows as they were early and what came later, and a window that is looked at early,
all from the same model: whatever is found is a false alarm. The last scenarios have a window that is truly worse. The
counts are judged by the service's own rules. Everything follows from the seed.

    python -m benchmarks.simulations.early_labels --draws 20000
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelwatch.monitoring.checks.performance.early.check import evaluate_early, judge_early
from modelwatch.monitoring.checks.performance.early.evidence import EarlyCounts
from modelwatch.monitoring.checks.performance.judge import LabelledWindow
from modelwatch.monitoring.checks.performance.labels.maturity import LabelArrivals
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.performance.window_counts import WindowCounts
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.encoded_counts import encode_sparse
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import Estimate

Shares = tuple[float, float, float, float]
METRICS = ("accuracy", "precision", "recall", "f1")
RULES = PerformanceRules(budget=1.0, check_interval=86_400)
LAYOUT = OutcomeLayout("binary", ("no", "yes"), "yes")
REFERENCE = 10_000
# Of a false alarm; and that of a metric in three look-backs each day, by which losses are found.
ALPHA, STRICT = 1e-2, 1e-4
SEED = 20_261_130
ARRIVALS = LabelArrivals(1_000, 1.0, 2.0, 3.0, 300, 1.0, ((0.0, 0.5), (300.0, 0.9)))
# Truth by prediction: no as no, no as yes, yes as no, yes as yes.
EVEN: Shares = (0.45, 0.05, 0.05, 0.45)
WORSE: Shares = (0.42, 0.08, 0.08, 0.42)
MUCH_WORSE: Shares = (0.40, 0.10, 0.10, 0.40)
FRAUD: Shares = (0.93, 0.02, 0.015, 0.035)


@dataclass(frozen=True)
class Scenario:
    """shares: of the four kinds of predictions. early: of each kind, the share whose label is in early. older: labelled
    predictions of the older windows; window: predictions of the one that is looked at; now: its shares."""

    name: str
    shares: Shares
    early: Shares
    older: int = 20_000
    window: int = 3_000
    now: Shares | None = None


def _even(early: float) -> Shares:
    return (early, early, early, early)


SCENARIOS = (
    Scenario("independent", EVEN, _even(0.65)),
    Scenario("independent, a window of 300", EVEN, _even(0.65), window=300),
    Scenario("independent, a window of 100,000", EVEN, _even(0.65), window=100_000),
    Scenario("independent, 10,000 older", EVEN, _even(0.65), older=10_000),
    Scenario("independent, half in", EVEN, _even(0.5), older=16_000),
    Scenario("frauds, independent", FRAUD, _even(0.65)),
    Scenario("frauds sooner: .90 against .60", FRAUD, (0.6, 0.6, 0.9, 0.9)),
    Scenario("frauds later: .30 against .65", FRAUD, (0.65, 0.65, 0.3, 0.3)),
    Scenario("frauds a little later: .60 against .65", FRAUD, (0.65, 0.65, 0.6, 0.6)),
    Scenario("frauds a little later, a window of 100,000", FRAUD, (0.65, 0.65, 0.6, 0.6), window=100_000),
    Scenario("wrong ones sooner: .80 against .60", EVEN, (0.6, 0.8, 0.8, 0.6)),
    Scenario("wrong ones sooner: .67 against .63", EVEN, (0.63, 0.67, 0.67, 0.63)),
    Scenario("wrong ones sooner: .67 against .63, 100,000", EVEN, (0.63, 0.67, 0.67, 0.63), window=100_000),
    Scenario("wrong ones sooner: .67 against .63, 10,000 older", EVEN, (0.63, 0.67, 0.67, 0.63), 10_000, 100_000),
    Scenario("wrong ones later: .50 against .65", EVEN, (0.65, 0.5, 0.5, 0.65)),
    Scenario("accuracy .90 to .84", EVEN, _even(0.65), now=WORSE),
    Scenario("accuracy .90 to .80", EVEN, _even(0.65), now=MUCH_WORSE),
    Scenario("accuracy .90 to .80, a window of 300", EVEN, _even(0.65), window=300, now=MUCH_WORSE),
)


@dataclass(frozen=True)
class Result:
    """draws: of those, judged: in so many the delay was found not to depend on the labels, and accuracy was judged.
    found: of judgements of a metric, those with a loss; judgements: all that were asked for; accuracy: draws in which
    its loss was found."""

    draws: int
    judged: int
    found: int
    judgements: int
    accuracy: int

    @property
    def level(self) -> float:
        """The share of all judgements that found a loss, in units of what one may."""
        return self.found / self.judgements / ALPHA


def simulate(scenario: Scenario, draws: int, seed: int = SEED) -> Result:
    """Looks early so many times."""
    rng = np.random.default_rng([seed, *map(ord, scenario.name)])
    judged = found = accuracy = 0
    alpha = STRICT if scenario.now else ALPHA
    for _ in range(draws):
        reference = _counts(rng.multinomial(REFERENCE, scenario.shares))
        older = rng.multinomial(scenario.older, scenario.shares)
        in_early = rng.binomial(older, scenario.early)
        window = rng.multinomial(scenario.window, scenario.now or scenario.shares)
        now = _counts(rng.binomial(window, scenario.early))
        span = WindowCounts(Window(0, 86_400), False, 0, scenario.window, encode_sparse(now.vector), b"")
        sides = (_counts(side).vector for side in (in_early, older - in_early))
        counts = EarlyCounts(span, 0, 86_400, *(encode_sparse(side) for side in sides))
        # The intervals of the metrics decide nothing here, and take longest.
        seen = LabelledWindow(now, {name: Estimate(1.0, n=now.n) for name in METRICS}, "young")
        early = evaluate_early(counts, seen, reference, RULES, METRICS, ARRIVALS)
        if early.independence.reason is None and "accuracy" in early.independence.bounded:
            judged += 1
        for name in METRICS:
            worse = judge_early(name, early, reference, RULES, alpha, None).severity != "immature"
            found += worse
            accuracy += worse and name == "accuracy"
    return Result(draws, judged, found, draws * len(METRICS), accuracy)


def _counts(cells: NDArray[np.int64]) -> OutcomeCounts:
    vector = np.zeros(LAYOUT.size, dtype=np.int64)
    vector[LAYOUT.parts["delays"].place.start] = cells.sum()
    matrix = np.zeros((3, 3), dtype=np.int64)
    matrix[:2, :2] = cells.reshape(2, 2)
    start = LAYOUT.parts["confusion"].place.start
    vector[start : start + 9] = matrix.ravel()
    return OutcomeCounts(LAYOUT, vector)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20_000)
    given = parser.parse_args(arguments)
    print(f"| labels, {given.draws:,} draws | accuracy judged early | loss of accuracy found | level, in {ALPHA:g} |")
    print("|---|---|---|---|")
    for scenario in SCENARIOS:
        found = simulate(scenario, given.draws)
        level = "" if scenario.now else f"{found.level:.2f}"
        print(
            f"| {scenario.name} | {found.judged / found.draws:.1%} | {found.accuracy / found.draws:.2%} | {level} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
