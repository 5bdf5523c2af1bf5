"""The monitor configuration of a model: what differs for it from the settings of the service.

Everything is optional; what is not given is as the settings say when the model is evaluated. Unknown keys are refused.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import time
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, model_validator

from modelwatch.config.durations import duration_text, parse_duration
from modelwatch.config.settings import parse_lookback
from modelwatch.errors import FieldError, InvalidInput, excerpt

NEVER = "never"
CHANNEL_NAME = r"[a-z0-9][a-z0-9-]{0,62}"
LABEL_NAME = r"[a-zA-Z_][a-zA-Z0-9_]{0,62}"
# These labels belong to every alert; a monitor can't give them another meaning.
OWN_LABELS = frozenset({"model", "environment", "kind", "severity", "version", "subject", "alertname"})
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")

Severity = Literal["warning", "alert"]
AlertKind = Literal["feature_drift", "prediction_drift", "latency_drift"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _duration_or_never(value: object) -> int:
    return 0 if value == NEVER else parse_duration(value)


def _clock(value: object) -> time:
    if isinstance(value, int):
        raise ValueError('Expected a time such as "22:00", in quotes: YAML reads it as a number without them')
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('Expected a time such as "07:30"')
    return time(int(match[1]), int(match[2]))


def _zone(value: object) -> str:
    try:
        if not isinstance(value, str):
            raise ValueError
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("Expected the IANA name of a time zone, such as Europe/Berlin or UTC") from None
    return value


def _lookback_names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) for name in value):
        raise ValueError("Expected a list of look-backs, such as [1h, 6h, 24h]")
    seconds: dict[int, str] = {}
    for name in value:
        if seconds.setdefault(parse_lookback(name), name) != name:
            raise ValueError(f"{seconds[parse_lookback(name)]} and {name} are the same look-back")
    if len(seconds) > 8:
        raise ValueError("Expected at most 8 look-backs")
    return tuple(seconds[length] for length in sorted(seconds))


def _truth(value: object) -> object:
    if not isinstance(value, bool):
        raise ValueError("Expected true or false")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("Expected a number")
    return value


Number = Annotated[float, BeforeValidator(_number)]
Whole = Annotated[int, Field(strict=True)]
Truth = Annotated[bool, BeforeValidator(_truth)]
Text = Annotated[str, Field(strict=True, min_length=1, max_length=512)]
Duration = Annotated[int, BeforeValidator(parse_duration), PlainSerializer(duration_text)]
DurationOrNever = Annotated[
    int,
    BeforeValidator(_duration_or_never),
    PlainSerializer(lambda seconds: duration_text(seconds) if seconds else NEVER),
]
ClockTime = Annotated[time, BeforeValidator(_clock), PlainSerializer(lambda moment: moment.strftime("%H:%M"))]
Zone = Annotated[str, BeforeValidator(_zone)]
Lookbacks = Annotated[tuple[str, ...], BeforeValidator(_lookback_names)]
ChannelName = Annotated[str, Field(strict=True, pattern=f"^{CHANNEL_NAME}$")]
Labels = dict[Annotated[str, Field(pattern=f"^{LABEL_NAME}$")], Text]
Psi = Annotated[Number, Field(gt=0, le=100)]
Samples = Annotated[Whole, Field(ge=1, le=1_000_000_000)]


def _ascending(warning: float | None, alert: float | None) -> None:
    if warning is not None and alert is not None and warning >= alert:
        raise ValueError(f"Expected psi_warning < psi_alert, got {warning:g} and {alert:g}")


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True, populate_by_name=True
    )


class Persistence(_Part):
    """A finding needs `alarms` of the last `of` evaluations."""

    alarms: Annotated[Whole, Field(ge=1, le=24)]
    of: Annotated[Whole, Field(ge=1, le=24)]

    @model_validator(mode="after")
    def _check(self) -> Persistence:
        if self.alarms > self.of:
            raise ValueError(f"Expected alarms <= of, got {self.alarms} of {self.of}")
        return self


class FeatureConfig(_Part):
    """What differs for one feature."""

    psi_warning: Psi | None = None
    psi_alert: Psi | None = None
    min_samples: Samples | None = None

    @model_validator(mode="after")
    def _check(self) -> FeatureConfig:
        _ascending(self.psi_warning, self.psi_alert)
        return self


class DriftConfig(_Part):
    """When a shift matters, and of what."""

    psi_warning: Psi | None = None
    psi_alert: Psi | None = None
    min_samples: Samples | None = None
    lookbacks: Lookbacks | None = None
    tolerance: Literal["natural", "fixed"] | None = None
    persistence: Persistence | None = None
    resolve_after: Annotated[Whole, Field(ge=1, le=100)] | None = None
    leave_out: Annotated[tuple[Text, ...], Field(max_length=1_000)] | None = None
    prediction: Truth | None = None
    score: Truth | None = None
    latency: Truth | None = None
    features: Annotated[dict[Text, FeatureConfig], Field(max_length=10_000)] | None = None

    @model_validator(mode="after")
    def _check(self) -> DriftConfig:
        _ascending(self.psi_warning, self.psi_alert)
        return self


class ScheduleConfig(_Part):
    """When the model is evaluated."""

    every: Annotated[Duration, Field(ge=1, le=604_800)] | None = None
    on_new_data: Truth | None = None
    grace: Annotated[Duration, Field(ge=0, le=86_400)] | None = None


class RouteMatch(_Part):
    """Alerts of one of these severities, kinds and environments, of a monitor with all of these labels."""

    severity: Annotated[tuple[Severity, ...], Field(min_length=1)] | None = None
    kind: Annotated[tuple[AlertKind, ...], Field(min_length=1)] | None = None
    environment: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    labels: Labels | None = None


class RouteConfig(_Part):
    """Where alerts like this go. The first route that fits counts, and those after it while they continue."""

    when: RouteMatch = RouteMatch()
    channels: tuple[ChannelName, ...]
    continue_: Annotated[Truth, Field(alias="continue")] = False


class QuietHoursConfig(_Part):
    """When notifications of these severities wait."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)] | None = None
    from_: Annotated[ClockTime, Field(alias="from")]
    to: ClockTime
    timezone: Zone = "UTC"
    severity: Annotated[tuple[Severity, ...], Field(min_length=1)] | None = None


