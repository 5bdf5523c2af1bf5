"""Renaming and leaving out columns."""

from __future__ import annotations

import pyarrow as pa
import pytest

from modelwatch.cli.base import CliError
from modelwatch.cli.columns import ColumnMap


def test_columns_are_renamed_and_left_out() -> None:
    columns = ColumnMap.parse(["proba=prediction_probability", "note=", "a=b=c"])
    batch = pa.record_batch({"proba": [0.5], "note": ["x"], "other": [1], "a=b": [2]})
    assert columns.apply(batch).to_pydict() == {"prediction_probability": [0.5], "other": [1], "c": [2]}


@pytest.mark.parametrize("pairs", [["proba"], ["=x"], ["a=b", "a=c"]])
def test_what_is_no_renaming_is_refused(pairs: list[str]) -> None:
    with pytest.raises(CliError, match="--column-map"):
        ColumnMap.parse(pairs)


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(CliError, match=r"no column 'prob'.*proba"):
        ColumnMap.parse(["prob=x"]).check(["proba"])


def test_two_columns_may_not_get_the_same_name() -> None:
    with pytest.raises(CliError, match="'b'"):
        ColumnMap.parse(["a=b"]).check(["a", "b"])
