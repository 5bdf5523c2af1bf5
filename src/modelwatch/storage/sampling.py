"""Which predictions keep their features: decided by the id alone, so that retries and processes agree."""

from __future__ import annotations

from hashlib import blake2b

_ALL = 2**64


def in_sample(model: str, prediction_id: str, rate: float) -> bool:
    """Whether the features of a prediction are kept, of so large a share of all. The sample of a smaller rate is part
    of that of a larger one.

    >>> [in_sample("fraud", "pred-1", rate) for rate in (0.0, 0.9, 1.0)]
    [False, True, True]
    """
    if rate >= 1.0:
        return True
    name = f"{model}\0{prediction_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=8).digest()) < rate * _ALL
