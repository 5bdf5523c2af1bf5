"""Protection of feature values before they are stored: policies, encryption with several keys, keyed hashes."""

from modelwatch.config.monitors.values import Treatment
from modelwatch.privacy.hashing import Hasher, is_hash
from modelwatch.privacy.keyring import Keyring
from modelwatch.privacy.policy import KEEP_ALL, NOTHING, Policy, policy_from, policy_of

__all__ = [
    "KEEP_ALL",
    "NOTHING",
    "Hasher",
    "Keyring",
    "Policy",
    "Treatment",
    "is_hash",
    "policy_from",
    "policy_of",
]
