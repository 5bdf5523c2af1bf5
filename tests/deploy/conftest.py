"""The real Helm, in the two versions that are in use, and the schemas that what it renders is held against."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.programs import HELM3, HELM4, KUBECTL, Program, ProgramMissing, fetched
from tests.conftest import REPOSITORY
from tests.deploy.kubernetes.rendering import Helm
from tests.support.servers.programs import absent

SCHEMAS = REPOSITORY / ".." / "shared" / "schemas"


def program(which: Program) -> Path:
    try:
        return fetched(which)
    except ProgramMissing as error:
        absent(f"There is no {which.name} {which.version} here: {error}")
        raise


@pytest.fixture(scope="session")
def helms() -> list[Helm]:
    """Helm 3 and Helm 4."""
    return [Helm(program(HELM3)), Helm(program(HELM4))]


@pytest.fixture(scope="session")
def helm(helms: list[Helm]) -> Helm:
    """The newer one, where it does not matter."""
    return helms[-1]


@pytest.fixture(scope="session")
def kubectl() -> Path:
    return program(KUBECTL)


@pytest.fixture(scope="session")
def crd_schemas() -> Path:
    """The folder of the schemas of the Prometheus Operator's kinds, beside the checkout."""
    if not SCHEMAS.is_dir():
        absent(f"There is no {SCHEMAS}: the schemas of the Prometheus Operator are not beside this checkout")
    return SCHEMAS