class FlappingConfig(_Part):
    """When an incident that comes back is told of once."""

    window: DurationOrNever | None = None
    reopenings: Annotated[Whole, Field(ge=0, le=1_000)] | None = None


class AlertsConfig(_Part):
    """Who is told, and when."""

    channels: tuple[ChannelName, ...] | None = None
    routes: Annotated[tuple[RouteConfig, ...], Field(max_length=100)] | None = None
    quiet_hours: Annotated[tuple[QuietHoursConfig, ...], Field(max_length=100)] | None = None
    repeat_every: DurationOrNever | None = None
    flapping: FlappingConfig | None = None

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Every channel that is named anywhere, in the order of the document."""
        named = [*(self.channels or ()), *(name for route in self.routes or () for name in route.channels)]
        return tuple(dict.fromkeys(named))


class MonitorConfig(_Part):
    """Everything about one model that differs from the settings. Durations in seconds; 0 for `never`.

    >>> config = parse_monitor({"drift": {"psi_alert": 0.4}, "schedule": {"every": "15m"}})
    >>> config.drift.psi_alert, config.schedule.every, config.budget
    (0.4, 900, None)
    """

    model: Text | None = None
    labels: Labels | None = None
    positive_class: Text | None = None
    budget: Annotated[Number, Field(gt=0, le=1_000)] | None = None
    schedule: ScheduleConfig = ScheduleConfig()
    drift: DriftConfig = DriftConfig()
    alerts: AlertsConfig = AlertsConfig()

    @model_validator(mode="after")
    def _check(self) -> MonitorConfig:
        taken = sorted(OWN_LABELS.intersection(self.labels or ()))
        if taken:
            raise ValueError(f"The labels {', '.join(taken)} belong to every alert; choose other names")
        return self


def parse_monitor(data: object) -> MonitorConfig:
    """The configuration of a decoded JSON or YAML document.

    Raises InvalidInput that lists every problem, each with a pointer to it.
    """
    if not isinstance(data, Mapping):
        raise InvalidInput("The monitor is not valid.", (FieldError("", "Expected an object of names and values"),))
    try:
        return MonitorConfig.model_validate(data)
    except ValidationError as error:
        problems = tuple(_problem(entry) for entry in error.errors(include_url=False, include_context=False))
        raise InvalidInput("The monitor is not valid.", problems) from None


def as_document(config: MonitorConfig) -> dict[str, Any]:
    """What was set, as a document that `parse_monitor` turns back into the same configuration."""
    document: dict[str, Any] = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return document


def canonical_json(config: MonitorConfig) -> str:
    """The same document as text; equal configurations have equal text."""
    return json.dumps(as_document(config), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def monitor_schema() -> dict[str, Any]:
    """The JSON Schema of a monitor document."""
    return MonitorConfig.model_json_schema(by_alias=True)


def _problem(entry: Any) -> FieldError:
    steps = list(_steps(entry["loc"]))
    pointer = "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
    if entry["type"] == "extra_forbidden":
        known = sorted(_names_at(MonitorConfig, steps[:-1]))
        nearest = difflib.get_close_matches(steps[-1], known, n=1, cutoff=0.6)
        hint = f"did you mean {nearest[0]}?" if nearest else f"known here: {', '.join(known)}"
        return FieldError(pointer, f"Unknown key; {hint}", None)
    if entry["type"] == "missing":
        return FieldError(pointer, "Required", None)
    message = entry["msg"].removeprefix("Value error, ")
    given = entry.get("input")
    shown = None if isinstance(given, Mapping) or given is None else excerpt(given)
    return FieldError(pointer, message[0].upper() + message[1:], shown)


def _steps(location: tuple[int | str, ...]) -> Iterator[str]:
    """The keys and positions of the document; pydantic puts its own names of alternatives among them."""
    for step in location:
        text = str(step)
        if text != "[key]" and not text.startswith(("function-", "constrained-", "nullable[", "literal[")):
            yield text


def _names_at(part: type[BaseModel], steps: list[str]) -> set[str]:
    if not steps:
        return {field.alias or name for name, field in part.model_fields.items()}
    for name, field in part.model_fields.items():
        if (field.alias or name) == steps[0]:
            inner, consumed = _part_of(field.annotation)
            if inner is not None:
                return _names_at(inner, steps[1 + consumed :])
    return set()


def _part_of(annotation: Any, depth: int = 0) -> tuple[type[BaseModel] | None, int]:
    """The part that a field holds, and how many steps (a key or a position) lie between."""
    origin = get_origin(annotation)
    if origin is None:
        is_part = isinstance(annotation, type) and issubclass(annotation, BaseModel)
        return (annotation if is_part else None), depth
    for argument in get_args(annotation):
        deeper = depth if origin in (Union, UnionType, Annotated) else depth + 1
        found, consumed = _part_of(argument, deeper)
        if found is not None:
            return found, consumed
    return None, depth
