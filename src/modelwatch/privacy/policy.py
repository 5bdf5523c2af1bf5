"""The privacy policy of a model, as its rows carry it: how each feature is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from modelwatch.config.monitors.monitor import PrivacyConfig
from modelwatch.config.monitors.values import KEYED, Storing, Treatment

_Written = tuple[Treatment, dict[Treatment, list[str]]]
_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(_Written).decode


@dataclass(frozen=True)
class Policy:
    """The treatment of each feature in the rows of a model.

    text: how a row says by which policy it was stored. keeps_all: whether rows hold everything as it came.
    """

    default: Treatment = "keep"
    features: Mapping[str, Treatment] = field(default_factory=dict)
    text: str = field(init=False, default="")
    keeps_all: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        by_treatment: dict[Treatment, list[str]] = {}
        for name in sorted(self.features):
            if self.features[name] != self.default:
                by_treatment.setdefault(self.features[name], []).append(name)
        object.__setattr__(self, "text", _encode((self.default, by_treatment)).decode())
        object.__setattr__(self, "keeps_all", self.default == "keep" and not by_treatment)

    def treatment(self, feature: str) -> Treatment:
        """The treatment of the feature's values.

        >>> Policy("keep", {"iban": "encrypt"}).treatment("iban")
        'encrypt'
        """
        return self.features.get(feature, self.default)

    def dropping(self, feature: str) -> Policy:
        """The same, but of this feature nothing is kept."""
        return Policy(self.default, {**self.features, feature: "drop"})

    @property
    def needs_key(self) -> bool:
        """True when nothing can be stored without a key."""
        return self.default in KEYED or any(treatment in KEYED for treatment in self.features.values())


KEEP_ALL = Policy()
# Profiles only: no feature is in the row.
NOTHING = Policy("drop")


def policy_of(config: PrivacyConfig | None, default_store: Storing) -> Policy:
    """The policy that a monitor asks for. default_store: of the service, for models without their own.

    In profiles mode rows hold no feature, regardless of single ones.

    >>> policy_of(None, "profiles").text
    '["drop",{}]'
    >>> policy_of(PrivacyConfig(features={"iban": "encrypt", "age": "keep"}), "predictions").text
    '["keep",{"encrypt":["iban"]}]'
    """
    if (default_store if config is None or config.store is None else config.store) == "profiles":
        return NOTHING
    return KEEP_ALL if config is None else Policy(config.default or "keep", dict(config.features or {}))


@lru_cache(maxsize=10_000)
def policy_from(text: str) -> Policy:
    """The policy of the text in a row."""
    default, by_treatment = _decode(text)
    return Policy(default, {name: treatment for treatment, names in by_treatment.items() for name in names})
