"""Decoder from bodies to events: one object, made at start, that every request goes through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from modelwatch.api.decoding.checks import Checker, may_hold_nul
from modelwatch.api.decoding.columns.batches import decode_labels, decode_table
from modelwatch.api.decoding.explain import DECODING_ERRORS, check_readable, explained
from modelwatch.api.decoding.fields import check_defaults
from modelwatch.api.decoding.json_batches.columnar import JsonColumns
from modelwatch.api.decoding.json_batches.row_by_row import (
    GROUND_TRUTHS,
    PREDICTIONS,
    UNNAMED_GROUND_TRUTHS,
    UNNAMED_PREDICTIONS,
    SharedNames,
    check_is_one,
    decode_json,
    decode_lines,
    filled,
)
from modelwatch.api.decoding.references import Beside, json_frame, table_frame
from modelwatch.api.decoding.repeated_keys import check_keys, check_keys_of_lists
from modelwatch.api.decoding.values import Limits
from modelwatch.batches import DecodedBatch, DecodedLabels, PredictionBatch
from modelwatch.errors import BodyTooLarge, FieldError, InvalidInput, UnsupportedContent
from modelwatch.events import (
    EARLIEST_TIME,
    DriftCheckBody,
    GroundTruth,
    GroundTruthBody,
    Prediction,
    PredictionBody,
    ReferenceBody,
    ReferenceFrame,
)
from modelwatch.times import micros_of

JSON_TYPES = frozenset({"application/json", "text/json"})
LINES_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
ARROW_TYPES = frozenset({"application/vnd.apache.arrow.stream"})
PARQUET_TYPES = frozenset({"application/vnd.apache.parquet", "application/x-parquet"})
CSV_TYPES = frozenset({"text/csv", "application/csv"})
PARQUET_MAGIC = b"PAR1"
# A body below this can't hold so many texts that decoding them matters.
SMALL_BODY = 256 * 1024
# A map takes two bytes in JSON, but hundreds of bytes when it is decoded.
MAX_MAPS = 1_000_000

Body = TypeVar("Body")


class Decoder:
    """Decodes and validates every body that the service takes. Stateless but for its decoders: threads may share it.

    limits: how much a body may hold. clock: microseconds since 1970, UTC. new_id: gives a prediction without an id one.

    All methods raise MalformedBody when the body is not in its format, InvalidInput that names the wrong fields,
    BodyTooLarge and UnsupportedContent.
    """

    def __init__(self, limits: Limits, clock: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._limits = limits
        self._clock = clock
        self._checker = Checker(limits, new_id)
        self._columns = JsonColumns(limits, self._checker)
        self._read_prediction = msgspec.json.Decoder(PredictionBody).decode
        self._read_ground_truth = msgspec.json.Decoder(GroundTruthBody).decode
        self._read_reference = msgspec.json.Decoder(ReferenceBody).decode
        self._read_drift_check = msgspec.json.Decoder(DriftCheckBody).decode

    def prediction(self, body: bytes) -> Prediction:
        """One prediction in JSON. Raises BodyTooLarge, MalformedBody, or InvalidInput that names every wrong field."""
        if len(body) > SMALL_BODY:
            self._check_texts(body)
        try:
            typed = self._read_prediction(body)
        except DECODING_ERRORS as error:
            check_is_one(body, PREDICTIONS)
            raise explained(body, PredictionBody, error) from None
        check_keys(body, typed)
        return self._checker.event(typed, self._clock(), may_hold_nul(body))

    def batch(self, body: bytes, content_type: str, defaults: Mapping[str, str] | None = None) -> DecodedBatch:
        """Many predictions: a JSON array or `{"predictions": [...]}`, NDJSON, an Arrow IPC stream, Parquet, CSV.

        defaults: `model_name`, `model_version` and `environment` of the rows that name none.
        Good rows are kept and bad rows named, unless no row is good: then InvalidInput is raised.
        """
        kind, named = self._of_rows(body, content_type, defaults)
        now, max_rows = self._clock(), self._limits.max_batch_rows
        if kind in ("json", "lines"):
            decode = decode_json if kind == "json" else decode_lines
            rows = UNNAMED_PREDICTIONS if "model_name" in named else PREDICTIONS
            together = self._columns.decode(body, rows, kind == "lines", named, now)
            if together is not None:
                return together
            names = SharedNames()

            def event(row: PredictionBody, may_contain_nul: bool) -> Prediction:
                names.share(row)
                return self._checker.event(filled(row, named), now, may_contain_nul)

            found = decode(body, rows, event, max_rows)
            return DecodedBatch(PredictionBatch.of(found.events), found.rejected)
        return decode_table(body, kind, self._checker, self._limits, now, named)

    def ground_truth(self, body: bytes) -> GroundTruth:
        """One label in JSON. Raises BodyTooLarge, MalformedBody, or InvalidInput that names every wrong field."""
        self._check_size(body)
        try:
            typed = self._read_ground_truth(body)
        except DECODING_ERRORS as error:
            check_is_one(body, GROUND_TRUTHS)
            raise explained(body, GroundTruthBody, error) from None
        check_keys(body)
        return self._checker.label(typed, self._clock(), may_hold_nul(body))

    def ground_truths(self, body: bytes, content_type: str, defaults: Mapping[str, str] | None = None) -> DecodedLabels:
        """Many labels: a JSON array or `{"ground_truths": [...]}`, NDJSON, an Arrow IPC stream, Parquet, CSV.

        defaults: `model_name` of the rows that name none. Else as `batch`.
        Raises UnsupportedContent, BodyTooLarge, MalformedBody, or InvalidInput when no row is valid.
        """
        kind, named = self._of_rows(body, content_type, defaults)
        now, max_rows = self._clock(), self._limits.max_batch_rows
        if kind in ("json", "lines"):
            decode = decode_json if kind == "json" else decode_lines
            rows = UNNAMED_GROUND_TRUTHS if "model_name" in named else GROUND_TRUTHS
            found = decode(
                body,
                rows,
                lambda row, may_contain_nul: self._checker.label(filled(row, named), now, may_contain_nul),
                max_rows,
            )
            return DecodedLabels(found.events, found.rejected)
        return decode_labels(body, kind, self._checker, self._limits, now, named)

    def reference(
        self,
        body: bytes,
        content_type: str,
        model_name: str | None,
        model_version: str | None,
        task: str | None = None,
        positive_class: str | None = None,
    ) -> ReferenceFrame:
        """The reference samples of a model: JSON, or a labelled frame in Arrow or Parquet with its model beside it.

        Query parameters apply where a JSON body has no such field. Raises UnsupportedContent, BodyTooLarge,
        MalformedBody, or InvalidInput that names every wrong field.
        """
        beside = Beside(model_name, model_version, task, positive_class)
        self._check_size(body)
        kind = media_type(content_type, body)
        if kind == "lines":
            raise UnsupportedContent("A reference is sent as JSON, an Arrow stream or Parquet, not as lines of JSON.")
        if kind == "json":
            if body.count(b"{") > MAX_MAPS:
                raise BodyTooLarge(f"The reference has more than {MAX_MAPS} maps of classes; send an Arrow stream.")
            typed = _decoded(body, ReferenceBody, self._read_reference)
            check_keys_of_lists(body)
            return json_frame(typed, self._checker, self._limits, self._clock(), beside)
        return table_frame(body, kind, self._checker, self._limits, self._clock(), beside)

    def drift_check(self, body: bytes) -> DriftCheckBody:
        """The query of a drift check. Look-back, compat, and the order of start and end are left to the route.

        Raises BodyTooLarge, MalformedBody, or InvalidInput that names every wrong field.
        """
        self._check_size(body)
        typed = _decoded(body, DriftCheckBody, self._read_drift_check)
        check_keys(body)
        problems: list[FieldError] = []
        for name in ("model_name", "model_version", "environment"):
            text = getattr(typed, name)
            if text is not None:
                self._checker.check_name(f"/{name}", text, problems)
        if self._checker.check_feature_count(len(typed.features or ()), problems):
            for index, feature in enumerate(typed.features or ()):
                self._checker.check_name(f"/features/{index}", feature, problems)
        for name in ("start", "end"):
            moment = getattr(typed, name)
            if moment is not None and micros_of(moment) < EARLIEST_TIME:
                problems.append(FieldError(f"/{name}", "Expected a time from 1900 on", moment.isoformat()))
        if problems:
            raise InvalidInput("The drift check has fields that are not valid.", tuple(problems))
        return typed

    def _of_rows(
        self, body: bytes, content_type: str, defaults: Mapping[str, str] | None
    ) -> tuple[str, Mapping[str, str]]:
        """The format of a body of rows, and the names that these leave to the request, all of which are valid."""
        self._check_size(body)
        kind, named = media_type(content_type, body), defaults or {}
        check_defaults(named, self._limits)
        return kind, named

    def _check_size(self, body: bytes) -> None:
        if len(body) > self._limits.max_body_bytes:
            raise BodyTooLarge(f"The body has {len(body)} bytes; MAX_BODY_BYTES is {self._limits.max_body_bytes}.")

    def _check_texts(self, body: bytes) -> None:
        """Refuses a prediction that has many times the texts that its limits allow, before they are decoded."""
        self._check_size(body)
        quotes = body.count(b'"') - body.count(b'\\"')
        # A feature has at most five texts, a class of the probabilities one; the rest of the fields are far fewer.
        if quotes > 2 * 6 * self._limits.max_features + 256:
            check_readable(body)
            raise BodyTooLarge(
                f"The prediction has more than {self._limits.max_features} features, which is MAX_FEATURES."
            )


def media_type(content_type: str, body: bytes) -> str:
    """The format of a body: "json", "lines", "arrow", "parquet" or "csv". Raises UnsupportedContent for another."""
    name = content_type.partition(";")[0].strip().lower()
    if name in JSON_TYPES or (name.startswith("application/") and name.endswith("+json")):
        return "json"
    if name in LINES_TYPES:
        return "lines"
    if name in ARROW_TYPES:
        return "arrow"
    if name in PARQUET_TYPES or (name == "application/octet-stream" and body.startswith(PARQUET_MAGIC)):
        return "parquet"
    if name in CSV_TYPES:
        return "csv"
    raise UnsupportedContent(
        f"Content-Type {name[:80]!r} is not supported; send application/json, application/x-ndjson, text/csv,"
        " application/vnd.apache.arrow.stream or application/vnd.apache.parquet."
    )


def _decoded(body: bytes, kind: type[Body], read: Callable[[bytes], Body]) -> Body:
    try:
        return read(body)
    except DECODING_ERRORS as error:
        raise explained(body, kind, error) from None
