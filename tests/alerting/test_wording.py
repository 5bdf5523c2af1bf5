"""What people read."""

from __future__ import annotations

import unicodedata
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from modelwatch.alerting.alert import Alert, Change
from modelwatch.alerting.channels.presentation import member_line, named_times
from modelwatch.alerting.lifecycle import acknowledge, assess, resolve
from modelwatch.alerting.notification import Event, Notification, NotificationMember
from modelwatch.alerting.policy import AlertPolicy
from modelwatch.alerting.wording import current_summary, notification_of, title_of, worst_of
from modelwatch.findings import Finding
from modelwatch.stats.drift.patterns import ShiftPattern
from tests.alerting.test_lifecycle import FLAP, after, at, flap_until, opened, sized
from tests.support.alerts.assessments import HOUR, T0, assessment, finding

POLICY = AlertPolicy()


def notification(alert: Alert, change: Change | None, event: Event | None = None, url: str = "") -> Notification:
    assert change is not None
    return notification_of(alert, change, event or change.event, POLICY, url)  # type: ignore[arg-type]


def of_findings(*findings: Finding, version: str = "1") -> Notification:
    what = structs.replace(assessment(0, version=version), findings=findings)
    return notification(*after(None, what))


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (
            ShiftPattern("one_factor", factor=0.4536),
            "All values have changed by one factor, about 0.454, as with another unit or currency",
        ),
        (ShiftPattern("one_category", cell="electronics"), "Only one category has shifted, electronics;"),
        (ShiftPattern("new_categories"), "categories that are not in the reference"),
        (ShiftPattern("missing"), "More values are missing"),
        (ShiftPattern("larger"), "Values are larger over the whole range."),
        (ShiftPattern("smaller"), "Values are smaller over the whole range."),
    ],
)
def test_a_summary_says_what_would_explain_the_shift_and_when_it_began(pattern: ShiftPattern, says: str) -> None:
    what = structs.replace(assessment(0), findings=(finding("amount", pattern=pattern, began=T0 - 900),))
    alert, _ = after(None, what)
    summary = current_summary(alert)
    assert says in summary
    assert "It probably began at 2025-06-15 14:50 UTC." in summary


def test_the_interval_of_the_onset_is_left_out_where_it_is_one_minute() -> None:
    def began(earliest: int, latest: int) -> str:
        about = finding(began=T0 - 900, began_earliest=earliest, began_latest=latest)
        return current_summary(after(None, structs.replace(assessment(0), findings=(about,)))[0])

    assert "It probably began at 2025-06-15 14:50 UTC." in began(T0 - 900, T0 - 900)
    between = "began at 2025-06-15 14:50 UTC, approximately between 2025-06-15 14:45 UTC and 2025-06-15 14:50 UTC."
    assert between in began(T0 - 1_200, T0 - 900)


def test_one_member_is_described_at_length() -> None:
    said = of_findings(finding("amount", "alert", window_end=T0, lookback="24h"))
    assert said.title == "Feature drift in fraud (production): amount"
    assert said.summary == (
        "amount (version 1): 28 % of values are above 310.5 (reference: 10 %). PSI 0.310 (alert from 0.25). Bad data"
        " from 2025-06-15 14:05 UTC to 2025-06-15 15:05 UTC, detected at 2025-06-15 15:05 UTC; data evaluated up to"
        " 2025-06-15 15:05 UTC. Compared 1,200 values from the 24 h up to 2025-06-15 15:05 UTC with 10,000 reference"
        " values. Chance alone would rarely produce this (p = 1 × 10⁻⁹; alert limit 1 × 10⁻⁵)."
    )


def test_data_that_are_older_than_what_shows_them_have_their_own_times() -> None:
    """Labels come late: the predictions that are bad are from the day before the evaluation that found them."""
    late = finding("accuracy", since=T0, detected_at=T0, judged_until=T0 - 7 * HOUR)
    said = of_findings(structs.replace(late, bad_from=T0 - 9 * HOUR, bad_until=T0 - 8 * HOUR))
    assert (
        "Bad data from 2025-06-15 06:05 UTC to 2025-06-15 07:05 UTC, detected at 2025-06-15 15:05 UTC; data evaluated"
        " up to 2025-06-15 08:05 UTC." in said.summary
    )
    assert "since" not in said.summary


def test_a_shift_of_few_values_is_not_called_small() -> None:
    """Its PSI is beyond both thresholds, and the values are too few to tell."""
    few = structs.replace(finding(score=0.49), warning_threshold=0.1, alert_threshold=0.25, small=True)
    said = of_findings(few).summary
    assert "(real, but not shown to matter; warning from 0.1, alert from 0.25)" in said
    assert "small" not in said


