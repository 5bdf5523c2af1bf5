"""Batches in JSON that become columns together; only unusual rows become events one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from modelwatch.api.decoding.checks import Checker, may_hold_nul
from modelwatch.api.decoding.explain import DECODING_ERRORS
from modelwatch.api.decoding.fields import (
    STREAM_DEFAULTS,
    Collector,
    Fields,
    Stream,
    given_ids,
    given_times,
    unusual_rows,
)
from modelwatch.api.decoding.json_batches.row_by_row import RowFormat, filled, has_large_rows, too_many_rows
from modelwatch.api.decoding.json_batches.rows import JsonRows, read_rows
from modelwatch.api.decoding.values import Limits, text_problem
from modelwatch.batches import DecodedBatch, FeatureBlock, joined
from modelwatch.errors import InvalidInput
from modelwatch.events import DataType, Prediction, PredictionBody, Scalar
from modelwatch.stats.counting.binning import category_name
from modelwatch.stats.counting.columns import Column, MixedColumn, TextColumn, column_of
from modelwatch.times import micros_of

# Fewer rows than this, in a body below so many bytes, are faster one by one.
FEW_ROWS, FEW_BYTES = 8, 16 * 1024


class _OrderMatters(Exception):
    """A row has several problems, of which the first names it."""


class JsonColumns:
    """Makes one batch of many decoded rows."""

    def __init__(self, limits: Limits, checker: Checker) -> None:
        self._limits = limits
        self._checker = checker

    def decode(
        self, body: bytes, rows: RowFormat[PredictionBody], in_lines: bool, defaults: Mapping[str, str], now: int
    ) -> DecodedBatch | None:
        """The batch of a body, and its bad rows by name; None when the rows are to be decoded one by one: for they are
        few or large, one is not of the format, an object may have a key twice, or a text U+0000.

        defaults: of the streams. Raises BodyTooLarge for too many rows, InvalidInput when none is valid.
        now: microseconds.
        """
        if may_hold_nul(body) or (len(body) < FEW_BYTES and body.count(b'"features"') < FEW_ROWS):
            return None
        try:
            if not in_lines and has_large_rows(body, rows):
                return None
        except DECODING_ERRORS:
            return None
        unnamed = "model_name" in defaults
        found = read_rows(body, in_lines, unnamed)
        if found is None:
            return None
        if len(found) > self._limits.max_batch_rows:
            raise too_many_rows(self._limits.max_batch_rows)
        try:
            return self._batch(found, defaults, now)
        except _OrderMatters:
            in_order = read_rows(body, in_lines, unnamed, keep_order=True)
            return None if in_order is None else self._batch(in_order, defaults, now)

    def _batch(self, rows: JsonRows, defaults: Mapping[str, str], now: int) -> DecodedBatch:
        fields = self._fields_of(rows, defaults, now)
        unusual = unusual_rows(fields, self._checker, now, False)
        blocks: list[FeatureBlock] = []
        block_of, row_of = np.zeros(len(rows), dtype=np.intp), np.zeros(len(rows), dtype=np.intp)
        for group in rows.groups:
            if self._are_wrong(group.names):
                unusual.update(group.rows)
                continue
            block_of[group.rows], row_of[group.rows] = len(blocks), np.arange(len(group.rows))
            block = {}
            for place, name in enumerate(group.names):
                types = None if group.types is None else group.types[place]
                block[name], odd = self._column(group.values[place], types)
                unusual.update(group.rows[value] for value in odd)
            blocks.append(block)
        collector: Collector[Prediction] = Collector()
        closer, looked_at = [], sorted(unusual)
        for row in looked_at:
            try:
                collector.take(self._checker.event(filled(rows.body(row), defaults), now, False))
                closer.append(row)
            except InvalidInput as error:
                if len(error.errors) > 1 and not rows.keeps_order:
                    raise _OrderMatters from error
                collector.reject(row, error)
        usual = np.setdiff1d(np.arange(len(rows)), looked_at)
        found = collector.batch(len(usual))
        batch = fields.batch(blocks, block_of, row_of, usual)
        if closer:
            batch = joined([batch, found.events]).take(np.argsort(np.concatenate([usual, closer])))
        return DecodedBatch(batch, found.rejected)

    def _fields_of(self, rows: JsonRows, defaults: Mapping[str, str], now: int) -> Fields:
        known = {**STREAM_DEFAULTS, **defaults}
        streams: dict[Stream, int] = {}
        places: dict[tuple[str | None, ...], int] = {}
        named = list(zip(rows.models, rows.versions, rows.environments, strict=True))
        for names in dict.fromkeys(named):
            given = zip(names, known.values(), strict=True)
            stream = Stream._make(default if name is None else name for name, default in given)
            places[names] = streams.setdefault(stream, len(streams))
        ids = given_ids(rows.ids, self._checker)
        moments = [None if moment is None else micros_of(moment) for moment in rows.moments]
        return Fields(
            list(streams),
            [places[names] for names in named],
            ids,
            given_times(moments, ids, self._checker, now),
            rows.predictions,
            rows.probabilities,
            rows.latencies,
            rows.truths,
        )

    def _are_wrong(self, names: Sequence[str]) -> bool:
        """True when rows with features of these names need a closer look."""
        longest = self._limits.max_name_length
        return (
            len(names) > self._limits.max_features
            or len(set(names)) < len(names)
            or any(text_problem(name, longest) for name in names)
        )

    def _column(
        self, values: Sequence[Scalar], types: Sequence[DataType | None] | None
    ) -> tuple[Column, Sequence[int]]:
        """The column of a feature's values, with categories as texts; and the places that need a closer look."""
        if types is not None and "categorical" in types:
            # Of those there may be no category name.
            odd = set(self._checker.unusual_values(values, False))
            values = [
                category_name(value) if kind == "categorical" and place not in odd else value
                for place, (value, kind) in enumerate(zip(values, types, strict=True))
            ]
        column = column_of(values)
        if isinstance(column, MixedColumn):
            if bool in set(map(type, values)):
                values = [category_name(value) if type(value) is bool else value for value in values]
                column = column_of(values)
            return column, self._checker.unusual_values(values, False)
        if isinstance(column, TextColumn):
            long = self._checker.unusual_values(column.names, False)
            return column, np.flatnonzero(np.isin(column.codes, long)).tolist() if long else ()
        # Numbers in JSON are finite, and those of a column of integers fit.
        return column, ()
