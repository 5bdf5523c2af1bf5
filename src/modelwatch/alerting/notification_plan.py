"""Plan of the notifications of a change: each channel gets what it does not know yet, once, and not in quiet hours.

The state of each channel is kept. So the first notification of an incident on a channel is always `firing`, whatever
the change was, and none of its end is sent where none of it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from msgspec.structs import replace

from modelwatch.alerting.alert import (
    ENDS,
    Alert,
    Change,
    ChannelState,
    ChannelStatus,
    Deferred,
    PlannedNotification,
    rank,
    worst,
)
from modelwatch.alerting.notification import Event
from modelwatch.alerting.policy import AlertPolicy, channels_for, quiet_until

STILL_TRIED = "the channel has not taken the notification before, which is still tried"
# Takes back what is deferred on a channel, up to a step; returns how many notifications it caught.
Recall = Callable[[str, int], int]


@dataclass(frozen=True, slots=True)
class NotificationPlan:
    """Notifications of a change, and the alert with the channels' new states.

    recalled: channels of deferred notifications that were taken back, once for each. reason: why nothing is sent;
    None when something is.
    """

    alert: Alert
    notifications: tuple[PlannedNotification, ...]
    recalled: tuple[str, ...]
    reason: str | None


def plan_notifications(
    alert: Alert, change: Change, policy: AlertPolicy, *, now: int, recall: Recall, failing: Collection[str] = ()
) -> NotificationPlan:
    """Plan for a change of the alert, which is as it is after everything that happened now. now: microseconds.

    failing: channels that have failed to deliver an earlier notification of the alert, which is still tried. That will
    remind people: reminders beside it would all come at once when the channel works again.
    """
    quiet = quiet_until(policy.quiet_hours, alert.severity, now)
    not_before = now if quiet is None else quiet
    channels, planned, recalled = dict(alert.channels), [], []
    for channel in _audience(alert, change, policy):
        state = channels.get(channel, ChannelState())
        if not _is_owed(state, alert, change) or (change.event == "reminder" and channel in failing):
            continue
        deferred = state.deferred
        if deferred is not None and change.event == "acknowledged" and state.status != "firing":
            # What is deferred announces the alert itself: the acknowledgement follows it, and is deferred too if only
            # for a moment, so that both can be taken back.
            later = max(deferred.until, not_before, now + 1)
            both = replace(deferred, sequence=change.sequence, count=deferred.count + 1)
            channels[channel] = replace(state, deferred=both)
            planned.append(PlannedNotification(channel, "acknowledged", later))
            continue
        if deferred is not None:
            caught = recall(channel, deferred.sequence)
            recalled += [channel] * caught
            state = _after_recall(state, deferred, caught)
        event = _event(state, alert, change)
        if event is not None:
            planned.append(PlannedNotification(channel, event, not_before))
            state = _after_sending(state, event, alert, change, not_before, now)
        channels[channel] = state
    after = replace(alert, channels={channel: state for channel, state in channels.items() if state != ChannelState()})
    held = change.event == "reminder" and not planned and bool(failing)
    if held or any(each.event in ("firing", "updated", "escalated", "reminder") for each in planned):
        after = replace(after, notified_at=not_before)
    reason = None if planned else STILL_TRIED if held else _why_not(alert, change, policy, bool(recalled))
    return NotificationPlan(after, tuple(planned), tuple(recalled), reason)


def _audience(alert: Alert, change: Change, policy: AlertPolicy) -> tuple[str, ...]:
    """Channels that the change concerns: of an end, those that know of the alert; of news, those it is routed to."""
    if change.event in ENDS:
        return () if alert.flapping else tuple(alert.channels)
    if change.event in ("acknowledged", "silenced"):
        return tuple(alert.channels)
    if alert.silenced_by or not alert.is_open:
        return ()
    return channels_for(policy, alert)


def _is_owed(state: ChannelState, alert: Alert, change: Change) -> bool:
    """True when the channel, once all that is deferred for it is sent, would still not know of the change."""
    deferred = state.deferred
    then = state if deferred is None else ChannelState(deferred.status, deferred.sequence, deferred.peak)
    match change.event:
        case "resolved" | "accepted" | "calmed" | "acknowledged":
            return then.status == "firing"
        case "silenced":
            return deferred is not None and then.status == "firing"
        case "reminder":
            return True
        case _:
            return then.status != "firing" or _is_news(then, alert)


def _event(state: ChannelState, alert: Alert, change: Change) -> Event | None:
    """Event for a channel in this state, without anything deferred; None when it has nothing to learn."""
    status = state.status
    match change.event:
        case "silenced":
            return None
        case "resolved" | "accepted" | "calmed":
            return "resolved" if status == "firing" else None
        case "acknowledged":
            return "acknowledged" if status == "firing" else None
        case _:
            if status == "nothing":
                return "firing"
            if status == "resolved":
                return "updated" if alert.flapping else "firing"
            if change.event == "reminder":
                return "reminder"
            return "escalated" if change.event == "escalated" or _is_worse_than_known(state, alert) else "updated"


def _is_news(state: ChannelState, alert: Alert) -> bool:
    """True when there is a member, an escalation or a flapping that the channel does not know."""
    if max(alert.newest_member_step, alert.flapping_step) > state.sequence or _is_worse_than_known(state, alert):
        return True
    return not alert.flapping and alert.severity_step > state.sequence


def _is_worse_than_known(state: ChannelState, alert: Alert) -> bool:
    """True when a member has escalated by its size since, or the severity is one that was never sent.

    While the alert is flapping its severity comes and goes too: only that is a rise then.
    """
    return alert.newest_growth_step > state.sequence or state.peak is None or rank(alert.severity) > rank(state.peak)


def _after_recall(state: ChannelState, deferred: Deferred, caught: int) -> ChannelState:
    """State of the channel after so many of its deferred notifications were caught before they were sent.

    They may have been sent in the meantime; the outbox alone knows.
    """
    if caught >= deferred.count:
        return replace(state, deferred=None)
    return ChannelState(deferred.status, deferred.sequence, deferred.peak)


def _after_sending(
    state: ChannelState, event: Event, alert: Alert, change: Change, not_before: int, now: int
) -> ChannelState:
    status: ChannelStatus = "resolved" if event == "resolved" else "firing"
    peak = alert.severity if state.peak is None else worst((state.peak, alert.severity))
    if not_before > now:
        return replace(state, deferred=Deferred(not_before, status, change.sequence, peak, 1))
    return ChannelState(status, change.sequence, peak)


def _why_not(alert: Alert, change: Change, policy: AlertPolicy, recalled: bool) -> str:
    """Reason why nothing is sent, as it goes on after "Not sent: "."""
    if change.event == "silenced":
        return "silenced"
    if change.event in ENDS or change.event == "acknowledged":
        if alert.flapping and not alert.is_open:
            return "flapping; the end is sent once the alert has stayed resolved"
        reason = "no channel had been notified of the alert"
        return f"{reason}; the pending notification was recalled" if recalled else reason
    if alert.silenced_by:
        return "silenced"
    if not channels_for(policy, alert):
        return "the monitor routes it to no channel" if policy.routes else "no notification channel is configured"
    return "flapping; nothing new to report" if alert.flapping else "nothing new to report"
