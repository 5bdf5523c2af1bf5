"""The distribution of the two-sided Kolmogorov-Smirnov statistic, as `scipy.stats.kstwo`, without its overhead.

Source: Simard and L'Ecuyer (2011), Computing the two-sided Kolmogorov-Smirnov distribution, which chooses between
twice the one-sided probability, the expansion of Pelz and Good (1976), and exact methods for small samples.
"""

import math

import numpy as np
from numpy.typing import NDArray

SMALL_SAMPLE = 140
LARGEST_EXACT = 100_000
LARGEST_SUM = 40_000
TERMS = np.arange(0.0, 12.0)
# Squares of half and of whole multiples of pi, and the powers of these that the series of Pelz and Good is made of.
_HALF, _WHOLE = (math.pi * (TERMS + 0.5)) ** 2, (math.pi * TERMS) ** 2
_HALF_2, _HALF_3, _WHOLE_2 = _HALF**2, _HALF**3, _WHOLE**2
# 1/0!, 1/1!, …; beyond 170 they are below the smallest double.
_INVERSE_FACTORIALS = np.array([math.exp(-math.lgamma(i + 1.0)) for i in range(180)])


def survival(d: float, n: int) -> float:
    """The probability that the statistic of n observations is at least d.

    >>> round(survival(0.05, 1000), 10)
    0.0130120748
    """
    if d <= 0.0:
        return 1.0
    if d >= 1.0:
        return 0.0
    scaled = n * d * d
    if n > SMALL_SAMPLE and scaled >= 370.0:
        return 0.0
    if n * d > 1.0 and (d >= 0.5 or scaled > (2.2 if n > SMALL_SAMPLE else 4.0)):
        return min(1.0, 2.0 * _one_sided(d, n))
    if n <= SMALL_SAMPLE or n * d <= 1.0 or (n <= LARGEST_EXACT and n * d**1.5 <= 1.4):
        return _exact(d, n)
    return min(1.0, max(0.0, 1.0 - _pelz_good(d, n)))


def _one_sided(d: float, n: int) -> float:
    """The probability that the one-sided statistic is at least d."""
    return _smirnov_sum(d, n) if n <= LARGEST_SUM else _smirnov_series(d, n)


def _smirnov_sum(d: float, n: int) -> float:
    """Smirnov's exact sum. `scipy.special.smirnov` is the same number, ten times slower at the n of a busy window."""
    from scipy.special import gammaln  # loaded on first use: it takes a third of a second

    j = np.arange(0.0, math.floor(n * (1.0 - d)) + 1.0)
    ahead = d + j / n
    behind = np.maximum(1.0 - ahead, np.finfo(float).tiny)
    logs = gammaln(n + 1.0) - gammaln(j + 1.0) - gammaln(n - j + 1.0) + (j - 1.0) * np.log(ahead)
    return float(d * np.exp(logs + (n - j) * np.log(behind)).sum())


def _smirnov_series(d: float, n: int) -> float:
    """Its expansion in 1/sqrt(n), as a sum of exponents so that it stays a probability far out in the tail.

    Relative error at the n that it is used for: below 1e-5 where p > 1e-20, a few per cent at p = 1e-120.
    Source: Smirnov's expansion (1944), whose terms the tests hold against the sum.
    """
    z, root = d * math.sqrt(n), math.sqrt(n)
    first = -2.0 * z / 3.0
    second = 2.0 * z**2 / 3.0 * (1.0 - 2.0 * z**2 / 3.0)
    third = 4.0 * z / 9.0 * (0.2 - 19.0 * z**2 / 15.0 + 2.0 * z**4 / 3.0)
    exponent = first / root
    exponent += (second - first**2 / 2.0) / n
    exponent += (third - first * second + first**3 / 3.0) / (n * root)
    return math.exp(min(0.0, exponent - 2.0 * z**2))


def _exact(d: float, n: int) -> float:
    """The probability as an element of the n-th power of a matrix: exact, and cheap while n·d is small.

    Source: Marsaglia, Tsang and Wang (2003), Evaluating Kolmogorov's distribution.
    """
    if 2.0 * n * d <= 1.0:
        return 1.0
    if n * d <= 1.0:
        return -math.expm1(math.lgamma(n + 1.0) + n * math.log(2.0 * d - 1.0 / n))
    k = int(n * d) + 1
    h, size = k - n * d, 2 * k - 1
    steps = np.subtract.outer(np.arange(size), np.arange(size)) + 1
    matrix = np.where(steps >= 0, 1.0, 0.0)
    powers = h ** np.arange(1.0, size + 1.0)
    matrix[:, 0] -= powers
    matrix[-1, :] -= powers[::-1]
    matrix[-1, 0] += max(0.0, 2.0 * h - 1.0) ** size
    matrix *= _INVERSE_FACTORIALS[np.clip(steps, 0, len(_INVERSE_FACTORIALS) - 1)]
    power, exponent = _matrix_power(matrix, n)
    within = power[k - 1, k - 1]
    log_within = (
        math.log(within) + exponent * math.log(2.0) + math.lgamma(n + 1.0) - n * math.log(n)
        if within > 0
        else -math.inf
    )
    return min(1.0, max(0.0, -math.expm1(log_within)))


def _matrix_power(matrix: NDArray[np.float64], n: int) -> tuple[NDArray[np.float64], int]:
    """The n-th power, and the binary exponent that it has to be multiplied with."""
    result, scale = np.eye(len(matrix)), 0
    square, square_scale = matrix, 0
    while n:
        if n & 1:
            result, scale = result @ square, scale + square_scale
            result, shift = _scaled(result)
            scale += shift
        n >>= 1
        if n:
            square, square_scale = square @ square, 2 * square_scale
            square, shift = _scaled(square)
            square_scale += shift
    return result, scale


def _scaled(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    exponent = math.frexp(float(np.abs(matrix).max()))[1]
    return np.ldexp(matrix, -exponent), exponent


def _pelz_good(d: float, n: int) -> float:
    """The distribution function as a series in 1/sqrt(n), each coefficient a theta-like sum in z = sqrt(n)·d."""
    z2 = n * d * d
    z4, z6 = z2 * z2, z2 * z2 * z2
    z = math.sqrt(z2)
    half, whole = _HALF, _WHOLE
    # The sums run over all integers; both are symmetric, and the term at k = 0 of the second is zero.
    at_half = 2.0 * np.exp(-half / (2.0 * z2))
    at_whole = 2.0 * np.exp(-whole / (2.0 * z2))
    root = math.sqrt(math.pi / 2.0)
    k0 = root / z * at_half.sum()
    k1 = root / (6.0 * z4) * ((half - z2) @ at_half)
    k2 = root / (72.0 * z6 * z) * (
        (6.0 * z6 + 2.0 * z4 + half * (2.0 * z4 - 5.0 * z2) + _HALF_2 * (1.0 - 2.0 * z2)) @ at_half
    ) - root / (36.0 * z2 * z) * (whole @ at_whole)
    k3 = root / (6480.0 * z6 * z4) * (
        (
            _HALF_3 * (5.0 - 30.0 * z2)
            + _HALF_2 * (212.0 * z4 - 60.0 * z2)
            + half * (135.0 * z4 - 96.0 * z6)
            - 30.0 * z6
            - 90.0 * z4 * z4
        )
        @ at_half
    ) + root / (216.0 * z6) * ((3.0 * whole * z2 - _WHOLE_2) @ at_whole)
    return float(k0 + k1 / math.sqrt(n) + k2 / n + k3 / (n * math.sqrt(n)))
