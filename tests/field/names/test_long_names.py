"""Names in scripts that take three or four bytes for a character: what an index has no room for is refused at once."""

from __future__ import annotations

import random

import msgspec
import pytest

from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.decoding.values import Limits
from modelwatch.errors import InvalidInput
from modelwatch.storage.engine.store import Store
from tests.support.events import NOON, open_ledger, stored_and_counted

pytestmark = pytest.mark.both_engines

decoder = Decoder(Limits(), lambda: NOON, lambda: "made-here")


def written(first: int, count: int, characters: int = 512) -> str:
    """Characters of a block of Unicode, in an order that no compression makes shorter."""
    rng = random.Random(characters)
    return "".join(chr(first + rng.randrange(count)) for _ in range(characters))


LATIN, CHINESE, EMOJI = written(0x61, 26), written(0x4E00, 20_000), written(0x1F300, 256)


def body(**names: str) -> bytes:
    return msgspec.json.encode({"model_name": "m", "features": {"x": 1.0}, "prediction": "yes"} | names)


def test_names_of_the_full_length_in_latin_letters_are_stored(store: Store) -> None:
    names = {"model_name": LATIN, "model_version": LATIN[::-1], "environment": LATIN[1:], "prediction_id": LATIN[2:]}
    event = decoder.prediction(body(**names))
    assert open_ledger(store).commit([event]).accepted == [True]
    assert stored_and_counted(store, LATIN, LATIN[1:]) == (1, 1)


@pytest.mark.parametrize(
    "names",
    [
        {"model_name": CHINESE},
        {"model_version": CHINESE},
        {"prediction_id": EMOJI},
        {"model_name": CHINESE[:170], "prediction_id": EMOJI},
    ],
)
def test_one_long_name_in_another_script_is_stored(store: Store, names: dict[str, str]) -> None:
    assert open_ledger(store).commit([decoder.prediction(body(**names))]).accepted == [True]


@pytest.mark.parametrize(
    ("names", "pointer"),
    [
        ({"model_version": CHINESE, "environment": CHINESE}, "/model_name"),
        ({"model_name": EMOJI}, "/model_name"),
        ({"model_name": CHINESE[:400], "prediction_id": EMOJI}, "/prediction_id"),
    ],
)
def test_names_that_are_too_long_together_are_refused_at_once(names: dict[str, str], pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decoder.prediction(body(**names))
    [error] = caught.value.errors
    assert error.pointer == pointer
    assert "bytes of UTF-8 in model_name" in error.message


def test_a_label_whose_names_are_too_long_together_is_refused_at_once() -> None:
    with pytest.raises(InvalidInput, match="not valid") as caught:
        decoder.ground_truth(
            msgspec.json.encode({"model_name": CHINESE[:400], "prediction_id": EMOJI, "ground_truth": "yes"})
        )
    assert [error.pointer for error in caught.value.errors] == ["/prediction_id"]
