"""The monitor configuration of a model: what differs for it from the settings of the service.

Everything is optional; what is not given is as the settings say when the model is evaluated. Unknown keys are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from modelwatch.config.monitors.problems import problems_of
from modelwatch.config.monitors.values import (
    KEYED,
    MOST_IN_SEGMENT_NAME,
    AlertKind,
    AlertOn,
    Budget,
    ChannelName,
    ClockTime,
    Day,
    DurationOrNever,
    DurationOrTruth,
    Factor,
    FactorOrNever,
    Grace,
    Importance,
    Interval,
    Labels,
    Lookbacks,
    Maturity,
    Metric,
    Number,
    Psi,
    Samples,
    SegmentName,
    Severity,
    Share,
    ShareOrNone,
    ShareOrOff,
    Storing,
    Tags,
    Text,
    Treatment,
    Truth,
    Whole,
    Zone,
)
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.events import Task

MOST_SEGMENTS = 5
SEGMENT_PARTS = 4


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class _Thresholds(_Part):
    psi_warning: Psi | None = None
    psi_alert: Psi | None = None
    min_samples: Samples | None = None

    @field_validator("psi_alert")
    @classmethod
    def _above_the_warning(cls, alert: float | None, info: ValidationInfo) -> float | None:
        warning = info.data.get("psi_warning")
        if warning is not None and alert is not None and warning >= alert:
            raise ValueError(f"Expected more than psi_warning, which is {warning:g}")
        return alert


class Persistence(_Part):
    """A finding needs `alarms` of the last `of` evaluations."""

    alarms: Annotated[Whole, Field(ge=1, le=24)]
    of: Annotated[Whole, Field(ge=1, le=24)]

    @field_validator("of")
    @classmethod
    def _enough(cls, of: int, info: ValidationInfo) -> int:
        alarms = info.data.get("alarms", 1)
        if alarms > of:
            raise ValueError(f"Expected at least {alarms}, as many as alarms")
        return of


class FeatureConfig(_Thresholds):
    """Overrides for one feature."""

    odds_ratio: FactorOrNever | None = None


class DriftConfig(_Thresholds):
    """Drift: which subjects are judged, and from which shift on."""

    odds_ratio: FactorOrNever | None = None
    lookbacks: Lookbacks | None = None
    tolerance: Literal["natural", "fixed"] | None = None
    alert_on: AlertOn | None = None
    persistence: Persistence | None = None
    resolve_after: Annotated[Whole, Field(ge=1, le=100)] | None = None
    leave_out: Annotated[tuple[Text, ...], Field(max_length=1_000)] | None = None
    cluster_by: Text | None = None
    prediction: Truth | None = None
    score: Truth | None = None
    latency: Truth | None = None
    features: Annotated[dict[Text, FeatureConfig], Field(max_length=10_000)] | None = None


class PerformanceConfig(_Part):
    """Performance: the loss from which on it matters, once labels come."""

    enabled: Truth | None = None
    metrics: Annotated[tuple[Metric, ...], Field(max_length=30)] | None = None
    tolerance: Share | None = None
    relative_tolerance: Psi | None = None
    limits: Annotated[dict[Metric, Number], Field(max_length=30)] | None = None
    lookbacks: Lookbacks | None = None
    min_samples: Samples | None = None
    label_drift: Truth | None = None
    odds_ratio: Factor | None = None
    maturity: Maturity | None = None
    label_coverage: Truth | None = None
    early: Truth | None = None
    persistence: Persistence | None = None
    resolve_after: Annotated[Whole, Field(ge=1, le=100)] | None = None


class QualityConfig(_Part):
    """Data quality: the rates from which on there is a data quality issue."""

    enabled: Truth | None = None
    min_rise: Share | None = None
    factor: Factor | None = None
    min_samples: Samples | None = None
    leave_out: Annotated[tuple[Text, ...], Field(max_length=1_000)] | None = None
    sentinels: Truth | None = None
    schema_: Annotated[Truth | None, Field(alias="schema")] = None
    duplicates: ShareOrOff | None = None
    volume: Truth | None = None
    freshness: DurationOrTruth | None = None
    persistence: Persistence | None = None
    resolve_after: Annotated[Whole, Field(ge=1, le=100)] | None = None


class SegmentConfig(_Part):
    """A feature whose values divide the traffic; a numeric one into so many parts, at quantiles of its reference."""

    feature: SegmentName
    cuts: Annotated[Whole, Field(ge=2, le=10)] | None = None

    @property
    def parts(self) -> int:
        """Into how many parts a numeric feature is cut."""
        return SEGMENT_PARTS if self.cuts is None else self.cuts


def _segment(value: object) -> object:
    """A name alone stands for the feature."""
    if isinstance(value, str):
        return {"feature": value}
    if not isinstance(value, Mapping | SegmentConfig):
        raise ValueError("Expected the name of a feature, or an object with feature and cuts")
    return value


_NAME_SCHEMA = {"type": "string", "minLength": 1, "maxLength": MOST_IN_SEGMENT_NAME}
_SEGMENT_SCHEMA = {
    "anyOf": [
        _NAME_SCHEMA,
        {
            "type": "object",
            "properties": {
                "feature": _NAME_SCHEMA,
                "cuts": {"type": ["integer", "null"], "minimum": 2, "maximum": 10},
            },
            "required": ["feature"],
            "additionalProperties": False,
        },
    ]
}
Segment = Annotated[SegmentConfig, BeforeValidator(_segment), WithJsonSchema(_SEGMENT_SCHEMA)]


class ScheduleConfig(_Part):
    """The schedule of evaluations."""

    every: Interval | None = None
    on_new_data: Truth | None = None
    grace: Grace | None = None


class RouteMatch(_Part):
    """Alerts of one of these severities, kinds and environments, of a monitor with all of these labels."""

    severity: Annotated[tuple[Severity, ...], Field(min_length=1)] | None = None
    kind: Annotated[tuple[AlertKind, ...], Field(min_length=1)] | None = None
    environment: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    labels: Labels | None = None


class RouteConfig(_Part):
    """A route: the channels of alerts that match. The first match counts, and those after it while they continue."""

    when: RouteMatch = RouteMatch()
    channels: tuple[ChannelName, ...]
    continue_: Annotated[Truth, Field(alias="continue")] = False


class QuietHoursConfig(_Part):
    """Hours during which notifications of these severities wait."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)] | None = None
    from_: Annotated[ClockTime, Field(alias="from")]
    to: ClockTime
    timezone: Zone = "UTC"
    severity: Annotated[tuple[Severity, ...], Field(min_length=1)] | None = None


