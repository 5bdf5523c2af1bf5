"""docker-compose.yml as tests look at it, and what must hold in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|KEY$")
REQUIRED = re.compile(r"\$\{COMPOSE_[A-Z_]+:\?[^}]+\}")


def problems(document: dict[str, Any], folder: Path) -> Iterator[str]:
    """What is wrong with it, in words. folder: where it stands, from which its paths go."""
    services = document["services"]
    for name, service in services.items():
        image = service.get("image", "")
        tag = image.rpartition("/")[2].partition(":")[2]
        if tag in {"", "latest"}:
            yield f"{name}: the image {image} has no version"
        if not service.get("healthcheck", {}).get("test"):
            yield f"{name} has no health check"
        if not service.get("read_only") or service.get("cap_drop") != ["ALL"]:
            yield f"{name} may write to its image, or keeps capabilities"
        for port in service.get("ports", ()):
            if not str(port).startswith("127.0.0.1:"):
                yield f"{name}: the port {port} is open to other machines"
        for variable, value in service.get("environment", {}).items():
            yield from _secrets(name, variable, value)
        yield from _dependencies(name, service, services)
        yield from _volumes(name, service, document, folder)


def _secrets(name: str, variable: str, value: object) -> Iterator[str]:
    credentials = re.search(r"://[^:/]+:([^@]+)@", str(value or ""))
    named = SECRET_NAME.search(variable) and not variable.endswith("_REQUIRED")
    secret = credentials[1] if credentials else value if named else None
    if isinstance(secret, str) and not REQUIRED.fullmatch(secret):
        yield f"{name}: {variable} has a value of its own, which everybody can read"


def _dependencies(name: str, service: dict[str, Any], services: dict[str, Any]) -> Iterator[str]:
    for other, how in service.get("depends_on", {}).items():
        if other not in services:
            yield f"{name} depends on {other}, which is not there"
        elif how["condition"] == "service_healthy" and "healthcheck" not in services[other]:
            yield f"{name} waits for the health of {other}, which has no check"


def _volumes(name: str, service: dict[str, Any], document: dict[str, Any], folder: Path) -> Iterator[str]:
    for volume in service.get("volumes", ()):
        source, target, *options = volume.split(":")
        if source.startswith("."):
            if not (folder / source).exists():
                yield f"{name} mounts {source}, which is not there"
            if options != ["ro"]:
                yield f"{name} may write to {source}"
        elif source not in document.get("volumes", {}):
            yield f"{name} mounts the volume {source}, which is not there"
        if not target.startswith("/"):
            yield f"{name} mounts {source} to {target}, which is no path"
