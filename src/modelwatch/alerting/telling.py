"""Who is told what of a change: each channel hears what it does not know yet, once, and when it is not quiet.

For each channel it is kept what it believes of the incident. So the first notice of an incident on a channel is always
`firing`, whatever the change was, and nobody is told of the end of what they have never heard of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from modelwatch.alerting.alerts import ENDS, Alert, Belief, Change, Told, Waiting, rank, worst
from modelwatch.alerting.notices import Event
from modelwatch.alerting.quiet_hours import quiet_until
from modelwatch.alerting.routing import AlertPolicy, channels_for

# Takes back what waits on a channel, up to a step; returns how many notices it caught.
Withhold = Callable[[str, int], int]


@dataclass(frozen=True, slots=True)
class Telling:
    """One notice for one channel; not_before is `now`, or the end of the quiet hours, in microseconds."""

    channel: str
    event: Event
    not_before: int


@dataclass(frozen=True, slots=True)
class Hearing:
    """What became of a change: who is told, what was taken back on which channels, and why nobody is told, if so."""

    alert: Alert
    tellings: tuple[Telling, ...]
    withheld: tuple[str, ...]
    reason: str | None


def tell(alert: Alert, change: Change, policy: AlertPolicy, *, now: int, withhold: Withhold) -> Hearing:
    """Tells a change of the alert, which is as it is after the change and after everything else that happened now."""
    quiet = quiet_until(policy.quiet_hours, alert.severity, now)
    not_before = now if quiet is None else quiet
    told, tellings, withheld = dict(alert.told), [], []
    for channel in _audience(alert, change, policy):
        known = told.get(channel, Told())
        if not _is_owed(known, alert, change):
            continue
        waiting = known.waiting
        if waiting is not None and change.event == "acknowledged" and known.belief != "firing":
            # What waits is the news of the alert itself: the acknowledgement follows it, and waits too if only for a
            # moment, so that both can be taken back.
            later = max(waiting.until, not_before, now + 1)
            told[channel] = replace(known, waiting=replace(waiting, sequence=change.sequence, rows=waiting.rows + 1))
            tellings.append(Telling(channel, "acknowledged", later))
            continue
        if waiting is not None:
            caught = withhold(channel, waiting.sequence)
            withheld += [channel] * caught
            known = _after_taking_back(known, waiting, caught)
        event = _event(known, alert, change)
        if event is not None:
            tellings.append(Telling(channel, event, not_before))
            known = _informed(known, event, alert, change, not_before, now)
        told[channel] = known
    after = replace(alert, told={channel: known for channel, known in told.items() if known != Told()})
    if any(telling.event in ("firing", "updated", "escalated", "reminder") for telling in tellings):
        after = replace(after, told_at=not_before)
    return Hearing(
        after, tuple(tellings), tuple(withheld), None if tellings else _why_not(alert, change, policy, bool(withheld))
    )


def _audience(alert: Alert, change: Change, policy: AlertPolicy) -> tuple[str, ...]:
    """Whom the change concerns: of an end, those who were told before; of news, those to whom it goes now."""
    if change.event in ENDS:
        return () if alert.flapping else tuple(alert.told)
    if change.event in ("acknowledged", "silenced"):
        return tuple(alert.told)
    if alert.silenced_by or not alert.is_open:
        return ()
    return channels_for(policy, alert)


def _is_owed(known: Told, alert: Alert, change: Change) -> bool:
    """Whether the channel, when it has heard all that waits for it, would still not know what the change says."""
    waiting = known.waiting
    then = known if waiting is None else Told(waiting.belief, waiting.sequence, waiting.peak)
    belief = then.belief
    match change.event:
        case "resolved" | "accepted" | "calmed" | "acknowledged":
            return belief == "firing"
        case "silenced":
            return waiting is not None and belief == "firing"
        case "reminder":
            return True
        case _:
            return belief != "firing" or _is_news(then, alert)


def _event(known: Told, alert: Alert, change: Change) -> Event | None:
    """What a channel that knows this, and for which nothing waits, is told; None when it has nothing to learn."""
    belief = known.belief
    match change.event:
        case "silenced":
            return None
        case "resolved" | "accepted" | "calmed":
            return "resolved" if belief == "firing" else None
        case "acknowledged":
            return "acknowledged" if belief == "firing" else None
        case _:
            if belief == "nothing":
                return "firing"
            if belief == "resolved":
                return "updated" if alert.flapping else "firing"
            if change.event == "reminder":
                return "reminder"
            return "escalated" if change.event == "escalated" or _is_worse_than_known(known, alert) else "updated"


def _is_news(known: Told, alert: Alert) -> bool:
    """Whether there is a member, an escalation or a flapping that is not known yet."""
    if max(alert.added, alert.flapped) > known.sequence or _is_worse_than_known(known, alert):
        return True
    return not alert.flapping and alert.risen > known.sequence


def _is_worse_than_known(known: Told, alert: Alert) -> bool:
    """Whether a member has escalated by its size since, or the severity is one that was never heard of.

    While the alert is flapping its severity comes and goes too: only that is a rise then.
    """
    return alert.grown > known.sequence or known.peak is None or rank(alert.severity) > rank(known.peak)


def _after_taking_back(known: Told, waiting: Waiting, caught: int) -> Told:
    """What the channel knows after so many of the notices that waited for it were caught before they went out.

    They may have gone out in the meantime; the outbox alone knows.
    """
    if caught >= waiting.rows:
        return replace(known, waiting=None)
    return Told(waiting.belief, waiting.sequence, waiting.peak)


def _informed(known: Told, event: Event, alert: Alert, change: Change, not_before: int, now: int) -> Told:
    belief: Belief = "resolved" if event == "resolved" else "firing"
    peak = alert.severity if known.peak is None else worst((known.peak, alert.severity))
    if not_before > now:
        return replace(known, waiting=Waiting(not_before, belief, change.sequence, peak, 1))
    return Told(belief, change.sequence, peak)


def _why_not(alert: Alert, change: Change, policy: AlertPolicy, withheld: bool) -> str:
    if change.event == "silenced":
        return "silenced"
    if change.event in ENDS or change.event == "acknowledged":
        if alert.flapping and not alert.is_open:
            return "flapping: told when it has stayed resolved"
        unheard = "nobody had been told of the alert"
        return f"what waited was taken back: {unheard}" if withheld else unheard
    if alert.silenced_by:
        return "silenced"
    if not channels_for(policy, alert):
        return "no channel"
    return "flapping: known already" if alert.flapping else "known already"
