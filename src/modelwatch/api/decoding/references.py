"""References: the sample of each subject, from JSON or from a labelled frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, cast, get_type_hints

import msgspec

from modelwatch.api.decoding.checks import Checker
from modelwatch.api.decoding.columns.batches import probabilities, times
from modelwatch.api.decoding.columns.reading import Bounds, arrow_errors, category_values, read_table, scalars
from modelwatch.api.decoding.columns.schema import KNOWN_COLUMNS, is_categorical, is_number
from modelwatch.api.decoding.explain import MAX_PROBLEMS, nearest
from modelwatch.api.decoding.values import Limits, clipped_all, pointer_to
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.events import DataType, ReferenceBody, ReferenceFrame, ReferenceSample, Scalar, Task
from modelwatch.stats.counting.datatypes import inferred_type, is_finite_number, prediction_type
from modelwatch.stats.outcomes.classes import share_of
from modelwatch.times import micros_of

if TYPE_CHECKING:
    import pyarrow as pa

# A column of float32 always fits; as Python's numbers it takes eight times its bytes.
BYTES_PER_CELL = 4
BESIDE_FEATURES = ("prediction", "prediction_probability", "ground_truth", "timestamp", "latency_ms")
# Those of which a sample is made, as of a feature.
SAMPLED = ("prediction", "prediction_probability", "latency_ms")
# What they hold, where they are given among the features.
BESIDE_FIELDS = {name: get_type_hints(ReferenceBody)[name] for name in BESIDE_FEATURES}
TASKS: dict[str, Task] = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}
TRUTH_ALONE = "Labels are compared with predictions: give prediction too"
SHARES_ALONE = "Probabilities by class need the prediction: give prediction too"


class Beside(NamedTuple):
    """Values given in the query, beside the body."""

    model_name: str | None = None
    model_version: str | None = None
    task: str | None = None
    positive_class: str | None = None


def json_frame(body: ReferenceBody, checker: Checker, limits: Limits, now: int, beside: Beside) -> ReferenceFrame:
    """The samples of a JSON body: one feature (`feature_name`, `values`) or several (`features`), and what stands
    beside the rows of several.

    A feature without a declared type is continuous when more than half of its values are numbers. now: microseconds.
    Raises InvalidInput that names every wrong field.
    """
    problems: list[FieldError] = []
    model_name, model_version = beside.model_name, beside.model_version
    version = body.model_version if body.model_version is not None else model_version
    _check_model(body.model_name, version, checker, problems)
    if model_name is not None and model_name != body.model_name:
        message = f"The query names another model, {excerpt(model_name)}"
        problems.append(FieldError("/model_name", message, excerpt(body.model_name)))
    if body.prediction_probability is not None:
        body.prediction_probability = clipped_all(body.prediction_probability)
    samples: list[ReferenceSample] = []
    _take_out_of_features(body, problems)
    if _is_one_form(body, problems):
        if body.features is None:
            given = {body.feature_name or "": body.values or []}
            types = {} if body.data_type is None else {body.feature_name or "": body.data_type}
        else:
            given, types = body.features, body.data_types or {}
            _check_rows(body, problems)
            for name in types.keys() - given.keys():
                hint = nearest(name, list(given)[:MAX_PROBLEMS])
                problems.append(FieldError(pointer_to("data_types", name[:80]), f"Unknown feature{hint}"))
        if checker.check_feature_count(len(given), problems):
            for name, values in given.items():
                one = body.features is None
                place = "/values" if one else pointer_to("features", name[: limits.max_name_length])
                checker.check_name("/feature_name" if one else place, name, problems)
                kept = _kept(values, place, checker, problems)
                data_type = types.get(name) or inferred_type(kept)
                problems.extend(_unusable(kept, data_type, place))
                samples.append(ReferenceSample("feature", name, data_type, kept))
        samples.extend(_samples_beside(body, checker, problems))
    if body.ground_truth is not None:
        _kept(body.ground_truth, "/ground_truth", checker, problems)
    timestamps = None
    if body.timestamp is not None:
        timestamps = [None if moment is None else micros_of(moment) for moment in body.timestamp]
        _check_times(timestamps, checker, now, problems)
    task, positive = _stated_task(
        beside.task if body.task is None else body.task,
        beside.positive_class if body.positive_class is None else body.positive_class,
        (body.prediction is not None, body.ground_truth is not None),
        checker,
        problems,
    )
    if problems:
        raise InvalidInput("The reference has fields that are not valid.", tuple(problems))
    truths, given_probabilities = body.ground_truth, body.prediction_probability
    in_rows = any(getattr(body, name) is not None for name in BESIDE_FEATURES)
    return ReferenceFrame(
        body.model_name, version, samples, timestamps, truths, given_probabilities, in_rows, task, positive
    )


def table_frame(body: bytes, kind: str, checker: Checker, limits: Limits, now: int, beside: Beside) -> ReferenceFrame:
    """The samples of an Arrow stream or a Parquet file.

    Features: numbers are continuous; text, booleans and dictionaries are categorical. `prediction` becomes the sample
    of the prediction (see `prediction_type`), `prediction_probability` that of the score (of a struct or map, the share
    of the row's own prediction), `latency_ms` that of the latency. `timestamp` says when each row was. `ground_truth`
    makes the reference a labelled one. `prediction_id`, `model_name`, `model_version` and `environment` may be there;
    no sample is made of them. now: microseconds.
    Raises MalformedBody for bytes that can't be read, InvalidInput that names every wrong column.
    """
    problems: list[FieldError] = []
    model_name, model_version = beside.model_name, beside.model_version
    if model_name is None:
        raise InvalidInput("The model is missing.", (FieldError("/model_name", "Required in the query"),))
    _check_model(model_name, model_version, checker, problems)
    cells = limits.max_body_bytes // BYTES_PER_CELL
    table = read_table(body, kind, Bounds(limits, max_rows=cells, max_cells=cells))
    if not table.num_rows:
        problems.append(FieldError("", "Expected at least one row"))
    if problems:
        raise InvalidInput("The reference is not valid.", tuple(problems))
    with arrow_errors(kind):
        samples = list(_samples(table, checker, problems))
        timestamps = _timestamps(table, checker, now, problems)
        truths = _truths(table, checker, problems)
        given = _given_probabilities(table)
    there = ("prediction" in table.schema.names, "ground_truth" in table.schema.names)
    task, positive = _stated_task(beside.task, beside.positive_class, there, checker, problems)
    if not samples:
        problems.append(FieldError("", "Expected at least one column with a feature, a prediction or a score"))
    if problems:
        raise InvalidInput("The reference has columns that are not valid.", tuple(problems))
    return ReferenceFrame(model_name, model_version, samples, timestamps, truths, given, True, task, positive)


def _stated_task(
    task: str | None, positive: Scalar, there: tuple[bool, bool], checker: Checker, problems: list[FieldError]
) -> tuple[Task | None, Scalar]:
    """Task and positive class as stated. there: whether the frame has predictions, and labels."""
    named: Task | None = None
    if task is not None:
        named = TASKS.get(task)
        if named is None:
            problems.append(FieldError("/task", f"Expected one of {', '.join(TASKS)}", excerpt(task)))
        elif not there[0]:
            problems.append(FieldError("/task", "Needs prediction as well"))
    if positive is not None:
        positive = checker.scalar(positive, "/positive_class", True, problems)
        if not there[1]:
            message = "Names one of the labels as the positive class: give prediction and ground_truth too"
            problems.append(FieldError("/positive_class", message))
    return named, positive


def _truths(table: pa.Table, checker: Checker, problems: list[FieldError]) -> list[Scalar] | None:
    if "ground_truth" not in table.schema.names:
        return None
    if "prediction" not in table.schema.names:
        problems.append(FieldError("/ground_truth", TRUTH_ALONE))
        return None
    return _kept(scalars(table.column("ground_truth")), "/ground_truth", checker, problems)


def _given_probabilities(table: pa.Table) -> list[float | dict[str, float] | None] | None:
    """Probabilities as given, row by row; problems with them are reported for the sample of the score."""
    if "prediction_probability" not in table.schema.names or _is_empty(table.column("prediction_probability")):
        return None
    return clipped_all(probabilities(table.column("prediction_probability"), {}))


def _timestamps(table: pa.Table, checker: Checker, now: int, problems: list[FieldError]) -> list[int | None] | None:
    if "timestamp" not in table.schema.names:
        return None
    by_row: dict[int, list[FieldError]] = {}
    found = times(table.column("timestamp"), by_row)
    problems.extend(replace(wrong[0], pointer=f"/timestamp/{row}") for row, wrong in islice(by_row.items(), 1))
    _check_times(found, checker, now, problems)
    return found


def _check_times(times: Sequence[int | None], checker: Checker, now: int, problems: list[FieldError]) -> None:
    """Names the first time that a row may not have. times, now: microseconds."""
    wrong = checker.wrong_times(times, now).items()
    problems.extend(checker.time_problem(f"/timestamp/{row}", time, now) for row, time in islice(wrong, 1))


def _samples(table: pa.Table, checker: Checker, problems: list[FieldError]) -> Iterable[ReferenceSample]:
    names = table.schema.names
    for name in names:
        if name in KNOWN_COLUMNS and name not in ("prediction", "latency_ms"):
            continue
        column, place = table.column(name), pointer_to(name)
        values = _kept(category_values(scalars(column)), place, checker, problems)
        data_type: DataType = "categorical" if is_categorical(column.type) else "continuous"
        if name == "prediction":
            data_type = prediction_type(values)
        problems.extend(_unusable(values, data_type, place))
        if name == "prediction":
            yield ReferenceSample("prediction", "", data_type, values)
        elif name == "latency_ms":
            yield ReferenceSample("latency", "", data_type, values)
        else:
            yield ReferenceSample("feature", name, data_type, values)
    if "prediction_probability" in names:
        yield ReferenceSample("score", "", "continuous", _scores(table, checker, problems))


def _scores(table: pa.Table, checker: Checker, problems: list[FieldError]) -> list[Scalar]:
    column = table.column("prediction_probability")
    by_row: dict[int, list[FieldError]] = {}
    given = clipped_all(probabilities(column, by_row)) if not _is_empty(column) else [None] * table.num_rows
    predicted = scalars(table.column("prediction")) if "prediction" in table.schema.names else None
    by_class = not is_number(column.type) and not _is_empty(column)
    scores = _scores_of(given, predicted, by_class, checker, problems)
    problems.extend(wrong[0] for wrong in list(by_row.values())[:1])
    return scores


def _scores_of(
    given: Sequence[float | dict[str, float] | None],
    predicted: Sequence[Scalar] | None,
    by_class: bool,
    checker: Checker,
    problems: list[FieldError],
) -> list[Scalar]:
    """The score of each row; of probabilities by class, that of the row's own prediction. Names the first wrong one."""
    place = "/prediction_probability"
    scores: list[Scalar]
    if not by_class:
        scores = cast(list[Scalar], given)
    elif predicted is None:
        problems.append(FieldError(place, SHARES_ALONE))
        return []
    else:
        scores = [
            share_of(shares, value) if isinstance(shares, dict) else shares
            for shares, value in zip(given, predicted, strict=True)
        ]
    classes: set[str] = set()
    for index, shares in enumerate(given):
        if isinstance(shares, dict):
            classes.update(shares)
        for share in shares.values() if isinstance(shares, dict) else (shares,):
            if share is not None and not 0.0 <= share <= 1.0:
                message = "Expected a probability between 0 and 1"
                problems.append(FieldError(f"{place}/{index}", message, excerpt(share)))
                return scores
    if checker.check_class_count(len(classes), problems):
        for name in classes:
            checker.check_name(pointer_to("prediction_probability", name[:80]), name, problems)
    problems.extend(_unusable(scores, "continuous", place))
    return scores


def _is_empty(column: pa.ChunkedArray) -> bool:
    return bool(column.null_count == len(column))


def _check_rows(body: ReferenceBody, problems: list[FieldError]) -> None:
    """Notes the lists that are not as long as the features beside which they stand."""
    features = {pointer_to("features", name[:80]): values for name, values in (body.features or {}).items()}
    beside = {f"/{name}": values for name in BESIDE_FEATURES if (values := getattr(body, name)) is not None}
    if not beside:
        return
    first, *_ = (features | beside).items()
    rows = len(first[1])
    for place, values in (features | beside).items():
        if len(values) != rows and len(problems) < MAX_PROBLEMS:
            message = f"Expected {rows} values, one for each row of {first[0]}, got {len(values)}"
            problems.append(FieldError(place, message))
    if body.ground_truth is not None and body.prediction is None:
        problems.append(FieldError("/ground_truth", TRUTH_ALONE))


def _take_out_of_features(body: ReferenceBody, problems: list[FieldError]) -> None:
    """Puts the lists of the map that are no features where they belong, as in a frame."""
    if body.features is None:
        return
    for name, field in BESIDE_FIELDS.items():
        values = body.features.pop(name, None)
        if values is None:
            continue
        place = pointer_to("features", name)
        if body.data_types is not None:
            body.data_types.pop(name, None)
        if getattr(body, name) is not None:
            problems.append(FieldError(place, f"Given twice: {name} is already given beside the features"))
            continue
        try:
            setattr(body, name, msgspec.convert(values, field))
        except msgspec.ValidationError as error:
            message = str(error).replace(" - at `$[...]`", "")
            problems.append(FieldError(place, f"This is no feature, but the {name} of each row. {message}"))


def _samples_beside(body: ReferenceBody, checker: Checker, problems: list[FieldError]) -> Iterable[ReferenceSample]:
    """The samples of the prediction and its score."""
    predictions, given = body.prediction, body.prediction_probability
    if predictions is not None:
        kept = _kept(category_values(predictions), "/prediction", checker, problems)
        data_type = prediction_type(kept)
        problems.extend(_unusable(kept, data_type, "/prediction"))
        yield ReferenceSample("prediction", "", data_type, kept)
    if given is not None and (predictions is None or len(predictions) == len(given)):
        by_class = any(isinstance(shares, dict) for shares in given)
        yield ReferenceSample("score", "", "continuous", _scores_of(given, predictions, by_class, checker, problems))
    if body.latency_ms is not None:
        latencies = cast(list[Scalar], body.latency_ms)
        problems.extend(_unusable(latencies, "continuous", "/latency_ms"))
        yield ReferenceSample("latency", "", "continuous", latencies)


def _check_model(name: str, version: str | None, checker: Checker, problems: list[FieldError]) -> None:
    checker.check_address("/model_name", name, problems)
    if version is not None:
        checker.check_address("/model_version", version, problems)


def _is_one_form(body: ReferenceBody, problems: list[FieldError]) -> bool:
    """True when the body has exactly one of its two forms, complete; otherwise notes what is wrong."""
    before = len(problems)
    one = [name for name in ("feature_name", "values", "data_type") if getattr(body, name) is not None]
    if body.features is None:
        if body.data_types is not None:
            problems.append(FieldError("/data_types", "Goes with features; with feature_name use data_type"))
        message = "Required, unless there is a map of features"
        problems.extend(FieldError(f"/{name}", message) for name in ("feature_name", "values") if name not in one)
        beside = [name for name in BESIDE_FEATURES if getattr(body, name) is not None]
        problems.extend(FieldError(f"/{name}", "Goes with features, a value for each row") for name in beside)
    elif one:
        message = "Give either feature_name and values, or features"
        problems.extend(FieldError(f"/{name}", message) for name in one)
    elif not body.features and not any(getattr(body, name) is not None for name in SAMPLED):
        problems.append(FieldError("/features", "Expected at least one feature"))
    return len(problems) == before


def _kept(values: list[Scalar], place: str, checker: Checker, problems: list[FieldError]) -> list[Scalar]:
    """The values as they are kept: integers beyond 64 bits as floats. Texts that can't be kept are noted."""
    for index, value in enumerate(values):
        if type(value) is not float and value is not None:
            values[index] = checker.scalar(value, f"{place}/{index}", True, problems)
            if len(problems) >= MAX_PROBLEMS:
                break
    return values


def _unusable(values: Sequence[Scalar], data_type: DataType, place: str) -> list[FieldError]:
    if not values:
        return [FieldError(place, "Expected at least one value")]
    if all(value is None for value in values):
        return [FieldError(place, "Expected at least one value that is not null")]
    if data_type == "continuous":
        if not any(is_finite_number(value) for value in values):
            return [FieldError(place, "Expected at least one finite number, because the feature is continuous")]
        wrong = [value for value in values if not _is_missing(value) and not is_finite_number(value)]
        if 2 * len(wrong) > sum(not _is_missing(value) for value in values):
            message = (
                f"Expected mostly finite numbers, because the feature is continuous; {len(wrong):,} values are not"
            )
            return [FieldError(place, message, excerpt(wrong[0]))]
    elif not any(isinstance(value, str | bool) or is_finite_number(value) for value in values):
        return [FieldError(place, "Expected at least one value that is finite")]
    return []


def _is_missing(value: Scalar) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
