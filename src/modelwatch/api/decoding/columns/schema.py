"""The columns of a table: their names and types, and which of them are features."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from modelwatch.api.decoding.values import Limits, pointer_to, text_problem
from modelwatch.errors import FieldError, InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa

KNOWN_COLUMNS = (
    "model_name",
    "model_version",
    "environment",
    "prediction_id",
    "timestamp",
    "prediction",
    "prediction_probability",
    "latency_ms",
    "ground_truth",
)
PANDAS_INDEX = "__index_level_"


def check_schema(schema: pa.Schema, limits: Limits, required: Iterable[str]) -> None:
    """Raises InvalidInput that names the columns with a wrong name or type, and the required ones that are missing."""
    _check_names(schema, limits)
    _check_types(schema, required)


def _check_names(schema: pa.Schema, limits: Limits) -> None:
    if len(schema) > limits.max_features + len(KNOWN_COLUMNS):
        message = f"Expected at most {limits.max_features} features, which is MAX_FEATURES, got {len(schema)} columns"
        raise InvalidInput("The table has too many columns.", (FieldError("", message),))
    problems: list[FieldError] = []
    seen: set[str] = set()
    for name in schema.names:
        pointer = pointer_to(name[: limits.max_name_length])
        if wrong := text_problem(name, limits.max_name_length):
            problems.append(FieldError(pointer, f"The name of a column: {wrong}", name[:80]))
        elif name in seen:
            problems.append(FieldError(pointer, "Duplicate column name"))
        elif name == "features":
            problems.append(FieldError(pointer, "Expected a column for each feature, not one that holds them all"))
        elif name.startswith(PANDAS_INDEX):
            message = "This is the index of a pandas frame; write the frame with preserve_index=False or index=False"
            problems.append(FieldError(pointer, message))
        seen.add(name)
    if problems:
        raise InvalidInput("The table has columns that are not valid.", tuple(problems))


def _check_types(schema: pa.Schema, required: Iterable[str]) -> None:
    problems = [
        FieldError(pointer_to(field.name), f"Expected {EXPECTED.get(field.name, FEATURE)}, got {field.type}"[:300])
        for field in schema
        if not _FITS.get(field.name, is_scalar)(field.type)
    ]
    names = set(schema.names)
    problems += [FieldError(pointer_to(name), "Column not found") for name in required if name not in names]
    if problems:
        raise InvalidInput("The table has columns that are not valid.", tuple(problems))


def is_text(kind: Any) -> bool:
    """True when a column type holds text, other than as a dictionary."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_dictionary(kind: Any) -> bool:
    """True when a column type is dictionary-encoded."""
    import pyarrow as pa

    return bool(pa.types.is_dictionary(kind))


def is_number(kind: Any) -> bool:
    """True when a column type holds numbers."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_scalar(kind: Any) -> bool:
    """True when a column type holds what a feature may be: numbers, booleans, text, or nothing but nulls."""
    import pyarrow as pa

    if is_dictionary(kind):
        kind = kind.value_type
    return is_number(kind) or is_text(kind) or bool(pa.types.is_boolean(kind) or pa.types.is_null(kind))


def is_categorical(kind: Any) -> bool:
    """True when the values of a column are categories by their type: text, booleans, dictionaries."""
    import pyarrow as pa

    return is_text(kind) or is_dictionary(kind) or bool(pa.types.is_boolean(kind))


def _is_time(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_timestamp(kind)) or _is_name(kind)


def _is_name(kind: Any) -> bool:
    import pyarrow as pa

    return is_text(kind.value_type if is_dictionary(kind) else kind) or bool(pa.types.is_null(kind))


def _is_id(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind)) or _is_name(kind)


def _is_measure(kind: Any) -> bool:
    import pyarrow as pa

    return is_number(kind) or bool(pa.types.is_null(kind))


def _is_probability(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return all(_is_measure(kind.field(index).type) for index in range(kind.num_fields))
    if pa.types.is_map(kind):
        return is_text(kind.key_type) and is_number(kind.item_type)
    return _is_measure(kind)


_FITS: dict[str, Callable[[Any], bool]] = {
    "model_name": _is_name,
    "model_version": _is_name,
    "environment": _is_name,
    "prediction_id": _is_id,
    "timestamp": _is_time,
    "prediction_probability": _is_probability,
    "latency_ms": _is_measure,
}
FEATURE = "numbers, booleans or text"
EXPECTED = {
    "model_name": "text",
    "model_version": "text",
    "environment": "text",
    "prediction_id": "text or integers",
    "timestamp": "times, or text as RFC 3339 writes times",
    "prediction_probability": "numbers, or a struct or map of numbers by class",
    "latency_ms": "numbers",
}
