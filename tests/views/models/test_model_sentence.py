"""The sentence on a model's state."""

from __future__ import annotations

import pytest

from modelwatch.measures import plain
from modelwatch.monitoring.checks.headline import Headline
from modelwatch.views.models.model_sentence import metric_clause


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (300, "5 min"),
        (3_599, "59 min 59 s"),
        (3_600, "1 h"),
        (5_400, "1 h 30 min"),
        (172_800, "48 h"),
        (259_200, "3 d"),
        (277_200, "3 d 5 h"),
    ],
)
def test_a_metric_is_said_with_how_long_it_is_of(seconds: int, text: str) -> None:
    headline = Headline(subject="accuracy", value=0.842, seconds=seconds)
    assert plain(metric_clause(headline)) == f"accuracy 84.2 % over {text}"