def test_both_thresholds_are_named_where_there_are_two() -> None:
    loss = finding("accuracy", "alert", score_name="loss of accuracy", score=0.11, threshold=0.04)
    said = of_findings(structs.replace(loss, warning_threshold=0.02, alert_threshold=0.04))
    assert "Loss of accuracy 11 points (warning from 2 points, alert from 4 points)." in said.summary


@pytest.mark.parametrize(
    ("score_name", "score", "thresholds", "said"),
    [
        ("odds ratio", 3.54, (2.0, 4.0), "alert from 4; an alert until below 3.2)"),
        ("PSI", 0.22, (0.1, 0.25), "alert from 0.25; an alert until below 0.2)"),
        ("loss of accuracy", 0.035, (0.02, 0.04), "alert from 4 points; an alert until below 3.2 points)"),
        ("rise of missing", 0.09, (0.05, 0.1), "alert from 10 points; an alert until below 8 points)"),
    ],
)
def test_an_alert_whose_score_alone_would_be_a_warning_says_how_long_it_stays_one(
    score_name: str, score: float, thresholds: tuple[float, float], said: str
) -> None:
    warning, alert = thresholds
    held = finding("accuracy", "alert", score_name=score_name, score=score, threshold=alert)
    held = structs.replace(held, warning_threshold=warning, alert_threshold=alert)
    assert said in of_findings(held).summary
    # Where others are worse, too.
    assert said in of_findings(structs.replace(held, subject="f1", score=alert), held).summary
    for other in (structs.replace(held, score=alert), structs.replace(held, severity="warning")):
        assert "until" not in of_findings(other).summary


def test_a_warning_that_is_held_says_how_long_and_a_small_shift_is_none() -> None:
    held = structs.replace(finding(score=0.09, holding=True), warning_threshold=0.1, alert_threshold=0.25)
    assert "alert from 0.25; a warning until clearly below 0.08)" in of_findings(held).summary
    assert "until" not in of_findings(structs.replace(held, small=True)).summary


@pytest.mark.parametrize(
    ("score_name", "score", "threshold", "written"),
    [
        ("loss of f1", 0.12071, 0.04, "Loss of F1 12.1 points (alert from 4 points)."),
        ("loss of roc_auc", 0.12071, 0.04, "Loss of ROC AUC 0.121 (alert from 0.04)."),
        ("loss of mae", 1234.5678, 40.0, "Loss of MAE 1,235 (alert from 40)."),
        ("shortfall of recall", 0.0312, 0.0, "Shortfall of recall 3.1 points."),
        ("rise of missing", 0.335, 0.1, "Rise of missing values 33.5 points (alert from 10 points)."),
        ("rise of above_range", 0.02, 0.01, "Rise of values above the range 2 points (alert from 1 point)."),
        (
            "missing share of the usual labels",
            0.5,
            0.4,
            "Missing share of the usual labels 50.0 % (alert from 40.0 %).",
        ),
        ("PSI", 0.31234, 0.25, "PSI 0.312 (alert from 0.25)."),
    ],
)
def test_sizes_are_written_as_what_they_are(score_name: str, score: float, threshold: float, written: str) -> None:
    said = of_findings(finding("f1", "alert", score_name=score_name, score=score, threshold=threshold)).summary
    assert written in said


def test_what_rests_on_a_part_of_the_labels_says_on_how_many() -> None:
    early = finding("recall", early=0.62)
    said = of_findings(finding("accuracy", "alert"), early).summary
    assert said.endswith(", early on 62.0 % of the usual labels.")
    assert "early" not in of_findings(finding("accuracy", "alert"), finding("recall")).summary


def test_what_is_no_longer_certain_says_so_and_why() -> None:
    doubted = finding(holding=True, uncertain_since=T0 + HOUR, doubt="not_found")
    assert (
        "No longer certain since 2025-06-15 16:05 UTC: no look-back finds it, but none shows that it is over."
        in of_findings(doubted).summary
    )
    few = structs.replace(doubted, doubt="too_little_data")
    assert "since 2025-06-15 16:05 UTC: there is not enough data to evaluate." in of_findings(few).summary
    silent = structs.replace(doubted, doubt="no_data")
    assert "No longer certain: no data since 2025-06-15 16:05 UTC." in of_findings(silent).summary
    worse = finding("zip", "alert")
    assert "amount (version 1): PSI 0.12" in of_findings(worse, doubted).summary
    assert of_findings(worse, doubted).summary.endswith(", no longer certain.")


