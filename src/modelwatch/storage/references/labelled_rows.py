"""Rows of a labelled reference, as they are kept for another layout of their outcomes."""

from __future__ import annotations

import zlib

import msgspec

from modelwatch.errors import DamagedData
from modelwatch.events import Scalar
from modelwatch.stats.outcomes.tasks import Task

# Of more rows than fit, the counts alone are kept.
MAX_BYTES = 8 * 1024 * 1024
FORMAT = 1


class LabelledRows(msgspec.Struct, frozen=True):
    """The rows of a labelled reference that have a prediction and a truth, and what was said about them.

    task, positive_class: as they were said with the reference. predictions, probabilities, truths: by row; empty where
    they were too many to be kept. unlabelled: other values that were predicted. segments: by the id of a segment
    feature's definition, how many segments it has and the number of each row's. times: of each row in seconds, None
    where it has none; empty when no row has one.
    """

    task: Task | None = None
    positive_class: Scalar = None
    predictions: list[Scalar] = []
    probabilities: list[float | dict[str, float] | None] = []
    truths: list[Scalar] = []
    unlabelled: list[Scalar] = []
    segments: dict[str, tuple[int, list[int]]] = {}
    format: int = FORMAT
    times: list[int | None] = []

    def encode(self) -> bytes:
        """Bytes that `decode_labelled_rows` reads; without the rows where these take too many."""
        document = zlib.compress(_encode(self), 6)
        if len(document) <= MAX_BYTES:
            return document
        return zlib.compress(_encode(LabelledRows(self.task, self.positive_class)), 6)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(LabelledRows).decode


def decode_labelled_rows(reference: str, raw: bytes) -> LabelledRows:
    """Rows of the bytes that `encode` made. reference: its id. Raises DamagedData for anything else."""
    try:
        return _decode(zlib.decompress(raw))
    except (zlib.error, ValueError) as error:
        raise DamagedData(f"The rows of the labelled reference {reference} can't be read: {error}.") from error
