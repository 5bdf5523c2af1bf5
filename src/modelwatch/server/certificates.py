"""Certificates: checked before the service starts, and read again when their files have changed."""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from modelwatch.config import Settings
from modelwatch.errors import StartupError

if TYPE_CHECKING:
    from uvicorn.config import Config

LOOK_EVERY_SECONDS = 10.0

log = logging.getLogger(__name__)


def check_certificate(settings: Settings) -> None:
    """Raises StartupError when HTTPS can't be served with the files that the settings name."""
    if not settings.tls_certfile:
        return
    for name, path in (("TLS_CERTFILE", settings.tls_certfile), ("TLS_KEYFILE", settings.tls_keyfile)):
        if not Path(path).is_file():
            raise StartupError(f"{name} names {path}, and there is no such file.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_certfile, settings.tls_keyfile, str)
    except (OSError, ssl.SSLError) as error:
        raise StartupError(
            f"HTTPS can't be served with TLS_CERTFILE {settings.tls_certfile} and TLS_KEYFILE {settings.tls_keyfile}:"
            f" {getattr(error, 'reason', None) or error}. They must be a certificate chain in PEM and its key,"
            " without a passphrase."
        ) from error


def renewing_context(config: Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """The context that uvicorn serves with: TLS 1.2 or newer; a certificate that was renewed is used from then on."""
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    assert config.ssl_certfile is not None
    assert config.ssl_keyfile is not None
    files = (Path(config.ssl_certfile), Path(config.ssl_keyfile))
    threading.Thread(target=_renew, args=(context, files), name="certificates", daemon=True).start()
    return context


def _renew(context: ssl.SSLContext, files: tuple[Path, Path]) -> None:
    known = _changed_at(files)
    pause = threading.Event()
    while not pause.wait(LOOK_EVERY_SECONDS):
        found = _changed_at(files)
        if found == known or None in found:
            continue
        try:
            context.load_cert_chain(*files)
        except (OSError, ssl.SSLError) as error:
            # Two files can't be replaced at one moment: the next look may find both.
            log.warning("The certificate in %s was changed and can't be used yet: %s", files[0], error)
        else:
            known = found
            log.info("The certificate in %s was read again", files[0])


def _changed_at(files: tuple[Path, Path]) -> list[int | None]:
    times: list[int | None] = []
    for file in files:
        times.append(None)
        with contextlib.suppress(OSError):
            times[-1] = file.stat().st_mtime_ns
    return times
