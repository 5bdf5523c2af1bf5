"""How a process listens: uvicorn, with a door that every connection goes through."""

from __future__ import annotations

import ssl

from uvicorn.config import Config

from modelwatch.cli.connections import BoundedProtocol
from modelwatch.cli.door import Door
from modelwatch.cli.handshakes import Handshake


class BoundedConfig(Config):
    """uvicorn's configuration of a process. limit_concurrency: how many connections are served.

    door, context: there once it is loaded. context: what connections are secured with; None without TLS.
    """

    door: Door
    context: ssl.SSLContext | None

    def load(self) -> None:
        """As uvicorn's, in the process that listens."""
        super().load()
        assert self.limit_concurrency is not None
        self.door = Door(self.limit_concurrency)
        # uvicorn would secure what comes before it says that something came.
        self.context, self.ssl = self.ssl, None
        self.http_protocol_class = BoundedProtocol if self.context is None else Handshake
