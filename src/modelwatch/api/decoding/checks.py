"""Checks of predictions and labels beyond their types: lengths, ranges, times and distinct names."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta

from modelwatch.api.decoding.values import (
    BEYOND_FLOAT,
    DOTS,
    Limits,
    character_problem,
    clipped,
    pointer_to,
    text_problem,
    time_of_id,
)
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.events import (
    DEFAULT_ENVIRONMENT,
    DEFAULT_VERSION,
    EARLIEST_TIME,
    FeatureBody,
    GroundTruth,
    GroundTruthBody,
    Prediction,
    PredictionBody,
    Scalar,
)
from modelwatch.stats.counting.binning import category_name
from modelwatch.times import EPOCH, micros_of

# 2000-01-01: an older time in an id is not a time.
EARLIEST_ID_TIME = 946_684_800_000_000
# Integers of 64 bits stay exact; longer ones become floats, as far as they fit.
SMALLEST_INTEGER = -(2**63)
LARGEST_INTEGER = 2**64 - 1
# A row of an index of PostgreSQL has room for 2,704 bytes: for these, a segment of 1,026, and what is not text.
STREAM_BYTES = 1_560
# For these, and numbers.
ID_BYTES = 2_560
# UTF-8 takes at most so many bytes for a character.
BYTES_A_CHARACTER = 4
STREAM_NAMES = ("model_name", "model_version", "environment")
ID_NAMES = ("model_name", "prediction_id")
FLOATS_AND_TEXTS = frozenset((float, str, type(None)))
TEXTS_AND_INTEGERS = frozenset((str, int))


def may_hold_nul(body: bytes) -> bool:
    """True when a text in the JSON body may hold U+0000, which JSON only has as an escape."""
    # A backslash alone is found many times as fast, and most bodies have none.
    return b"\\" in body and b"\\u0000" in body


def _check_bytes(
    pointer: str, names: Sequence[str], texts: Sequence[str], most: int, problems: list[FieldError]
) -> None:
    """Notes in `problems` when texts that are the key of a row are longer together than an index takes."""
    size = sum(len(text.encode(errors="replace")) for text in texts)
    if size > most and not problems:
        message = f"Expected at most {most} bytes of UTF-8 in {', '.join(names)} together, got {size}"
        problems.append(FieldError(pointer, message, excerpt(texts[0])))


class Checker:
    """Turns typed bodies into events, or says everything that is wrong with them.

    may_contain_nul: False when the body holds no U+0000, as almost all do; that spares a search in every string.
    """

    __slots__ = ("_longest_name", "_longest_value", "_max_features", "_skew", "new_id")

    def __init__(self, limits: Limits, new_id: Callable[[], str]) -> None:
        self._longest_name = limits.max_name_length
        self._longest_value = limits.max_value_length
        self._max_features = limits.max_features
        self._skew = limits.max_clock_skew_seconds * 1_000_000
        self.new_id = new_id

    def event(self, body: PredictionBody, now: int, may_contain_nul: bool) -> Prediction:
        """The event of a body that arrived `now`. Raises InvalidInput that names every wrong field.

        now: microseconds.
        """
        problems: list[FieldError] = []
        given = body.features
        if type(given) is list:
            features = self._named(given, may_contain_nul, problems)
        else:
            features = self._mapped(given, may_contain_nul, problems)  # type: ignore[arg-type]
        moment = body.timestamp
        return self.checked(
            body.model_name,
            DEFAULT_VERSION if body.model_version is None else body.model_version,
            DEFAULT_ENVIRONMENT if body.environment is None else body.environment,
            body.prediction_id,
            None if moment is None else micros_of(moment),
            features,
            body.prediction,
            body.prediction_probability,
            body.latency_ms,
            body.ground_truth,
            now,
            may_contain_nul,
            problems,
        )

    def label(self, body: GroundTruthBody, now: int, may_contain_nul: bool) -> GroundTruth:
        """The label of a body that arrived `now`. Raises InvalidInput that names every wrong field.

        now: microseconds.
        """
        moment = None if body.timestamp is None else micros_of(body.timestamp)
        return self.checked_label(
            body.model_name, body.prediction_id, body.ground_truth, moment, now, may_contain_nul, []
        )

    def checked_label(
        self,
        model: str,
        prediction_id: str,
        truth: Scalar,
        timestamp: int | None,
        now: int,
        may_contain_nul: bool,
        problems: list[FieldError],
    ) -> GroundTruth:
        """The label of these fields; `problems` are those that are known already.

        Raises InvalidInput that names every wrong field. now: microseconds.
        """
        longest = self._longest_name
        if may_contain_nul or not 2 < len(model) <= longest or not 2 < len(prediction_id) <= longest:
            self.check_address("/model_name", model, problems)
            self.check_address("/prediction_id", prediction_id, problems)
        if BYTES_A_CHARACTER * (len(model) + len(prediction_id)) > STREAM_BYTES:
            _check_bytes("/model_name", ("model_name",), (model,), STREAM_BYTES, problems)
            _check_bytes("/prediction_id", ID_NAMES, (model, prediction_id), ID_BYTES, problems)
        if truth is None:
            problems.append(FieldError("/ground_truth", "Expected a label, got null"))
        else:
            truth = self.scalar(truth, "/ground_truth", may_contain_nul, problems)
        if timestamp is None:
            timestamp = now
        elif not self.is_time(timestamp, now):
            problems.append(self.time_problem("/timestamp", timestamp, now))
        if problems or truth is None:
            raise InvalidInput("The label has fields that are not valid.", tuple(problems))
        return GroundTruth(model, prediction_id, truth, timestamp)

    def checked(
        self,
        model: str,
        version: str,
        environment: str,
        prediction_id: str | None,
        timestamp: int | None,
        features: dict[str, Scalar],
        prediction: bool | int | float | str,
        probability: float | dict[str, float] | None,
        latency: float | None,
        truth: Scalar,
        now: int,
        may_contain_nul: bool,
        problems: list[FieldError],
    ) -> Prediction:
        """The event of these fields, whose features have been checked into `problems` already.

        Raises InvalidInput that names every wrong field. now: microseconds.
        """
        longest = self._longest_name
        if prediction_id is None:
            prediction_id = self.new_id()
        if may_contain_nul or not 2 < len(model) <= longest:
            self.check_address("/model_name", model, problems)
        if version is not DEFAULT_VERSION and (may_contain_nul or not 2 < len(version) <= longest):
            self.check_address("/model_version", version, problems)
        if environment is not DEFAULT_ENVIRONMENT and (may_contain_nul or not 2 < len(environment) <= longest):
            self.check_address("/environment", environment, problems)
        if may_contain_nul or not 2 < len(prediction_id) <= longest:
            self.check_address("/prediction_id", prediction_id, problems)
        if BYTES_A_CHARACTER * (len(model) + len(version) + len(environment) + len(prediction_id)) > STREAM_BYTES:
            _check_bytes("/model_name", STREAM_NAMES, (model, version, environment), STREAM_BYTES, problems)
            _check_bytes("/prediction_id", ID_NAMES, (model, prediction_id), ID_BYTES, problems)
        if timestamp is None:
            timestamp = self.time_without(prediction_id, now)
        elif not self.is_time(timestamp, now):
            problems.append(self.time_problem("/timestamp", timestamp, now))
        if type(prediction) is not float:
            prediction = self.scalar(prediction, "/prediction", may_contain_nul, problems)  # type: ignore[assignment]
        if probability is not None and not (type(probability) is float and 0.0 <= probability <= 1.0):
            probability = self.probability(probability, may_contain_nul, problems)
        if latency is not None and not 0.0 <= latency < math.inf:
            problems.append(FieldError("/latency_ms", "Expected a finite number, at least 0", excerpt(latency)))
        if truth is not None and type(truth) is not float:
            truth = self.scalar(truth, "/ground_truth", may_contain_nul, problems)
        if problems:
            raise InvalidInput("The prediction has fields that are not valid.", tuple(problems))
        return Prediction(
            model,
            version,
            environment,
            prediction_id,
            timestamp,
            features,
            prediction,
            probability,
            latency,
            truth,
        )

    def time_without(self, prediction_id: str, now: int) -> int:
        """The time of a prediction that says none, microseconds: that of its id, or `now`, when it arrived."""
        time = time_of_id(prediction_id)
        return now if time is None or time < EARLIEST_ID_TIME or not self.is_time(time, now) else time

    def is_time(self, timestamp: int, now: int) -> bool:
        """True for a time that a row may have: from 1900 on, and no further ahead of the clock than allowed.

        timestamp, now: microseconds.
        """
        return EARLIEST_TIME <= timestamp <= now + self._skew

    def wrong_times(self, times: Sequence[int | None], now: int) -> dict[int, int]:
        """By row, the times that it may not have. times, now: microseconds; None where a row has no time."""
        # Nearly always all are right: that is known in a fraction of the time that a look at each takes.
        known = [time for time in times if time is not None]
        if not known or (self.is_time(min(known), now) and self.is_time(max(known), now)):
            return {}
        return {row: time for row, time in enumerate(times) if time is not None and not self.is_time(time, now)}

    def time_problem(self, pointer: str, timestamp: int, now: int) -> FieldError:
        """What is wrong with a time that a row may not have. timestamp, now: microseconds."""
        given = _iso(timestamp)
        if timestamp < EARLIEST_TIME:
            return FieldError(pointer, "Expected a time from 1900 on", given)
        message = f"The time is more than {self._skew // 1_000_000} s ahead of the server's clock, which is {_iso(now)}"
        return FieldError(pointer, message, given)

    def room_for_id(self, stream: Iterable[str | None]) -> int:
        """Number of characters that an id of a stream may have without a closer look; 0 when its names need one."""
        room = STREAM_BYTES // BYTES_A_CHARACTER
        for name in stream:
            if name is None or name in DOTS or text_problem(name, self._longest_name):
                return 0
            room -= len(name)
        return min(self._longest_name, room)

    def unusual_values(self, values: Sequence[Scalar], may_contain_nul: bool) -> list[int]:
        """The places of the values that `scalar` refuses or changes."""
        kinds = set(map(type, values))
        if kinds.isdisjoint(TEXTS_AND_INTEGERS):
            return []
        # Most are classes: few different ones. An integer may be equal to a float, which is kept.
        distinct = set(values if kinds == {str} else (value for value in values if type(value) in TEXTS_AND_INTEGERS))
        wrong = {value for value in distinct if not self._is_kept(value, may_contain_nul)}
        return [place for place, value in enumerate(values) if value in wrong] if wrong else []

    def _is_kept(self, value: Scalar, may_contain_nul: bool) -> bool:
        if type(value) is str:
            return len(value) <= self._longest_value and not (may_contain_nul and character_problem(value))
        return type(value) is not int or SMALLEST_INTEGER <= value <= LARGEST_INTEGER

    def scalar(self, value: Scalar, pointer: str, may_contain_nul: bool, problems: list[FieldError]) -> Scalar:
        """The value as it is kept: long integers as floats. What can't be kept is named in `problems`."""
        if type(value) is str:
            if len(value) > self._longest_value:
                message = f"Expected at most {self._longest_value} characters, got {len(value)}"
                problems.append(FieldError(pointer, message, excerpt(value)))
            elif may_contain_nul and (wrong := character_problem(value)):
                problems.append(FieldError(pointer, wrong, excerpt(value)))
        elif type(value) is int and not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            try:
                return float(value)
            except OverflowError:
                problems.append(FieldError(pointer, BEYOND_FLOAT, f"an integer of {value.bit_length()} bits"))
        return value

    def check_feature_count(self, count: int, problems: list[FieldError]) -> bool:
        """True when these are no more features than allowed; otherwise that is noted in `problems`."""
        return self._check_count(count, "features", "/features", problems)

    def check_class_count(self, count: int, problems: list[FieldError]) -> bool:
        """True when these are no more classes than allowed; otherwise that is noted in `problems`."""
        return self._check_count(count, "classes", "/prediction_probability", problems)

    def _check_count(self, count: int, what: str, pointer: str, problems: list[FieldError]) -> bool:
        if count > self._max_features:
            message = f"Expected at most {self._max_features} {what}, which is MAX_FEATURES, got {count}"
            problems.append(FieldError(pointer, message))
        return count <= self._max_features

    def _are_plain(self, names: Collection[str], values: Collection[Scalar]) -> bool:
        """True when features need no look at each of them: short names, floats and short texts, as most rows have."""
        kinds = set(map(type, values))
        if not kinds <= FLOATS_AND_TEXTS or "" in names or not _are_short(names, self._longest_name):
            return False
        return str not in kinds or _are_short([value for value in values if type(value) is str], self._longest_value)

    def _named(self, given: list[FeatureBody], may_contain_nul: bool, problems: list[FieldError]) -> dict[str, Scalar]:
        features: dict[str, Scalar] = {}
        if not self.check_feature_count(len(given), problems):
            return features
        if not may_contain_nul:
            features = {each.name: each.value for each in given}
            if len(features) == len(given) and self._are_plain(features, features.values()):
                for feature in given:
                    if feature.data_type == "categorical" and type(feature.value) is float:
                        features[feature.name] = category_name(feature.value)
                return features
            features = {}
        longest, longest_value = self._longest_name, self._longest_value
        for index, feature in enumerate(given):
            name, value = feature.name, feature.value
            kind = type(value)
            if kind is float:
                if feature.data_type == "categorical":
                    value = category_name(value)
            elif kind is str:
                if may_contain_nul or len(value) > longest_value:  # type: ignore[arg-type]
                    self.scalar(value, pointer_to("features", index, "value"), may_contain_nul, problems)
            elif value is not None:
                categorical = kind is bool or feature.data_type == "categorical"
                if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:  # type: ignore[operator]
                    kept = self.scalar(value, pointer_to("features", index, "value"), may_contain_nul, problems)
                    value = value if categorical else kept
                if categorical:
                    value = category_name(value)
            if may_contain_nul or not 0 < len(name) <= longest:
                self.check_name(pointer_to("features", index, "name"), name, problems)
            features[name] = value
        if len(features) != len(given):
            _name_repetitions(given, problems)
        return features

    def _mapped(self, given: dict[str, Scalar], may_contain_nul: bool, problems: list[FieldError]) -> dict[str, Scalar]:
        if not self.check_feature_count(len(given), problems):
            return given
        longest, longest_value = self._longest_name, self._longest_value
        if not may_contain_nul and self._are_plain(given, given.values()):
            return given
        for name, value in given.items():
            kind = type(value)
            if kind is bool:
                given[name] = "true" if value else "false"
            elif kind is int:
                if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:  # type: ignore[operator]
                    given[name] = self.scalar(value, pointer_to("features", name[:longest]), may_contain_nul, problems)
            elif kind is str and (may_contain_nul or len(value) > longest_value):  # type: ignore[arg-type]
                self.scalar(value, pointer_to("features", name[:longest]), may_contain_nul, problems)
            if may_contain_nul or not 0 < len(name) <= longest:
                self.check_name(pointer_to("features", name[:longest]), name, problems)
        return given

    def check_name(self, pointer: str, name: str, problems: list[FieldError]) -> None:
        """Notes in `problems` what is wrong with a name or an id."""
        wrong = text_problem(name, self._longest_name)
        if wrong:
            problems.append(FieldError(pointer, wrong, excerpt(name)))

    def check_address(self, pointer: str, name: str, problems: list[FieldError]) -> None:
        """The same for one that addresses are made of: `.` and `..` are taken out of them on the way here."""
        if name in DOTS:
            problems.append(
                FieldError(pointer, "Expected a name other than '.' and '..': no address can have it", name)
            )
        else:
            self.check_name(pointer, name, problems)

    def probability(
        self, given: float | dict[str, float], may_contain_nul: bool, problems: list[FieldError]
    ) -> float | dict[str, float]:
        """The probability as it is kept; what is wrong with it is noted."""
        if not isinstance(given, dict):
            given = clipped(given)
            if not 0.0 <= given <= 1.0:
                message = "Expected a probability between 0 and 1"
                problems.append(FieldError("/prediction_probability", message, excerpt(given)))
            return given
        if self.check_class_count(len(given), problems) and not given:
            message = "Expected at least one class, a number, or null"
            problems.append(FieldError("/prediction_probability", message, "{}"))
        longest = self._longest_name
        for name, share in given.items():
            if not 0.0 <= share <= 1.0:
                given[name] = clipped(share)
                if given[name] == share:
                    pointer = pointer_to("prediction_probability", name[:longest])
                    problems.append(FieldError(pointer, "Expected a probability between 0 and 1", excerpt(share)))
            if may_contain_nul or not 0 < len(name) <= longest:
                self.check_name(pointer_to("prediction_probability", name[:longest]), name, problems)
        return given


def _are_short(texts: Collection[str], longest: int) -> bool:
    # Mostly they are so short that all together are: they are joined in a third of the time that a look at each takes.
    return len("".join(texts)) <= longest or max(map(len, texts)) <= longest


def _name_repetitions(given: list[FeatureBody], problems: list[FieldError]) -> None:
    seen: set[str] = set()
    for index, feature in enumerate(given):
        if feature.name in seen:
            pointer = pointer_to("features", index, "name")
            problems.append(FieldError(pointer, "The name of an earlier feature", excerpt(feature.name)))
        seen.add(feature.name)


def _iso(timestamp: int) -> str:
    try:
        return (EPOCH + timedelta(microseconds=timestamp)).isoformat()
    except OverflowError:
        return f"{timestamp} µs after 1970"
