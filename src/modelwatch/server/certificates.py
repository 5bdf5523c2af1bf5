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

CHECK_EVERY_SECONDS = 10.0

log = logging.getLogger(__name__)


def check_certificate(settings: Settings) -> None:
    """Raises StartupError when HTTPS can't be served with the files that the settings name."""
    if not settings.tls_certfile:
        return
    for name, path in (("TLS_CERTFILE", settings.tls_certfile), ("TLS_KEYFILE", settings.tls_keyfile)):
        if not Path(path).is_file():
            raise StartupError(f"{name} names {path}, but there is no such file.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_certfile, settings.tls_keyfile, str)
    except (OSError, ssl.SSLError) as error:
        raise StartupError(
            f"HTTPS can't be served with TLS_CERTFILE {settings.tls_certfile} and TLS_KEYFILE {settings.tls_keyfile}:"
            f" {getattr(error, 'reason', None) or error}. They must be a certificate chain in PEM and its key,"
            " without a passphrase."
        ) from error


def renewing_context(config: Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """The context that uvicorn serves with: TLS 1.2 or newer; a certificate that was renewed is used from then on.

    default: makes a context of the files as they are now.
    """
    assert config.ssl_certfile is not None
    assert config.ssl_keyfile is not None
    certificate = RenewedCertificate((Path(config.ssl_certfile), Path(config.ssl_keyfile)), default)
    threading.Thread(target=certificate.renew, name="certificates", daemon=True).start()
    return certificate.first


class RenewedCertificate:
    """The certificate of new connections.

    A context is never changed while it serves: certificate and key are read one after the other, and a handshake in
    between, or after a key that does not fit, would fail. What was read anew is a context of its own, which each
    handshake changes to.
    """

    def __init__(self, files: tuple[Path, Path], default: Callable[[], ssl.SSLContext]) -> None:
        self._files = files
        self._default = default
        self._known = _changed_at(files)
        self.first = self._current = self._read()
        self.first.sni_callback = self._choose

    def renew(self) -> None:
        """Looks for renewed files for as long as the process lives."""
        pause = threading.Event()
        while not pause.wait(CHECK_EVERY_SECONDS):
            self.look()

    def look(self) -> None:
        """Reads the files again if they have changed; what can't be used leaves everything as it is."""
        found = _changed_at(self._files)
        if found == self._known or None in found:
            return
        try:
            self._current = self._read()
        except (OSError, ssl.SSLError) as error:
            # Two files can't be replaced at one moment: the next look may find both.
            log.warning("The certificate in %s has changed and can't be used yet: %s", self._files[0], error)
        else:
            self._known = found
            log.info("The certificate in %s was reloaded", self._files[0])

    def _read(self) -> ssl.SSLContext:
        context = self._default()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called in each handshake, also where the client names no server."""
        if self._current is not self.first:
            connection.context = self._current


def _changed_at(files: tuple[Path, Path]) -> list[int | None]:
    times: list[int | None] = []
    for file in files:
        times.append(None)
        with contextlib.suppress(OSError):
            times[-1] = file.stat().st_mtime_ns
    return times