def test_of_many_the_worst_come_first_and_ten_are_named() -> None:
    findings = [finding(f"f{index:02}", score=0.1 + index / 1_000) for index in range(21)]
    said = of_findings(*findings, finding("worst", "alert"))
    assert said.title == "Feature drift in fraud (production): worst, f20 and 20 more"
    assert said.summary.startswith("worst (version 1): ")
    assert "; f12 (version 1): PSI 0.112" in said.summary
    assert "f11" not in said.summary
    assert said.summary.endswith(" and 12 more.")
    assert [member.finding.subject for member in said.members][:2] == ["worst", "f20"]


def test_a_notification_carries_the_hundred_worst() -> None:
    said = of_findings(*[finding(f"f{index}") for index in range(150)])
    assert len(said.members) == 100
    assert "and 140 more" in said.summary


def test_without_p_or_look_back_it_says_what_it_knows() -> None:
    said = of_findings(finding(lookback=None, p_value=None, alpha=None, holding=True))
    assert "1,200 values from 2025-06-15 14:05 UTC to 2025-06-15 15:05 UTC" in said.summary
    assert "It has decreased since, but is still in force." in said.summary
    assert "Chance" not in said.summary
    assert "(p = 0.002)." in of_findings(finding(p_value=0.002, alpha=None)).summary


def test_an_update_says_what_is_new() -> None:
    alert, change = after(opened(), assessment(1, {"amount": "warning", "country": "alert"}))
    summary = notification(alert, change).summary
    assert summary.startswith("New: country. The severity rose to alert. country (version 1): ")


def test_an_escalation_says_from_what_to_what() -> None:
    alert = after(None, sized(0, amount=0.5, country=0.5)).alert
    alert, change = after(alert, sized(1, amount=4.0, country=0.6))
    said = notification(alert, change)
    assert (said.event, said.severity) == ("escalated", "warning")
    assert said.summary.startswith("Much larger: amount (version 1), PSI 0.500 → 4.00. amount (version 1): ")


def test_an_acknowledgement_names_who_and_why() -> None:
    said = notification(*acknowledge(opened(), actor="ann", note="known", now=at(1)))
    assert said.summary.startswith("Acknowledged by ann: “known”. amount")
    assert (said.actor, said.note, said.state) == ("ann", "known", "acknowledged")


def test_later_news_name_who_has_acknowledged_it() -> None:
    alert = acknowledge(opened(), actor="ann", note=None, now=at(1)).alert
    said = notification(*after(alert, assessment(1, {"amount": "warning", "country": "warning"})))
    assert "Acknowledged by ann." in said.summary
    assert said.actor is None


def test_an_end_says_how_long_it_was() -> None:
    alert = after(opened({"amount": "warning", "country": "warning"}), assessment(1, {"amount": "warning"})).alert
    said = notification(*after(alert, assessment(26)))
    assert said.title == "Feature drift in fraud (production): amount"
    assert said.summary == (
        "It lasted 1 d 2 h of event time, from 2025-06-15 15:05 UTC to 2025-06-16 17:05 UTC."
        " Bad data from 2025-06-15 14:05 UTC to 2025-06-15 16:05 UTC."
        " Recovered: amount (version 1), country (version 1)."
    )
    assert said.members == ()
    assert said.recovered == ("amount (version 1)", "country (version 1)")
    assert said.ended_at == (T0 + 26 * HOUR) * 1_000_000


def test_an_end_by_a_person_says_what_is_still_found() -> None:
    said = notification(*resolve(opened(), actor="ann", note="retrained", now=at(1)))
    assert said.summary.startswith("Resolved by ann: “retrained”. It lasted 0 s")
    assert said.summary.endswith("Still found when it was resolved: amount (version 1).")


def test_a_reopened_alert_says_so() -> None:
    alert = after(opened(), assessment(1)).alert
    said = notification(*after(alert, assessment(2, {"amount": "warning"})))
    assert said.summary.startswith("Firing again after it was resolved; reopened once.")


def test_a_flapping_alert_says_when_its_end_is_sent() -> None:
    alert = flap_until(6)
    said = notification(alert, Change(alert.sequence, "firing", at(6)), "updated")
    assert said.title == "Feature drift in fraud (production) is flapping: amount"
    assert said.summary.startswith("Flapping: reopened 3 times. Its end is sent once it has stayed resolved for 1 d.")
    over = after(alert, assessment(7)).alert
    calmed = structs.replace(over, flapping=False)
    said = notification(calmed, Change(over.sequence + 1, "calmed", at(40)), "resolved")
    assert said.summary.startswith("It was flapping and has stayed resolved for 1 d.")


def test_a_reminder_says_since_when() -> None:
    said = notification(opened(), Change(2, "reminder", at(30)))
    assert said.summary.startswith(
        "Still firing since 2025-06-15 15:05 UTC; nobody has acknowledged it. amount (version 1): "
    )


