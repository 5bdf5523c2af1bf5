"""Frames of pandas, polars and pyarrow, or mappings from name to values, without importing any of them."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping
from typing import Any, Dict, Iterator, List, Sequence

from modelwatch_client.rows import Prediction, new_id
from modelwatch_client.values import Unsendable, scalar, utc_text

ARROW = "application/vnd.apache.arrow.stream"
Columns = Dict[str, List[Any]]


def columns_of(frame: Any) -> Columns:
    """The values of each column, as Python's own where the frame can say so. A pandas index is no column.

    Raises TypeError for what is no frame, ValueError for columns of unequal length.
    """
    if isinstance(frame, Mapping):
        found = {str(name): list(values) for name, values in frame.items()}
    elif hasattr(frame, "column_names") and hasattr(frame, "to_pydict"):  # pyarrow
        found = {str(name): values for name, values in frame.to_pydict().items()}
    elif hasattr(frame, "get_columns"):  # polars
        found = {str(each.name): each.to_list() for each in frame.get_columns()}
    elif hasattr(frame, "columns") and hasattr(frame, "items"):  # pandas
        found = {str(name): values.tolist() for name, values in frame.items()}
    else:
        raise TypeError(
            f"a {type(frame).__name__} is no frame: expected one of pandas, polars or pyarrow, or a mapping"
        )
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of unequal length: {lengths}")
    return found


def rows_of(frame: Any, named: Sequence[str], features: Sequence[str] | None) -> Iterator[Prediction]:
    """The predictions of a frame's rows.

    named: the columns of ids, times, predictions, probabilities, latencies and outcomes, in this order; all but the
    prediction may be missing. features: the columns of features, else all others. Raises ValueError, naming the column.
    """
    columns = columns_of(frame)
    if named[2] not in columns:
        raise ValueError(f"the frame has no column {named[2]!r}: name the column of predictions with prediction=")
    wanted = [name for name in columns if name not in named] if features is None else list(features)
    absent = [name for name in wanted if name not in columns]
    if absent:
        raise ValueError(f"the frame has no column {absent[0]!r}")
    count = len(columns[named[2]])
    nothing: List[Any] = [None] * count
    ids, times, predictions, scores, latencies, outcomes = (columns.get(name, nothing) for name in named)
    values = list(zip(*(columns[name] for name in wanted))) if wanted else [()] * count
    now = time.time_ns() // 1000
    for place in range(count):
        identity, at = ids[place], times[place]
        yield Prediction(
            new_id() if identity is None else str(identity),
            now if _is_missing(at) else at,
            dict(zip(wanted, values[place])),
            predictions[place],
            None if _is_missing(scores[place]) else scores[place],
            None if _is_missing(latencies[place]) else latencies[place],
            None if _is_missing(outcomes[place]) else outcomes[place],
            None,
        )


def reference_body(
    frame: Any, columns: Mapping[str, str], features: Sequence[str] | None, named: Mapping[str, str | None]
) -> Dict[str, Any]:
    """A reference as a request: an Arrow stream where pyarrow is there, else JSON. Returns httpx's options.

    columns: by the service's name of a column that is no feature, its name in the frame. named: the model's name and
    the like. Raises TypeError, ValueError.
    """
    if importlib.util.find_spec("pyarrow") is not None and not isinstance(frame, Mapping):
        return {
            "content": _arrow_stream(frame, columns, features),
            "headers": {"Content-Type": ARROW},
            "params": dict(named),
        }
    found = columns_of(frame)
    body: Dict[str, Any] = {name: text for name, text in named.items() if text is not None}
    for name, given in columns.items():
        if given in found:
            convert = utc_text if name == "timestamp" else _value
            body[name] = [convert(value) for value in found[given]]
    wanted = [name for name in found if name not in columns.values()] if features is None else list(features)
    body["features"] = {name: [_value(value) for value in found[name]] for name in wanted}
    return {"json": body}


def _arrow_stream(frame: Any, columns: Mapping[str, str], features: Sequence[str] | None) -> bytes:
    import pyarrow  # type: ignore[import-untyped, unused-ignore]

    if hasattr(frame, "to_arrow"):
        table = frame.to_arrow()
    elif hasattr(frame, "column_names"):
        table = frame
    else:
        table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    own = {given: name for name, given in columns.items()}
    if features is not None:
        table = table.select([*features, *(name for name in own if name in table.column_names)])
    table = table.rename_columns([own.get(name, name) for name in table.column_names])
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema.remove_metadata()) as writer:
        writer.write_table(table.replace_schema_metadata(None))
    return bytes(sink.getvalue())


def _value(value: Any) -> Any:
    try:
        return scalar(value)
    except Unsendable:
        return None


def _is_missing(value: Any) -> bool:
    return value is None or value != value or type(value).__name__ in ("NAType", "NaTType")
