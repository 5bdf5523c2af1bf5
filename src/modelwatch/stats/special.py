"""Special functions of scipy, loaded when one is used first: that takes a third of a second."""

from __future__ import annotations

from types import ModuleType


def special() -> ModuleType:
    """The module `scipy.special`."""
    import scipy.special

    module: ModuleType = scipy.special
    return module
