"""The service's log: lines for people, or one JSON object a line."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal


class JsonLines(logging.Formatter):
    """A record as one JSON object: time, level, logger, message, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def logging_config(log_format: Literal["text", "json"], debug: bool) -> dict[str, Any]:
    """A configuration for `logging.config.dictConfig`, which uvicorn hands on to its workers."""
    formatter: dict[str, Any] = {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}
    if log_format == "json":
        formatter = {"()": "modelwatch.cli.logs.JsonLines"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines", "stream": "ext://sys.stderr"}},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "modelwatch": {"level": "DEBUG" if debug else "INFO"},
            # Its news at start and stop is told by `serve` itself.
            "uvicorn": {"level": "INFO" if debug else "WARNING"},
        },
    }
