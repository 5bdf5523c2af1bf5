"""Made-up card payments and a fraud model that scores them. Pure: the same generator state gives the same payments.

Two features shift when asked: `transaction_amount` (everything costs more) and `merchant_category` (people buy other
things). The model reads both, so its score and its predictions follow. Everything else stays as it was.

What was true follows the model's score, which is calibrated, until the shift: then everything costs more, and is no
more often fraud for that. The model does not know, and takes dear payments for frauds.

The day's rhythm is in how many payments there are and, a little, in their amounts. The hour itself is no feature: any
window shorter than a day differs from the whole day in it, which would be true but no news. The model gets instead how
far a payment is from the customer's usual hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MODEL = "fraud_detection_demo"
FRAUD, LEGITIMATE = "fraud", "legitimate"
SHIFTED_FEATURES = ("transaction_amount", "merchant_category")
FOLLOWING = ("prediction", "score")

# Payments a second relative to the mean: most in the afternoon, least at night. Their amounts follow, but hardly.
VOLUME_RHYTHM = 0.6
AMOUNT_RHYTHM = 0.05
BUSIEST_HOUR = 15

MEDIAN_AMOUNT = 62.0
AMOUNT_SPREAD = 0.9
SHIFTED_AMOUNT_FACTOR = 2.2
# How much riskier the model takes a payment to be whose amount is e times as large.
AMOUNT_RISK = 1.25

MERCHANTS = ("grocery", "restaurant", "fuel", "pharmacy", "clothing", "electronics", "travel", "gaming", "gift_cards")
MERCHANT_SHARES = (0.29, 0.19, 0.13, 0.08, 0.12, 0.08, 0.05, 0.04, 0.02)
SHIFTED_MERCHANT_SHARES = (0.17, 0.12, 0.09, 0.06, 0.10, 0.19, 0.08, 0.09, 0.10)
MERCHANT_RISKS = (-0.6, -0.5, -0.4, -0.6, 0.0, 0.7, 0.5, 0.9, 1.6)

COUNTRIES = ("DE", "FR", "NL", "ES", "IT", "PL", "AT", "BE", "US", "GB", "TR", "BR")
COUNTRY_SHARES = (0.34, 0.15, 0.11, 0.09, 0.08, 0.06, 0.05, 0.04, 0.03, 0.03, 0.01, 0.01)

MISSING = {"device_trust_score": 0.03, "distance_from_home_km": 0.02, "account_age_days": 0.005}

Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Payments:
    """Payments in columns. `None` in a column of objects is missing.

    probability: of fraud, as the model sees it. truth: what it was, which is not known yet.
    """

    features: dict[str, Values]
    prediction: Values
    probability: Values
    latency_ms: Values
    truth: Values

    def __len__(self) -> int:
        return len(self.prediction)

    def row(self, index: int) -> dict[str, Any]:
        """One payment as a model service would send it, without names, id and time."""
        return {
            "features": {name: _scalar(values[index]) for name, values in self.features.items()},
            "prediction": str(self.prediction[index]),
            "prediction_probability": round(float(self.probability[index]), 6),
            "latency_ms": round(float(self.latency_ms[index]), 3),
        }


def payments(rng: np.random.Generator, times: NDArray[np.float64], shifted: NDArray[np.bool_]) -> Payments:
    """A payment for each time (seconds since 1970, UTC), from the shifted world where `shifted` is true."""
    size = len(times)
    rhythm = np.cos((times / 3_600 - BUSIEST_HOUR) / 24 * 2 * np.pi)
    factor = np.where(shifted, SHIFTED_AMOUNT_FACTOR, 1.0) * (1 + AMOUNT_RHYTHM * rhythm)
    amount = np.round(MEDIAN_AMOUNT * factor * rng.lognormal(0.0, AMOUNT_SPREAD, size), 2)
    usual = rng.choice(len(MERCHANTS), size, p=MERCHANT_SHARES)
    merchant = np.where(shifted, rng.choice(len(MERCHANTS), size, p=SHIFTED_MERCHANT_SHARES), usual)
    online = rng.random(size) < 0.42
    hours_from_usual = np.abs(rng.vonmises(0.0, 1.5, size)) * 12 / np.pi
    account_age = rng.gamma(1.6, 480.0, size).astype(np.int64)
    trust = rng.beta(6.0, 1.8, size)
    recent = rng.negative_binomial(2, 0.4, size)
    # Who pays online is at home.
    distance = np.where(online, 0.0, np.round(rng.lognormal(1.8, 1.3, size), 1))

    risk = (
        -2.9
        + AMOUNT_RISK * np.log(np.maximum(amount, 0.01) / MEDIAN_AMOUNT)
        + 1.1 * np.take(MERCHANT_RISKS, merchant)
        - 2.4 * (trust - 0.77)
        + 0.14 * (recent - 3)
        + 0.1 * (hours_from_usual - 4)
        + 0.15 * np.log1p(distance)
        + 0.3 * online
        - 0.0004 * (account_age - 770)
        + rng.normal(0.0, 0.7, size)
    )
    fraud = _chance(risk)
    truly = _chance(risk - AMOUNT_RISK * np.log(SHIFTED_AMOUNT_FACTOR) * shifted)
    latency = rng.lognormal(np.log(18.0), 0.35, size) + 6.0 * online + 0.8 * recent
    features = {
        "transaction_amount": amount,
        "merchant_category": np.take(np.array(MERCHANTS, dtype=object), merchant),
        "hours_from_usual": np.round(hours_from_usual, 2),
        "account_age_days": account_age,
        "country": rng.choice(np.array(COUNTRIES, dtype=object), size, p=COUNTRY_SHARES),
        "device_trust_score": np.round(trust, 4),
        "transactions_24h": recent,
        "is_online": online,
        "distance_from_home_km": distance,
    }
    return Payments(
        features={name: _with_gaps(rng, values, MISSING.get(name, 0.0)) for name, values in features.items()},
        prediction=np.where(fraud > 0.5, FRAUD, LEGITIMATE),
        probability=fraud,
        latency_ms=latency,
        truth=np.where(rng.random(size) < truly, FRAUD, LEGITIMATE),
    )


def event_times(rng: np.random.Generator, start: float, end: float, size: int) -> NDArray[np.float64]:
    """`size` ordered times in [start, end), in seconds since 1970: more of them at busy hours than at night."""
    grid = np.arange(start, end, 60.0)
    rate = 1 + VOLUME_RHYTHM * np.cos((grid / 3_600 - BUSIEST_HOUR) / 24 * 2 * np.pi)
    minutes = rng.choice(grid, size, p=rate / rate.sum())
    return np.sort(np.minimum(minutes + rng.random(size) * 60, end - 0.001))


def _chance(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-log_odds))


def _with_gaps(rng: np.random.Generator, values: Values, share: float) -> Values:
    if not share:
        return values
    result = values.astype(object)
    result[rng.random(len(values)) < share] = None
    return result


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
