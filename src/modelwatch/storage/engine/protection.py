"""Feature values on their way into rows and back, under the privacy policy of their model.

A row says by which policy it was stored, so it is read rightly under any present policy. A row without a policy holds
every feature as it came; one whose `features` are null holds none.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import msgspec
from pydantic import ValidationError

from modelwatch.config.monitors.monitor import PrivacyConfig
from modelwatch.config.monitors.values import Storing
from modelwatch.errors import ProtectionUnavailable, TamperedValue
from modelwatch.events import Prediction, Scalar
from modelwatch.privacy import KEEP_ALL, NOTHING, Hasher, Keyring, Policy, policy_from, policy_of
from modelwatch.stats.counting.binning import CategoricalBinning, Naming
from modelwatch.storage.engine.damage import decoded

Form = Literal["clear", "hash", "none"]

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode
decode_features = msgspec.json.Decoder(dict[str, Scalar]).decode
_decode_value = msgspec.json.Decoder(Scalar).decode


class Protected(msgspec.Struct, array_like=True, frozen=True):
    """The policy that a row was stored by, and the ciphertexts beside its open features."""

    policy: str
    encrypted: dict[str, bytes] = {}


_unpack = msgspec.msgpack.Decoder(Protected).decode


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """A prediction as its row tells it.

    event: its features are those that are known, hashed values as hashes. policy: None when no feature is stored.
    """

    event: Prediction
    policy: Policy | None

    def form(self, feature: str) -> Form:
        """The form in which the row has a feature's value: none when it can't be counted again."""
        return form_of(self.policy, feature)


def _privacy_config(written: str) -> PrivacyConfig:
    try:
        return PrivacyConfig.model_validate_json(written)
    except ValidationError as error:  # whose text has several lines, and quotes what it was given
        raise ValueError("it is no JSON of such rules") from error


def form_of(policy: Policy | None, feature: str) -> Form:
    """The form in which rows of a policy have a feature's value; policy None: of rows that keep no feature."""
    if policy is None:
        return "none"
    match policy.treatment(feature):
        case "drop":
            return "none"
        case "hash":
            return "hash"
        case _:
            return "clear"


