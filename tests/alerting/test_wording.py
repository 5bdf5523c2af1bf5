"""What people read."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from modelwatch.alerting.alerts import Alert, Change
from modelwatch.alerting.lifecycle import acknowledge, resolve
from modelwatch.alerting.notices import Event, Notice
from modelwatch.alerting.routing import AlertPolicy
from modelwatch.alerting.wording import notice_of
from modelwatch.findings import Finding
from tests.alerting.test_lifecycle import after, at, flap_until, opened, sized
from tests.support.assessments import HOUR, T0, assessment, finding

POLICY = AlertPolicy()


def notice(alert: Alert, change: Change | None, event: Event | None = None, url: str = "") -> Notice:
    assert change is not None
    return notice_of(alert, change, event or change.event, POLICY, url)  # type: ignore[arg-type]


def of_findings(*findings: Finding, version: str = "1") -> Notice:
    what = structs.replace(assessment(0, version=version), findings=findings)
    return notice(*after(None, what))


def test_one_member_is_told_at_length() -> None:
    said = of_findings(finding("amount", "alert", window_end=T0, lookback="24h"))
    assert said.title == "Feature drift in fraud (production): amount"
    assert said.summary == (
        "amount (version 1): > 310.5: 10 % of the reference, 28 % now. PSI is 0.31 (threshold for alert: 0.25). Bad"
        " data from 2025-06-15 14:05 UTC to 2025-06-15 15:05 UTC, detected at 2025-06-15 15:05 UTC; the newest data"
        " judged are those up to 2025-06-15 15:05 UTC. Compared were 1,200 values of the 24h to 2025-06-15 15:05 UTC"
        " with a reference of 10,000. Without any change, chance would show as much in 1 of 1 billion looks"
        " (p = 1e-09); the limit for an alarm is 1 of 100,000 looks (α = 1e-05)."
    )


def test_data_that_are_older_than_what_shows_them_have_their_own_times() -> None:
    """Labels come late: the predictions that are bad are from the day before the evaluation that found them."""
    late = finding("accuracy", since=T0, detected_at=T0, judged_until=T0 - 7 * HOUR)
    said = of_findings(structs.replace(late, bad_from=T0 - 9 * HOUR, bad_until=T0 - 8 * HOUR))
    assert (
        "Bad data from 2025-06-15 06:05 UTC to 2025-06-15 07:05 UTC, detected at 2025-06-15 15:05 UTC; the newest data"
        " judged are those up to 2025-06-15 08:05 UTC." in said.summary
    )
    assert "since" not in said.summary


def test_both_thresholds_are_told_where_there_are_two() -> None:
    loss = finding("accuracy", "alert", score_name="loss of accuracy", score=0.11, threshold=0.04)
    said = of_findings(structs.replace(loss, warning_threshold=0.02, alert_threshold=0.04))
    assert "loss of accuracy is 0.11 (warning from 0.02, alert from 0.04)." in said.summary


def test_what_is_not_certain_any_more_says_so_and_why() -> None:
    doubted = finding(holding=True, uncertain_since=T0 + HOUR, doubt="not_found")
    assert (
        "Not certain any more since 2025-06-15 16:05 UTC: no look-back finds it, but none shows that it is over."
        in of_findings(doubted).summary
    )
    few = structs.replace(doubted, doubt="too_little_data")
    assert "since 2025-06-15 16:05 UTC: there are not enough data to judge." in of_findings(few).summary
    silent = structs.replace(doubted, doubt="no_data")
    assert "Not certain any more: no data have come since 2025-06-15 16:05 UTC." in of_findings(silent).summary
    worse = finding("zip", "alert")
    assert "amount (version 1): PSI is 0.12" in of_findings(worse, doubted).summary
    assert of_findings(worse, doubted).summary.endswith(", not certain any more.")


def test_of_many_the_worst_come_first_and_ten_are_named() -> None:
    findings = [finding(f"f{index:02}", score=0.1 + index / 1_000) for index in range(21)]
    said = of_findings(*findings, finding("worst", "alert"))
    assert said.title == "Feature drift in fraud (production): worst, f20 and 20 more"
    assert said.summary.startswith("worst (version 1): ")
    assert "; f12 (version 1): PSI is 0.112" in said.summary
    assert "f11" not in said.summary
    assert said.summary.endswith(" and 12 more.")
    assert [member.finding.subject for member in said.members][:2] == ["worst", "f20"]


def test_a_notice_carries_the_hundred_worst() -> None:
    said = of_findings(*[finding(f"f{index}") for index in range(150)])
    assert len(said.members) == 100
    assert "and 140 more" in said.summary


def test_without_p_or_look_back_it_says_what_it_knows() -> None:
    said = of_findings(finding(lookback=None, p_value=None, alpha=None, holding=True))
    assert "1,200 values of 2025-06-15 14:05 UTC to 2025-06-15 15:05 UTC" in said.summary
    assert "It has come down since, but is still found." in said.summary
    assert "chance" not in said.summary
    assert "(p = 0.002)." in of_findings(finding(p_value=0.002, alpha=None)).summary


def test_an_update_says_what_is_new() -> None:
    alert, change = after(opened(), assessment(1, {"amount": "warning", "country": "alert"}))
    summary = notice(alert, change).summary
    assert summary.startswith("New: country. The severity rose to alert. country (version 1): ")


def test_an_escalation_says_from_what_to_what() -> None:
    alert = after(None, sized(0, amount=0.5, country=0.5)).alert
    alert, change = after(alert, sized(1, amount=4.0, country=0.6))
    said = notice(alert, change)
    assert (said.event, said.severity) == ("escalated", "warning")
    assert said.summary.startswith("Much larger: amount (version 1), PSI 0.5 → 4. amount (version 1): ")


def test_an_acknowledgement_names_who_and_why() -> None:
    said = notice(*acknowledge(opened(), actor="ann", note="known", now=at(1)))
    assert said.summary.startswith("Acknowledged by ann: “known”. amount")
    assert (said.actor, said.note, said.state) == ("ann", "known", "acknowledged")


def test_later_news_name_who_has_acknowledged_it() -> None:
    alert = acknowledge(opened(), actor="ann", note=None, now=at(1)).alert
    said = notice(*after(alert, assessment(1, {"amount": "warning", "country": "warning"})))
    assert "Acknowledged by ann." in said.summary
    assert said.actor is None


def test_an_end_says_how_long_it_was() -> None:
    alert = after(opened({"amount": "warning", "country": "warning"}), assessment(1, {"amount": "warning"})).alert
    said = notice(*after(alert, assessment(26)))
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
    said = notice(*resolve(opened(), actor="ann", note="retrained", now=at(1)))
    assert said.summary.startswith("Declared resolved by ann: “retrained”. It lasted 0 s")
    assert said.summary.endswith("Still found when it was declared resolved: amount (version 1).")


def test_a_reopened_alert_says_so() -> None:
    alert = after(opened(), assessment(1)).alert
    said = notice(*after(alert, assessment(2, {"amount": "warning"})))
    assert said.summary.startswith("It was resolved and fires again; reopened once.")


def test_a_flapping_alert_says_what_will_not_be_told() -> None:
    alert = flap_until(6)
    said = notice(alert, Change(alert.sequence, "firing", at(6)), "updated")
    assert said.title == "Feature drift in fraud (production) is flapping: amount"
    assert said.summary.startswith(
        "It is flapping: reopened 3 times. Nothing is told of its ends until it has stayed resolved for 1 d."
    )
    over = after(alert, assessment(7)).alert
    calmed = structs.replace(over, flapping=False)
    said = notice(calmed, Change(over.sequence + 1, "calmed", at(40)), "resolved")
    assert said.summary.startswith("It was flapping and has stayed resolved for 1 d.")


def test_a_reminder_says_since_when() -> None:
    said = notice(opened(), Change(2, "reminder", at(30)))
    assert said.summary.startswith(
        "It is still firing, since 2025-06-15 15:05 UTC, and nobody has acknowledged it. amount (version 1): "
    )


def test_links_are_left_out_when_the_address_is_not_known() -> None:
    alert, change = after(None, assessment(0, {"amount": "warning"}))
    assert (notice(alert, change).page_url, notice(alert, change).evidence_url) == ("", "")
    assert notice(alert, change, url="https://here/").page_url == f"https://here/ui/alerts/{alert.id}"


def texts(of: Notice) -> list[str]:
    own = [of.title, of.summary, of.model, of.environment, *of.labels.values(), *of.recovered]
    return own + [text for each in of.members for text in (each.version, each.finding.subject, each.finding.detail)]


@given(st.text(min_size=1, max_size=2_000), st.text(max_size=2_000))
def test_text_of_users_has_no_control_characters_and_a_bounded_length(name: str, detail: str) -> None:
    findings = tuple(finding(f"{name}{index}", detail=detail) for index in range(12))
    what = structs.replace(assessment(0, version=name, model=name, environment=name), findings=findings)
    alert, change = after(None, what)
    for said in (notice(alert, change), notice(*resolve(alert, actor=name, note=detail, now=0))):
        for text in texts(said):
            assert not {unicodedata.category(char) for char in text} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert len(said.title) <= 400
        assert len(said.summary) <= 5_000
