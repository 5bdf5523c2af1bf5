"""docs/settings.md and the code say the same, in both directions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from modelwatch.config import SettingDoc, describe_settings, load_settings

ROW = re.compile(r"^\| `([A-Z_]+)` \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)

# What another setting must be for this one to be taken.
COMPANIONS = {
    "ALERT_EMAIL": {"SMTP_URL": "smtp://mail.example.org"},
    "ALERT_WEBHOOK_SECRET": {"ALERT_WEBHOOK_URL": "https://example.org"},
    "TLS_CERTFILE": {"TLS_KEYFILE": "tls.key"},
    "TLS_KEYFILE": {"TLS_CERTFILE": "tls.crt"},
}


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "settings.md").read_text()


def test_the_page_documents_every_setting_as_it_is(page: str) -> None:
    documented = {name: rest for name, *rest in ROW.findall(page)}
    described = {doc.name: [f"`{doc.default}`", doc.description, f"`{doc.example}`"] for doc in describe_settings()}
    assert documented == described


@pytest.mark.parametrize("doc", describe_settings(), ids=lambda doc: doc.name)
def test_every_setting_has_a_description_and_an_example_that_works(doc: SettingDoc) -> None:
    assert doc.description.endswith(".")
    assert doc.example != doc.default
    assert getattr(
        load_settings({doc.name: doc.example, **COMPANIONS.get(doc.name, {})}, dotenv=None), doc.name.lower()
    ) != getattr(load_settings({}, dotenv=None), doc.name.lower())


@pytest.mark.parametrize("doc", describe_settings(), ids=lambda doc: doc.name)
def test_every_default_can_be_written_out(doc: SettingDoc) -> None:
    text = doc.default.replace("<DATA_DIR>", "modelwatch-data")
    assert load_settings({doc.name: text}, dotenv=None) == load_settings({}, dotenv=None)
