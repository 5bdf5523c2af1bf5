"""Errors that the statistics raise. They know nothing of HTTP.

StatsError (a ValueError)      a statistic was asked with arguments it is not defined for
├── EmptySample                a binning or a score was asked of no observations
├── IncompatibleProfiles       two profiles do not count the same cells, or one is not part of the other
└── MalformedProfile           stored bytes are not an encoded binning or count vector
"""


class StatsError(ValueError):
    """Root of every error raised by `modelwatch.stats`."""


class EmptySample(StatsError):
    """No observations to work on."""


class IncompatibleProfiles(StatsError):
    """Two profiles can't be combined: their cells differ, or one is not contained in the other."""


class MalformedProfile(StatsError):
    """Bytes that are not an encoded binning or an encoded count vector."""
