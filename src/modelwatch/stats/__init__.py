"""The statistical core: binnings, mergeable profiles, drift scores and the evidence behind them.

Everything is computed from integer counts over cells that are frozen when a reference is set. Functions take arrays
and return frozen dataclasses; nothing here reads a clock, a file or a table.

>>> import numpy as np
>>> from modelwatch.stats.drift.scores import drift_scores
>>> from modelwatch.stats.drift.significance.homogeneity import homogeneity
>>> from modelwatch.stats.counting.numeric import numeric_binning
>>> from modelwatch.stats.counting.profile import Profile
>>> reference_sample = np.random.default_rng(0).normal(size=10_000)
>>> binning = numeric_binning(reference_sample)
>>> reference = Profile.of(binning, reference_sample)
>>> current = Profile.of(binning, reference_sample[:1_000] + 1.0)
>>> drift_scores(reference, current).psi > 0.25
True
>>> homogeneity(reference.coarse, current.coarse).p_value < 1e-12
True
"""
