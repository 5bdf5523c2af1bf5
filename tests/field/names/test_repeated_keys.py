"""Objects that name a key twice are refused, as a CSV file is that names a column twice: one of the two is wrong."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from modelwatch.api.decoding.actions import ActionBody, ActorBody, FromWindowBody, SilenceBody, decode_action
from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.decoding.values import Limits
from modelwatch.errors import InvalidInput
from tests.support.events import NOON

JSON = "application/json"
ROW = b'{"model_name":"m","prediction_id":"%s","features":{"x":1.0},"prediction":"yes"%s}'
decoder = Decoder(Limits(), lambda: NOON, lambda: "made-here")


def row(identity: bytes = b"a", more: bytes = b"") -> bytes:
    return ROW % (identity, more)


def problems(decode: Callable[[], object]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        decode()
    return [(error.pointer, error.message) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (row(more=b',"prediction":"no"'), "/prediction"),
        (row(more=b', "model_name" : "other"'), "/model_name"),
        (b'{"model_name":"m","features":{"x":1,"y":2,"x":3},"prediction":1}', "/features/x"),
        (b'{"model_name":"m","features":{"a/b":1,\n"a/b"\n:\n3},"prediction":1}', "/features/a~1b"),
        (b'{"model_name":"m","features":{"x":1,"\\u0078":3},"prediction":1}', "/features/x"),
        (b'{"model_name":"m","features":[{"name":"x","value":1,"value":2}],"prediction":1}', "/features/0/value"),
        (
            b'{"model_name":"m","features":{},"prediction":1,"prediction_probability":{"a":0.1,"a":0.9}}',
            "/prediction_probability/a",
        ),
    ],
)
def test_a_prediction_with_a_key_twice_is_refused_and_the_key_named(body: bytes, pointer: str) -> None:
    assert problems(lambda: decoder.prediction(body)) == [(pointer, "Duplicate key")]


@pytest.mark.parametrize("text", [r"a\":b", r"\" :", r"\\", r"\\\":", r"{\"x\":1,\"x\":1}", r"\u0022:", "a:b", ": :"])
def test_texts_that_look_like_keys_are_none(text: str) -> None:
    body = f'{{"model_name":"m","features":{{"{text}":"{text}","y":"{text}"}},"prediction":"{text}"}}'
    assert len(decoder.prediction(body.encode()).features) == 2
    assert len(decoder.prediction(body.replace('":', '" :').replace('\\" :', '\\":').encode()).features) == 2


@pytest.mark.parametrize("form", ["array", "wrapped", "lines"])
def test_of_a_batch_only_the_row_with_a_key_twice_is_refused(form: str) -> None:
    rows = [row(b"a"), row(b"b", b',"features":{}'), row(b"c")]
    if form == "lines":
        found = decoder.batch(b"\n".join(rows), "application/x-ndjson")
    else:
        array = b"[" + b",".join(rows) + b"]"
        found = decoder.batch(array if form == "array" else b'{"predictions":' + array + b"}", JSON)
    assert [event.prediction_id for event in found.events] == ["a", "c"]
    assert [(each.index, each.pointer, each.message) for each in found.rejected] == [(1, "/features", "Duplicate key")]


def test_a_batch_that_is_there_twice_is_refused() -> None:
    body = b'{"predictions":[' + row(b"a") + b'],"predictions":[' + row(b"b") + b"]}"
    assert problems(lambda: decoder.batch(body, JSON)) == [("/predictions", "Duplicate key")]


def test_labels_references_and_checks_with_a_key_twice_are_refused() -> None:
    label = b'{"model_name":"m","prediction_id":"a","ground_truth":1,"ground_truth":0}'
    assert problems(lambda: decoder.ground_truth(label)) == [("/ground_truth", "Duplicate key")]
    found = decoder.ground_truths(b"[" + label + b"," + label.replace(b',"ground_truth":0', b"") + b"]", JSON)
    assert (len(found.labels), [each.index for each in found.rejected]) == (1, [0])
    for body, pointer in (
        (b'{"model_name":"m","features":{"x":[1,2],"x":[3,4]}}', "/features/x"),
        (b'{"model_name":"m","features":{"x":[1,2]},"features":{"y":["a"]}}', "/features"),
        (b'{"model_name":"m","feature_name":"x","values":[1],"values" : [2]}', "/values"),
    ):
        assert problems(lambda body=body: decoder.reference(body, JSON, None, None)) == [  # type: ignore[misc]
            (pointer, "Duplicate key")
        ]
    assert problems(lambda: decoder.drift_check(b'{"model_name":"m","model_name":"n"}')) == [
        ("/model_name", "Duplicate key")
    ]


def test_a_row_that_leaves_its_model_to_the_request_is_looked_at_too() -> None:
    body = b'[{"features":{},"prediction":1,"prediction":2},{"features":{},"prediction":1}]'
    found = decoder.batch(body, JSON, {"model_name": "m"})
    assert [(each.index, each.pointer) for each in found.rejected] == [(0, "/prediction")]


def test_explicit_nulls_and_lists_of_features_are_no_repetitions() -> None:
    body = (
        b'{"model_name":"m","model_version":null,"latency_ms":null,"prediction":1,'
        b'"features":[{"name":"x","value":null},{"name":"y","value":2,"data_type":null}]}'
    )
    assert decoder.prediction(body).features == {"x": None, "y": 2}


@pytest.mark.parametrize(
    ("body", "kind", "pointer"),
    [
        (b'{"matchers":[],"comment":"c","duration":"8h","duration":"1h"}', SilenceBody, "/duration"),
        (
            b'{"comment":"c","matchers":[{"name":"model","value":"a","value":"b"}],"duration":"8h"}',
            SilenceBody,
            "/matchers/0/value",
        ),
        (b'{"lookback":"1d","lookback":"2d"}', FromWindowBody, "/lookback"),
        (b'{"note":"one","note":"two"}', ActionBody, "/note"),
        (b'{"actor":"one","actor":"two"}', ActorBody, "/actor"),
    ],
)
def test_what_is_done_to_alerts_and_references_is_said_once(
    body: bytes, kind: type[msgspec.Struct], pointer: str
) -> None:
    assert problems(lambda: decode_action(body, kind)) == [(pointer, "Duplicate key")]
