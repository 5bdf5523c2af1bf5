"""The malformed requests that could cost much memory do not; all of them are sent in tests/integration."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable

import pytest

from modelwatch.api.decoding.compression import decompress
from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.decoding.values import Limits
from modelwatch.errors import BodyTooLarge, RequestError
from tests.api.bad_inputs import BAD_INPUTS, BATCH, DRIFT_CHECK, MIB, PREDICTIONS, REFERENCE, BadInput
from tests.api.decoding.clock import NOW

decoder = Decoder(Limits(), lambda: NOW, lambda: "made-here")


def decode(bad: BadInput) -> object:
    """What the service does with the body before anything else."""
    body = bad.body()
    return decode_body(bad, body)


def decode_body(bad: BadInput, body: bytes) -> object:
    limits = Limits()
    if bad.path == PREDICTIONS and bad.content_type != "application/json":
        # The route refuses it before the body is read.
        from modelwatch.api.decoding.decoder import media_type

        return media_type(bad.content_type, body)
    body = decompress(body, bad.encoding, limits.max_body_bytes)
    readers: dict[str, Callable[[], object]] = {
        PREDICTIONS: lambda: decoder.prediction(body),
        BATCH: lambda: decoder.batch(body, bad.content_type, bad.query),
        REFERENCE: lambda: decoder.reference(
            body, bad.content_type, bad.query.get("model_name"), bad.query.get("model_version")
        ),
        DRIFT_CHECK: lambda: decoder.drift_check(body),
    }
    return readers[bad.path]()


def test_the_names_of_the_table_are_distinct() -> None:
    assert [name for name, count in Counter(bad.name for bad in BAD_INPUTS).items() if count > 1] == []
    assert len(BAD_INPUTS) >= 70


LARGE = {
    "gzip bomb": 80,
    "zstd bomb": 80,
    "gzip of 20,000 empty members": 8,
    "300,000 flat features": 8,
    "a million zeros": 16,
    "10,001 broken lines": 8,
    "model_name of 10 MB": 60,
    "integer of 10 MB": 60,
    "Arrow bomb": 8,
    "Parquet bomb": 8,
    "Parquet whose page claims 2 GB": 8,
    "Parquet of 2 million rows": 8,
}


@pytest.mark.parametrize("bad", [bad for bad in BAD_INPUTS if bad.name in LARGE], ids=lambda bad: bad.name)
def test_a_bomb_takes_little_memory(bad: BadInput) -> None:
    import pyarrow as pa

    body = bad.body()
    arrow_before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        with pytest.raises(RequestError):
            decode_body(bad, body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < LARGE[bad.name] * MIB
    assert pa.total_allocated_bytes() <= arrow_before + MIB


def test_the_memory_test_names_rows_of_the_table() -> None:
    assert LARGE.keys() <= {bad.name for bad in BAD_INPUTS}


def test_a_body_beyond_the_limit_is_refused_before_it_is_read() -> None:
    small = Decoder(Limits(max_body_bytes=1024), lambda: NOW, lambda: "id")
    for read in (
        lambda: small.batch(b"[" + b" " * 1024 + b"]", "application/json"),
        lambda: small.reference(b" " * 1025, "application/json", None, None),
        lambda: small.drift_check(b" " * 1025),
    ):
        with pytest.raises(BodyTooLarge, match="MAX_BODY_BYTES is 1024"):
            read()
