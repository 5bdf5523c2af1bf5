"""The kinds of values in a monitor configuration: how each is read, written and described in the JSON Schema."""

from __future__ import annotations

import re
from datetime import time
from functools import partial
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from modelwatch.config.durations import duration_text, parse_duration, parse_lookback
from modelwatch.errors import excerpt
from modelwatch.findings import Kind

NEVER = "never"
CHANNEL_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
LABEL_NAME = r"^[a-zA-Z_][a-zA-Z0-9_]{0,62}$"
# What these patterns say, for people.
IN_WORDS = {
    CHANNEL_NAME: "Expected the name of a channel: small letters, digits and -, at most 63",
    LABEL_NAME: "Expected letters, digits and _, at most 63, and no digit first",
}
# These labels belong to every alert; a monitor can't give them another meaning.
OWN_LABELS = frozenset({"model", "environment", "kind", "severity", "version", "subject", "alertname"})
MOST_LOOKBACKS = 8
MOST_IN_SEGMENT_NAME = 128
MOST_TAGS, MOST_IN_TAG = 20, 64

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_DAY, _WEEK = 86_400, 604_800
_ANY_LENGTH = 10**13
_LARGEST_FACTOR = 1_000_000
_DURATION = {"type": "string", "pattern": "^(0|[1-9][0-9]{0,6})[smhdw]$"}
_DURATION_OR_NEVER = {"type": "string", "pattern": f"^({NEVER}|(0|[1-9][0-9]{{0,6}})[smhdw])$"}
_DURATION_OR_TRUTH = {"anyOf": [{"type": "boolean"}, _DURATION]}
_SHARE_OR_OFF = {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 1}, {"const": False}]}
_FACTOR_OR_NEVER = {"anyOf": [{"type": "number", "exclusiveMinimum": 1, "maximum": _LARGEST_FACTOR}, {"const": NEVER}]}
_LOOKBACKS = {
    "type": "array",
    "items": {"type": "string", "pattern": "^[1-9][0-9]{0,5}[mhdw]$"},
    "minItems": 1,
    "maxItems": MOST_LOOKBACKS,
}


_LABELS = {
    "type": "object",
    "propertyNames": {"pattern": LABEL_NAME, "not": {"enum": sorted(OWN_LABELS)}},
    "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 512},
}


def _duration(value: object, *, shortest: int, longest: int) -> int:
    seconds = parse_duration(value)
    if not shortest <= seconds <= longest:
        raise ValueError(f"Expected {duration_text(shortest)} to {duration_text(longest)}")
    return seconds


def _duration_or_never(value: object) -> int:
    return 0 if value == NEVER else _duration(value, shortest=0, longest=_ANY_LENGTH)


def _duration_or_truth(value: object) -> int | bool:
    return value if isinstance(value, bool) else _duration(value, shortest=900, longest=_ANY_LENGTH)


def _truth_or_text(value: int | bool) -> bool | str:
    return value if isinstance(value, bool) else duration_text(value)


def _share_or_off(value: object) -> object:
    """0 for off."""
    if value is False:
        return 0.0
    if value is True or not isinstance(value, int | float) or not value > 0:
        raise ValueError("Expected a share above 0 and up to 1, or false")
    return value


def _factor_or_never(value: object) -> object:
    """0 for never."""
    if value == NEVER:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 1:
        raise ValueError(f"Expected a number above 1, or {NEVER}")
    return value


def _never_or_factor(factor: float) -> float | str:
    return factor or NEVER


def _off_or_share(share: float) -> float | bool:
    return share or False


def _never_or_text(seconds: int) -> str:
    return duration_text(seconds) if seconds else NEVER


def _clock(value: object) -> time:
    if isinstance(value, int) and not isinstance(value, bool):
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
    if len(seconds) > MOST_LOOKBACKS:
        raise ValueError(f"Expected at most {MOST_LOOKBACKS} look-backs")
    return tuple(seconds[length] for length in sorted(seconds))


def _truth(value: object) -> object:
    if not isinstance(value, bool):
        raise ValueError("Expected true or false")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("Expected a number")
    return value