class FlappingConfig(_Part):
    """Flapping: an incident that comes back so often is notified once."""

    window: DurationOrNever | None = None
    reopenings: Annotated[Whole, Field(ge=0, le=1_000)] | None = None


class AlertsConfig(_Part):
    """Notification of alerts: channels, times, repeats."""

    channels: tuple[ChannelName, ...] | None = None
    routes: Annotated[tuple[RouteConfig, ...], Field(max_length=100)] | None = None
    quiet_hours: Annotated[tuple[QuietHoursConfig, ...], Field(max_length=100)] | None = None
    repeat_every: DurationOrNever | None = None
    repeat_acknowledged_every: DurationOrNever | None = None
    escalation_factor: FactorOrNever | None = None
    flapping: FlappingConfig | None = None

    def named_channels(self) -> Iterator[tuple[str, str]]:
        """Every channel that is named anywhere, with the pointer to it, in the order of the document."""
        yield from ((f"/alerts/channels/{index}", name) for index, name in enumerate(self.channels or ()))
        for number, route in enumerate(self.routes or ()):
            yield from (
                (f"/alerts/routes/{number}/channels/{index}", name) for index, name in enumerate(route.channels)
            )


class PrivacyConfig(_Part):
    """Privacy: storage of the features of each prediction."""

    store: Storing | None = None
    default: Treatment | None = None
    features: Annotated[dict[Text, Treatment], Field(max_length=10_000)] | None = None

    def needing_a_key(self) -> Iterator[tuple[str, str]]:
        """Every treatment that needs a key, with the pointer to it, in the order of the document."""
        if self.default in KEYED:
            yield "/privacy/default", self.default
        for name, treatment in (self.features or {}).items():
            if treatment in KEYED:
                yield "/privacy/features/" + name.replace("~", "~0").replace("/", "~1"), treatment


