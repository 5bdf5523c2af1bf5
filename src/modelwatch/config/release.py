"""The release that runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def release_version() -> str:
    """The installed version, or the source tree's when it runs uninstalled."""
    try:
        return version("modelwatch")
    except PackageNotFoundError:
        return "0.1.0"
