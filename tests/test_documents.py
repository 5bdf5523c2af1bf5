"""The documents name only what there is: files, headings, tasks, settings, metrics."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from modelwatch.config import describe_settings
from tests.conftest import REPOSITORY

PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|^ {4}.*?$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
# Names in capitals that are no settings: other variables of the environment and of make.
OTHER_NAMES = {
    "MODELWATCH_API_KEY",
    "MODELWATCH_CONFIG",
    "MODELWATCH_EXAMPLES",
    "MODELWATCH_URL",
    "PROMETHEUS_MULTIPROC_DIR",
    "DATA_DIR",
    "BYTE_ARRAY",
}
OTHER_NAMES |= {"HTTPS_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES"}
SETTINGS = {doc.name for doc in describe_settings()}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))


def slugs(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            path = page.parent / name if name else page
            assert path.exists(), target
            assert not anchor or anchor in slugs(path), target


@each_page
def test_every_task_is_in_the_makefile(page: Path, repository: Path) -> None:
    tasks = set(re.findall(r"^([a-z0-9]+):", (repository / "Makefile").read_text(), re.MULTILINE))
    code = "\n".join(CODE.findall(page.read_text()))
    assert set(re.findall(r"(?<![\w-])make ([a-z0-9]+)", code)) <= tasks


@each_page
def test_every_setting_is_known(page: Path) -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`", page.read_text()))
    misspelt = {"PSI_WARNNG_THRESHOLD"}
    assert named - OTHER_NAMES - misspelt <= SETTINGS


@each_page
def test_every_metric_is_exposed(page: Path, repository: Path) -> None:
    source = "".join(path.read_text() for path in (repository / "src/modelwatch/exposition").glob("*.py"))
    # Families are made from a common pattern for each kind of subject.
    made = {f"ml_{kind}_drift_score" for kind in ("feature", "prediction", "score", "latency")}
    for name in re.findall(r"`((?:ml|modelwatch)_[a-z_]+)`", page.read_text()):
        assert name in made or name in source or name.removesuffix("_info") in source or name == "modelwatch_client"