def needs_a_key(treatment: str) -> str:
    """The message about a treatment that needs a key where there is none."""
    return f"{treatment!r} needs a key, and ENCRYPTION_KEY is not set; `modelwatch encryption-key new` generates one"


class MonitorConfig(_Part):
    """Everything about one model that differs from the settings. Durations in seconds; 0 for `never`.

    >>> config = parse_monitor({"drift": {"psi_alert": 0.4}, "schedule": {"every": "15m"}})
    >>> config.drift.psi_alert, config.schedule.every, config.budget
    (0.4, 900, None)
    """

    model: Text | None = None
    owner: Text | None = None
    tags: Tags | None = None
    labels: Labels | None = None
    task: Task | None = None
    positive_class: Text | None = None
    importance: Annotated[dict[Text, Importance], Field(max_length=10_000)] | None = None
    budget: Budget | None = None
    sample_rate: ShareOrNone | None = None
    schedule: ScheduleConfig = ScheduleConfig()
    drift: DriftConfig = DriftConfig()
    performance: PerformanceConfig = PerformanceConfig()
    quality: QualityConfig = QualityConfig()
    alerts: AlertsConfig = AlertsConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    segments: Annotated[tuple[Segment, ...], Field(max_length=MOST_SEGMENTS)] | None = None

    @field_validator("segments")
    @classmethod
    def _usable(
        cls, segments: tuple[SegmentConfig, ...] | None, info: ValidationInfo
    ) -> tuple[SegmentConfig, ...] | None:
        names = [each.feature for each in segments or ()]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"Expected each feature once; {excerpt(twice)} is named {names.count(twice)} times")
        privacy = info.data.get("privacy", PrivacyConfig())
        for name in names:
            treatment = (privacy.features or {}).get(name, privacy.default or "keep")
            if treatment != "keep":
                kept = f"Expected features that are kept, because rows name their segments; {excerpt(name)} is not"
                raise ValueError(f"{kept}: privacy says {treatment}")
        return segments


def parse_monitor(data: object, at: str = "") -> MonitorConfig:
    """The configuration of a decoded JSON or YAML document.

    at: the pointer to it, when it is part of a larger one.
    Raises InvalidInput that lists every problem, each with a pointer to it.
    """
    if not isinstance(data, Mapping):
        raise InvalidInput("The monitor is not valid.", (FieldError(at, "Expected an object of names and values"),))
    try:
        return MonitorConfig.model_validate(data)
    except ValidationError as error:
        raise InvalidInput("The monitor is not valid.", problems_of(error, MonitorConfig, at)) from None


def settled_thresholds(
    warning: float | None, alert: float | None, default_warning: float, default_alert: float
) -> tuple[float, float]:
    """The PSI of a warning and of an alert. What is given counts; a default gives way, so that they stay in order.

    >>> settled_thresholds(0.5, None, 0.1, 0.25), settled_thresholds(None, 0.05, 0.1, 0.25)
    ((0.5, 0.5), (0.05, 0.05))
    """
    if warning is None:
        warning = default_warning if alert is None else min(default_warning, alert)
    return warning, max(default_alert, warning) if alert is None else alert


def as_document(config: MonitorConfig) -> dict[str, Any]:
    """The configuration as a document that `parse_monitor` turns back into the same one."""
    document: dict[str, Any] = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return document


def canonical_json(config: MonitorConfig) -> str:
    """The same document as text; equal configurations have equal text."""
    return json.dumps(as_document(config), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def monitor_schema() -> dict[str, Any]:
    """The JSON Schema of a monitor document."""
    return MonitorConfig.model_json_schema(by_alias=True)
