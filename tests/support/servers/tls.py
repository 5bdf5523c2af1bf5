"""A certificate for servers on 127.0.0.1 that nobody knows until it is made known."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

OPENSSL = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, in one file."""

    path: Path

    def server_side(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context


def make_certificate(folder: Path) -> Certificate:
    """A fresh one."""
    made = subprocess.run([*OPENSSL.split(), "-keyout", "-", "-out", "-"], check=True, capture_output=True)
    path = folder / "certificate.pem"
    path.write_bytes(made.stdout)
    return Certificate(path)
