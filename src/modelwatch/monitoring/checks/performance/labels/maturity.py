"""Maturity of windows: labels are late, and a window without them says nothing about the model."""

from __future__ import annotations

import math

import msgspec

from modelwatch.charts.drawing.numbers import percent
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.measures import plain

# A window is mature when so much of what is expected of it should have come, and so much of that has.
MATURITY = 0.9
ARRIVED_SHARE = 0.8
# How late most labels are is known once they have been coming for so many lags: with delays of an exponential
# distribution 89 % come within the lag that is found then for 90 %.
KNOWN_AFTER_LAGS = 2
# Labels of all delays have come in their usual shares once they have been coming for so many lags.
TYPICAL_AFTER_LAGS = 4
LONGEST_LAG_SECONDS = 366 * 86_400
# Labels are learned from for little longer: what takes longer to be known is not waited for.
LONGEST_HISTORY_SECONDS = 366 * 86_400
# Of so many days before it is told how many of their predictions have labels.
MOST_DAYS = 84

# Start in seconds, predictions, and how many of them have a label.
Day = tuple[int, int, int]


class LabelArrivals(msgspec.Struct, frozen=True):
    """Arrivals of a stream's labels, as far as they are known at some moment.

    labels: how many this rests on. median, p90, p99: seconds after the prediction; None beyond a year, or without
    labels. lag: seconds after which most of the labels that come at all have come, in whole base windows. coverage: the
    share of predictions that get a label in the end, None when none is old enough to tell. shares: by seconds since
    the prediction, the share of the labels that has come. needed: the share that is waited for. history: seconds from
    the first labelled prediction to then; 0 where it was not kept. newest: the same from the newest one.
    """

    labels: int
    median: float | None
    p90: float | None
    p99: float | None
    lag: int
    coverage: float | None
    shares: tuple[tuple[float, float], ...]
    needed: float = MATURITY
    history: int = 0
    newest: int = 0

    @property
    def too_new(self) -> str | None:
        """Why the classes of the labels can't be compared yet; None when they can.

        At the beginning only quick labels are known, and they are often of one class.
        """
        return self._before(TYPICAL_AFTER_LAGS, "the typical delay")

    @property
    def unknown(self) -> str | None:
        """Why it is not known yet after which time most labels have come; None when it is.

        Where new predictions have labels, and none is twice as old as most labels are said to be late, labels that take
        longer may not have had the time to come: at first the lag is that of quick ones.
        """
        if 2 * self.newest >= self.history:
            return None
        return self._before(KNOWN_AFTER_LAGS, "how late most of them are")

    def _before(self, lags: int, what: str) -> str | None:
        wanted = min(lags * self.lag, LONGEST_HISTORY_SECONDS)
        if not 0 < self.history < wanted:
            return None
        return (
            f"the first prediction with a label is {_time(self.history, up=False)} old; {what} is known after"
            f" {_time(wanted, up=True)}"
        )

    def share_within(self, seconds: float) -> float:
        """The share of the labels that comes within this time; 1 without labels."""
        found = 0.0 if self.shares else 1.0
        for upto, share in self.shares:
            if upto > max(seconds, 0.0):
                break
            found = share
        return found


def lag_of(delay: float) -> int:
    """Seconds, in whole base windows, by which evaluations lag behind for labels that mostly arrive within this delay.

    >>> lag_of(0.0), lag_of(64.0), lag_of(301.0), lag_of(math.inf) // 86_400
    (0, 300, 600, 366)
    """
    bounded = min(delay, LONGEST_LAG_SECONDS)
    return math.ceil(bounded / BASE_WINDOW_SECONDS) * BASE_WINDOW_SECONDS


def immaturity(arrivals: LabelArrivals, age: float, predictions: int, labelled: int) -> str | None:
    """Why a window is not to be judged yet; None when it is mature. age: seconds since its end.

    >>> arrivals = LabelArrivals(100, 60.0, 3_600.0, 7_200.0, 3_600, 0.5, ((0.0, 0.1), (3_600.0, 0.95)))
    >>> immaturity(arrivals, 60.0, 1_000, 50)
    'about 10.0 % of the eventual labels have arrived: most arrive within 1 h'
    >>> immaturity(arrivals, 7_200.0, 1_000, 100)
    '100 labels have arrived of about 475 that are usual by now'
    >>> immaturity(arrivals, 7_200.0, 1_000, 470) is None
    True
    >>> immaturity(msgspec.structs.replace(arrivals, history=4_000), 7_200.0, 1_000, 470)
    'the first prediction with a label is 1 h old; how late most of them are is known after 2 h'
    >>> immaturity(msgspec.structs.replace(arrivals, history=4_000), 7_200.0, 1_000, 950) is None
    True
    """
    if arrivals.unknown is not None and labelled < arrivals.needed * predictions:
        return arrivals.unknown
    share = arrivals.share_within(age)
    if share < arrivals.needed:
        known = plain(percent(share))
        return f"about {known} of the eventual labels have arrived: most arrive within {_time(arrivals.lag)}"
    if arrivals.coverage is not None:
        expected = predictions * arrivals.coverage * share
        if labelled < ARRIVED_SHARE * expected:
            return f"{labelled} labels have arrived of about {expected:.0f} that are usual by now"
    return None


def _time(seconds: int, *, up: bool | None = None) -> str:
    rounded = round if up is None else math.ceil if up else math.floor
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{rounded(seconds / size)} {unit}"
    return f"{seconds} s"
