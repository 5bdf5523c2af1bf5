"""The settings as text, which docs/settings.md and the command line show, and the release that has them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from modelwatch.config.settings import Settings


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """One setting as its reader sees it. All fields are text as it would stand in `.env`."""

    name: str
    default: str
    description: str
    example: str


def describe_settings() -> list[SettingDoc]:
    """Every setting that this version uses, in the order of `Settings`."""
    documents = []
    for name, field in Settings.model_fields.items():
        default = "sqlite:///<DATA_DIR>/modelwatch.db" if name == "database_url" else as_text(field.default)
        example = str((field.examples or [""])[0])
        documents.append(SettingDoc(name.upper(), default, field.description or "", example))
    return documents


def as_text(value: object) -> str:
    """A value as it would be written in `.env`.

    >>> as_text(("1h", "24h")), as_text(True), as_text(10.0)
    ('1h,24h', 'true', '10')
    """
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case tuple():
            return ",".join(map(str, value))
        case _:
            return str(value)


def release_version() -> str:
    """The installed version, or the source tree's when it runs uninstalled."""
    try:
        return version("modelwatch")
    except PackageNotFoundError:
        return "0.1.0"
