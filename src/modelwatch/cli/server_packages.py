"""The packages of the extra `server`: what the library and the commands that talk to a service do without."""

from __future__ import annotations

from importlib.util import find_spec

# By the names that they are imported by.
SERVER_PACKAGES = frozenset(
    {
        "alembic",
        "cryptography",
        "fastapi",
        "fastapi_offline",
        "httptools",
        "prometheus_client",
        "psycopg",
        "re2",
        "sqlalchemy",
        "starlette",
        "uvicorn",
        "uvloop",
        "zstandard",
    }
)
INSTALL = "pip install 'modelwatch[server]'"


def require_server() -> None:
    """Returns where the service can run. Raises ModuleNotFoundError with the name of a package that is missing."""
    missing = next((name for name in sorted(SERVER_PACKAGES) if find_spec(name) is None), None)
    if missing is not None:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)


def how_to_install(error: ModuleNotFoundError) -> str | None:
    """What installs a module that was not found, when it is the service's; None for any other.

    >>> print(how_to_install(ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")))
    This command needs the packages of the service, and uvicorn is not installed: pip install 'modelwatch[server]'
    (in a checkout: pip install -r requirements.txt)
    """
    package = (error.name or "").partition(".")[0]
    if package not in SERVER_PACKAGES:
        return None
    return (
        f"This command needs the packages of the service, and {package} is not installed: {INSTALL}\n"
        "(in a checkout: pip install -r requirements.txt)"
    )
