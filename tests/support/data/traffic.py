"""Small, reproducible traffic in the form that model services send."""

from __future__ import annotations

from typing import Any

import numpy as np

MERCHANTS = ["grocery", "travel", "fuel"]


def predictions(
    count: int, *, prefix: str = "p", shift: float = 0.0, model: str = "fraud", start: str = "2026-01-01T12:00:00Z"
) -> list[dict[str, Any]]:
    """Predictions of a fraud model; `shift` moves the amount by as many standard deviations."""
    rng = np.random.default_rng(abs(hash_of(prefix)))
    amounts = rng.normal(100 + 25 * shift, 25, count)
    merchants = rng.choice(MERCHANTS, count, p=[0.6, 0.3, 0.1])
    return [
        {
            "model_name": model,
            "prediction_id": f"{prefix}-{index}",
            "timestamp": start,
            "features": {"amount": float(amounts[index]), "merchant": str(merchants[index])},
            "prediction": "fraud" if amounts[index] > 150 else "legitimate",
            "prediction_probability": 0.9,
            "latency_ms": 12.5,
        }
        for index in range(count)
    ]


def reference_values(count: int = 5_000) -> dict[str, list[Any]]:
    """The distribution that unshifted predictions come from."""
    rng = np.random.default_rng(7)
    return {
        "amount": rng.normal(100, 25, count).tolist(),
        "merchant": rng.choice(MERCHANTS, count, p=[0.6, 0.3, 0.1]).tolist(),
    }


def hash_of(text: str) -> int:
    """A number that is the same in every process (unlike `hash`)."""
    return int.from_bytes(text.encode()[-8:].rjust(8, b"\0"), "big")