def _once_each(tags: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((tag for tag in tags if tags.count(tag) > 1), None)
    if twice is not None:
        raise ValueError(f"Expected each tag once; {excerpt(twice)!r} is there {tags.count(twice)} times")
    return tags


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("Expected text without NUL characters")
    return text


def _free_label(name: str) -> str:
    if name in OWN_LABELS:
        raise ValueError("Reserved: every alert has this label; choose another name")
    return name


Severity = Literal["warning", "alert"]
AlertOn = Literal["warning", "shifted"]
# Treatment of the values of a feature in the rows that are stored.
Treatment = Literal["keep", "hash", "drop", "encrypt"]
Storing = Literal["predictions", "profiles"]
KEYED: frozenset[Treatment] = frozenset({"hash", "encrypt"})
AlertKind = Kind
Metric = Literal[
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "specificity",
    "f1",
    "mcc",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "precision_micro",
    "recall_micro",
    "f1_micro",
    "precision_weighted",
    "recall_weighted",
    "f1_weighted",
    "roc_auc",
    "pr_auc",
    "log_loss",
    "brier",
    "roc_auc_macro",
    "mae",
    "rmse",
    "mean_error",
    "mape",
]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

# A number is never true or false, nor a text that looks like one.
Budget = Annotated[float, Field(gt=0, le=1_000), BeforeValidator(_number)]
Psi = Annotated[float, Field(gt=0, le=100), BeforeValidator(_number)]
Share = Annotated[float, Field(gt=0, le=1), BeforeValidator(_number)]
Maturity = Annotated[float, Field(ge=0.5, le=0.999), BeforeValidator(_number)]
ShareOrNone = Annotated[float, Field(ge=0, le=1), BeforeValidator(_number)]
Factor = Annotated[float, Field(gt=1, le=_LARGEST_FACTOR), BeforeValidator(_number)]
Number = Annotated[float, BeforeValidator(_number)]
Whole = Annotated[int, Field(strict=True)]
Samples = Annotated[Whole, Field(ge=1, le=1_000_000_000)]
Truth = Annotated[bool, BeforeValidator(_truth)]
Text = Annotated[str, Field(strict=True, min_length=1, max_length=512), AfterValidator(_storable)]
Tag = Annotated[str, Field(strict=True, min_length=1, max_length=MOST_IN_TAG), AfterValidator(_storable)]
Tags = Annotated[tuple[Tag, ...], Field(max_length=MOST_TAGS), AfterValidator(_once_each)]
Importance = Annotated[float, Field(ge=0), BeforeValidator(_number)]
# It is part of the keys of tables.
SegmentName = Annotated[
    str, Field(strict=True, min_length=1, max_length=MOST_IN_SEGMENT_NAME), AfterValidator(_storable)
]
Interval = Annotated[
    int,
    BeforeValidator(partial(_duration, shortest=1, longest=_WEEK)),
    PlainSerializer(duration_text),
    WithJsonSchema(_DURATION),
]
Grace = Annotated[
    int,
    BeforeValidator(partial(_duration, shortest=0, longest=_DAY)),
    PlainSerializer(duration_text),
    WithJsonSchema(_DURATION),
]
ShareOrOff = Annotated[
    float,
    Field(le=1),
    BeforeValidator(_share_or_off),
    PlainSerializer(_off_or_share),
    WithJsonSchema(_SHARE_OR_OFF),
]
FactorOrNever = Annotated[
    float,
    Field(le=_LARGEST_FACTOR),
    BeforeValidator(_factor_or_never),
    PlainSerializer(_never_or_factor),
    WithJsonSchema(_FACTOR_OR_NEVER),
]
DurationOrTruth = Annotated[
    int | bool,
    BeforeValidator(_duration_or_truth),
    PlainSerializer(_truth_or_text),
    WithJsonSchema(_DURATION_OR_TRUTH),
]
DurationOrNever = Annotated[
    int,
    BeforeValidator(_duration_or_never),
    PlainSerializer(_never_or_text),
    WithJsonSchema(_DURATION_OR_NEVER),
]
ClockTime = Annotated[
    time,
    BeforeValidator(_clock),
    PlainSerializer(lambda moment: moment.strftime("%H:%M")),
    WithJsonSchema({"type": "string", "pattern": f"^({_CLOCK.pattern})$"}),
]
Zone = Annotated[str, BeforeValidator(_zone)]
Lookbacks = Annotated[tuple[str, ...], BeforeValidator(_lookback_names), WithJsonSchema(_LOOKBACKS)]
ChannelName = Annotated[str, Field(strict=True, pattern=CHANNEL_NAME)]
LabelName = Annotated[str, Field(strict=True, pattern=LABEL_NAME), AfterValidator(_free_label)]
Labels = Annotated[dict[LabelName, Text], WithJsonSchema(_LABELS)]
