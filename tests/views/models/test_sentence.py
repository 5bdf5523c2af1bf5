"""The sentence on a model's state."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from modelwatch.alerting.alert import Alert, Member
from modelwatch.findings import Finding
from modelwatch.measures import plain
from modelwatch.monitoring.checks.headline import Headline
from modelwatch.views.models.sentence import drift_clause, metric_clause, sentence_of
from tests.support.alerts.assessments import finding


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


def sentence(found: Finding, performance: Headline | None) -> str:
    alert = SimpleNamespace(kind=found.kind, members=(Member("1", "verdict", found, 0),))
    told = sentence_of(
        "alert",
        [cast(Alert, alert)],
        "stable",
        None,
        performance,
        behind=0,
        silent=None,
        has_reference=True,
    )
    return plain(told)


@pytest.mark.parametrize(
    ("subject", "lookback", "text"),
    [
        ("accuracy", "24h", "Accuracy 66.0 % over 24 h, reference 65.0 %."),
        # Of the main metric another look-back shows the loss; or another metric is worse.
        ("accuracy", "7d", "It fell by 8 points over 7 d."),
        ("recall", "24h", "It fell by 8 points."),
        ("recall", "48h", "It fell by 8 points over 2 d."),
    ],
)
def test_the_sentence_on_a_loss_is_about_what_is_worse(subject: str, lookback: str, text: str) -> None:
    loss = finding(subject, "alert", kind="performance", lookback=lookback, detail="It fell by 8 points")
    headline = Headline(subject="accuracy", value=0.66, reference=0.65, seconds=86_400)
    assert sentence(loss, headline) == text
    assert sentence(loss, None) == "It fell by 8 points."


@pytest.mark.parametrize(
    ("shown", "where"), [("2", ""), ("3", " in versions 1 and 2"), (None, "")], ids=["one of them", "another", "all"]
)
def test_what_drifts_in_other_versions_alone_is_said_to_be_theirs(shown: str | None, where: str) -> None:
    found = finding("amount", "alert")
    members = [Member(version, "verdict", found, 0) for version in ("1", "2")]
    assert drift_clause(members, 3, shown) == f"1 of 3 features drifts{where}: amount"


def test_what_names_its_subject_is_not_named_twice() -> None:
    detail = "transfer: 76 % of values are above the reference's range (reference: 0 %)"
    found = finding("transfer: above_range", "alert", kind="data_quality", detail=detail)
    assert sentence(found, None) == f"{detail}."


@pytest.mark.parametrize(
    ("not_judged", "text"),
    [
        (0, "3 features and the model's outputs are as in the reference."),
        (1, "3 of 4 subjects are as in the reference, 1 is not judged."),
        (3, "1 of 4 subjects is as in the reference, 3 are not judged."),
    ],
)
def test_what_is_not_judged_is_not_said_to_be_as_in_the_reference(not_judged: int, text: str) -> None:
    drift = Headline(value=0.01, checked=4, features=3, not_judged=not_judged)
    told = sentence_of("stable", [], "stable", drift, None, behind=0, silent=None, has_reference=True)
    assert told == text


@pytest.mark.parametrize(
    ("not_judged", "others"),
    [
        (0, ", the other 10 are as in the reference"),
        (3, ", 7 are as in the reference, 3 are not judged"),
        (9, ", 1 is as in the reference, 9 are not judged"),
        (10, ", 10 are not judged"),
    ],
)
def test_beside_what_has_shifted_the_rest_is_not_said_to_be_judged(not_judged: int, others: str) -> None:
    drift = Headline(value=0.05, checked=11, features=10, shifted=1, shifted_names=["x"], not_judged=not_judged)
    told = sentence_of("shifted", [], "shifted", drift, None, behind=0, silent=None, has_reference=True)
    assert told == f"Real, but not shown to matter: x has shifted{others}."