class Protection:
    """The keys and policies that a process protects values with. hasher: None without a key. default_store: for models
    whose monitor does not set it."""

    def __init__(
        self, keyring: Keyring | None = None, hasher: Hasher | None = None, default_store: Storing = "predictions"
    ) -> None:
        self.keyring = keyring or Keyring()
        self._hasher = hasher
        self._default_store = default_store
        self._policies: dict[str | None, Policy] = {}
        self._hashed_twin = lru_cache(maxsize=1_000)(self._make_twin)

    @property
    def can_hash(self) -> bool:
        """True when values can be hashed here."""
        return self._hasher is not None

    def policy(self, model: str, written: str | None) -> Policy:
        """The policy of a model, by the column of its row. Raises DamagedData when it can't be read."""
        found = self._policies.get(written)
        if found is None:
            what = f"The stored privacy rules of {model!r}"
            config = None if written is None else decoded(what, _privacy_config, written)
            if len(self._policies) > 10_000:
                self._policies.clear()
            found = self._policies[written] = policy_of(config, self._default_store)
        return found

    def hash_all(self, model: str, feature: str, values: Sequence[Scalar]) -> list[Scalar]:
        """The keyed hashes of values. Raises ProtectionUnavailable without a key."""
        if self._hasher is None:
            raise ProtectionUnavailable(
                f"Values of a feature of {model!r} are hashed, but ENCRYPTION_KEY is not set in this process."
            )
        return self._hasher.hash_all(model, feature, values)

    def hashed_twin(self, binning: CategoricalBinning, model: str, feature: str) -> CategoricalBinning:
        """The binning with hashes for names: a hash counts in the cell that its value counts in."""
        return self._hashed_twin(binning, model, feature)

    def _make_twin(self, binning: CategoricalBinning, model: str, feature: str) -> CategoricalBinning:
        names = [str(name) for name in self.hash_all(model, feature, binning.categories)]
        rare = frozenset(str(name) for name in self.hash_all(model, feature, sorted(binning.rare)))
        return CategoricalBinning(
            tuple(names), rare, self._hashed_naming(binning.naming, model, feature), binning.version
        )

    def _hashed_naming(self, naming: Naming | None, model: str, feature: str) -> Naming | None:
        if naming is None:
            return None
        named = tuple(str(name) for name in self.hash_all(model, feature, naming.named))
        late = frozenset(str(name) for name in self.hash_all(model, feature, sorted(naming.late)))
        return Naming(named, late, naming.complete)

    def columns(
        self, model: str, day: int, prediction_id: str, features: Mapping[str, Scalar], policy: Policy
    ) -> tuple[bytes | None, bytes | None, str | None]:
        """The columns `features`, `protected` and `key_id` of a row with these features. day: since 1970.

        Raises ProtectionUnavailable without a needed key.
        """
        if policy.keeps_all:
            return _encode(features), None, None
        if policy == NOTHING:
            return None, _pack(Protected(policy.text)), None
        if policy.needs_key and not self.keyring:
            raise ProtectionUnavailable(
                f"The monitor of {model!r} hashes or encrypts features, but this process has no ENCRYPTION_KEY."
            )
        clear: dict[str, Scalar] = {}
        encrypted: dict[str, bytes] = {}
        for name, value in features.items():
            match policy.treatment(name):
                case "keep":
                    clear[name] = value
                case "hash":
                    [clear[name]] = self.hash_all(model, name, [value])
                case "encrypt":
                    encrypted[name] = self.seal(_encode(value), model, day, prediction_id, name)
        return _encode(clear), _pack(Protected(policy.text, encrypted)), self.keyring.writing_id if encrypted else None

    def seal(self, value: bytes, model: str, day: int, prediction_id: str, feature: str) -> bytes:
        """The ciphertext of a feature's value, as JSON, in this row. Raises ProtectionUnavailable without a key."""
        return self.keyring.encrypt(value, f"{day} {model}", model, str(day), prediction_id, feature)

    def unseal(self, sealed: bytes, model: str, day: int, prediction_id: str, feature: str) -> bytes:
        """The value of `seal`. Raises ProtectionUnavailable or TamperedValue."""
        return self.keyring.decrypt(sealed, f"{day} {model}", model, str(day), prediction_id, feature)

    def stored(
        self, event: Prediction, features: Mapping[str, Scalar] | None, protected: bytes | None
    ) -> StoredPrediction:
        """The stored prediction of a row. event: of the row, without features. features: those that it keeps, without
        the encrypted ones. Raises ProtectionUnavailable when a key is not here.

        A ciphertext that was changed or moved here counts as not stored: one bad value must not end the watch.
        """
        if features is None:
            return StoredPrediction(event, None)
        values = dict(features)
        if protected is None:
            return StoredPrediction(msgspec.structs.replace(event, features=values), KEEP_ALL)
        content = unpack(protected)
        policy = policy_from(content.policy)
        for name, sealed in content.encrypted.items():
            try:
                values[name] = _decode_value(self.unseal(sealed, *_row_of(event), name))
            except TamperedValue:
                log.warning(
                    "A stored value of the feature %r of %r does not decrypt and is ignored", name, event.model_name
                )
                policy = policy.dropping(name)
        return StoredPrediction(msgspec.structs.replace(event, features=values), policy)


def unpack(protected: bytes) -> Protected:
    """Decode the column of a row."""
    return _unpack(protected)


def pack(content: Protected) -> bytes:
    """The column of a row."""
    return _pack(content)


def _row_of(event: Prediction) -> tuple[str, int, str]:
    return (event.model_name, event.timestamp // 86_400_000_000, event.prediction_id)
