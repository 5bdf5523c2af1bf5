"""Two days of a model, as the pages of its drift show them."""

from __future__ import annotations

import numpy as np

from modelwatch.events import Scalar
from tests.support.app import App
from tests.support.background import background, run_out
from tests.support.events import event, open_ledger
from tests.support.rules import RULES
from tests.views.drift.test_series import HOUR, NOW

SAMPLE = np.random.default_rng(1).lognormal(4.0, 0.8, 3_000)
COUNTRIES = np.random.default_rng(2).choice(["DE", "FR", "IT"], 3_000, p=[0.6, 0.3, 0.1]).tolist()


def filled(app: App, *, factor: float = 1.0, mixed: bool = False, name: str = "amount", missing: float = 0.0) -> None:
    """Two days up to a whole hour; in the second, amounts are so many times more and countries are mixed otherwise."""
    body = {
        "model_name": "m",
        "features": {name: SAMPLE.tolist(), "country": COUNTRIES},
        "prediction": ["yes", "no"] * 1_500,
        "prediction_probability": np.linspace(0.0, 1.0, 3_000).tolist(),
    }
    app.post("reference", body, 201)
    rng, predictions = np.random.default_rng(3), []
    for number in range(1_920):
        late = number >= 960
        amount: Scalar = float(rng.lognormal(4.0, 0.8)) * (factor if late else 1.0)
        if late and rng.random() < missing:
            amount = None
        country = str(rng.choice(["DE", "FR", "IT"], p=[0.2, 0.3, 0.5] if late and mixed else [0.6, 0.3, 0.1]))
        predictions.append(
            event(
                str(number),
                {name: amount, "country": country},
                timestamp=NOW - (1_920 - number) * 90 * 1_000_000,
                prediction="yes" if number % 2 else "no",
                probability=float(rng.random()),
            )
        )
    open_ledger(app.store).commit(predictions)


def evaluated(app: App) -> None:
    app.desk.clock.now = NOW + HOUR * 1_000_000
    run_out(background(app.store, RULES, app.desk.clock, sink=app.desk.book))


def rare_class(app: App) -> None:
    """A day in which a predicted class of one per cent has become one of three."""
    app.post(
        "reference", {"model_name": "m", "features": {"row": ["x"] * 4_000}, "prediction": classes(60, 39, 1)}, 201
    )
    open_ledger(app.store).commit(
        [
            event(str(number), {"row": "x"}, timestamp=NOW - (4_000 - number) * 20 * 1_000_000, prediction=name)
            for number, name in enumerate(classes(62, 35, 3))
        ]
    )


def rare_class_of_many(app: App) -> list[str]:
    """A day in which a predicted class of 0.2 per cent has become one of two, beside 44 others. Returns all."""
    names, rng = [*(f"c{place:02}" for place in range(44)), "fraud"], np.random.default_rng(5)

    def predicted(share: float) -> list[str]:
        return [str(each) for each in rng.choice(names, 4_000, p=[*[(1 - share) / 44] * 44, share])]

    app.post("reference", {"model_name": "m", "features": {"row": ["x"] * 4_000}, "prediction": predicted(0.002)}, 201)
    open_ledger(app.store).commit(
        [
            event(str(number), {"row": "x"}, timestamp=NOW - (4_000 - number) * 20 * 1_000_000, prediction=name)
            for number, name in enumerate(predicted(0.02))
        ]
    )
    return names


def classes(common: int, other: int, fraud: int) -> list[str]:
    """Four thousand predictions with so many per cent of each class, in no order."""
    names = (["common"] * common + ["other"] * other + ["fraud"] * fraud) * 40
    return [str(name) for name in np.random.default_rng(4).permutation(names)]