def test_a_silence_is_as_long_as_it_is_by_now_and_not_as_it_was_when_it_was_found() -> None:
    found = finding(
        "predictions",
        "alert",
        kind="freshness",
        score_name="silence in seconds",
        score=900.0,
        threshold=900.0,
        detail="No predictions since 2025-06-15T15:05:00Z; usually one arrives within 4 minutes",
    )
    silent = structs.replace(assessment(0), kinds=("freshness",), findings=(found,))
    opened_by = assess(None, silent, "freshness", now=at(0.25), flap=FLAP, new_id=lambda: "a1")
    assert opened_by is not None
    alert = opened_by.alert
    later = notification(alert, Change(2, "reminder", at(30)), "reminder").summary
    now = current_summary(alert)
    since = "No predictions since 2025-06-15T15:05:00Z; usually one arrives within 4 minutes. "
    assert later.endswith(since + "No predictions for 1 d 6 h. The limit is 15 min.")
    assert now.endswith(since + "The limit is 15 min.")
    assert worst_of(alert) == "No predictions since 2025-06-15 15:05 UTC (alert limit 15 min)"


def test_channels_have_the_begin_of_the_present_silence_also_of_an_alert_that_was_opened_again() -> None:
    found = finding("predictions", "alert", kind="freshness", window_start=T0, since=T0)
    silent = structs.replace(assessment(0), kinds=("freshness",), findings=(found,))
    opened_by = assess(None, silent, "freshness", now=at(0.25), flap=FLAP, new_id=lambda: "a1")
    assert opened_by is not None
    again = structs.replace(opened_by.alert, started_at=at(-8))
    assert named_times(notification(again, Change(2, "firing", at(1))))["Since"] == "2025-06-15 15:05 UTC"


def test_links_are_left_out_when_the_address_is_not_known() -> None:
    alert, change = after(None, assessment(0, {"amount": "warning"}))
    assert (notification(alert, change).page_url, notification(alert, change).evidence_url) == ("", "")
    assert notification(alert, change, url="https://here/").page_url == f"https://here/ui/alerts/{alert.id}"


def texts(of: Notification) -> list[str]:
    own = [of.title, of.summary, of.model, of.environment, *of.labels.values(), *of.recovered]
    return own + [text for each in of.members for text in (each.version, each.finding.subject, each.finding.detail)]


@given(st.text(min_size=1, max_size=2_000), st.text(max_size=2_000))
def test_text_of_users_has_no_control_characters_and_a_bounded_length(name: str, detail: str) -> None:
    findings = tuple(finding(f"{name}{index}", detail=detail) for index in range(12))
    what = structs.replace(assessment(0, version=name, model=name, environment=name), findings=findings)
    alert, change = after(None, what)
    for said in (notification(alert, change), notification(*resolve(alert, actor=name, note=detail, now=0))):
        for text in texts(said):
            assert not {unicodedata.category(char) for char in text} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert len(said.title) <= 400
        assert len(said.summary) <= 5_000


def test_metrics_have_the_names_that_people_know() -> None:
    alert, _ = after(None, assessment(0, {"log_loss": "alert", "roc_auc": "alert"}))
    assert title_of(alert) == "Feature drift in fraud (production): log_loss, roc_auc"
    members = [
        structs.replace(each, finding=structs.replace(each.finding, kind="performance")) for each in alert.members
    ]
    alert = structs.replace(alert, kind="performance", members=members)
    assert title_of(alert) == "Performance loss in fraud (production): log loss, ROC AUC"
    assert "log loss (version 1): " in current_summary(alert)


def test_the_name_of_a_feature_keeps_its_letters_at_the_begin_of_a_sentence() -> None:
    detail = "k: 41.6 % of values are above the reference's range (reference: 0 %)"
    found = finding("k: above_range", "alert", kind="data_quality", score_name="rise of above_range", detail=detail)
    alert = SimpleNamespace(members=(SimpleNamespace(finding=found),))
    assert worst_of(cast(Alert, alert)) == detail


def test_rules_of_data_quality_have_the_words_of_their_page() -> None:
    rise = finding("k: above_range", "alert", kind="data_quality", score_name="rise of above_range", score=0.02)
    alert, _ = after(None, assessment(0, {"k": "alert"}))
    [member] = alert.members
    alert = structs.replace(alert, kind="data_quality", members=(structs.replace(member, finding=rise),))
    assert title_of(alert) == "Data quality issue in fraud (production): k: above the range"
    said = current_summary(alert)
    assert "k: above the range (version 1): " in said
    assert "Rise of values above the range 2 points" in said
    line = member_line(NotificationMember("1", "1@0", rise))
    assert line.startswith("k: above the range (version 1, alert): ")
