"""The service's log: lines for people, or one JSON object a line."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any, Literal

_PREDICTION = re.compile(r"(/models/[^/]+/predictions/)[^?\s]+")


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


class WithoutIds(logging.Filter):
    """Takes the ids of predictions out of access logs: who erases one has it erased there too."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _PREDICTION.sub(r"\1…", value) if isinstance(value, str) else value for value in record.args
            )
        return True


def logging_config(log_format: Literal["text", "json"], debug: bool) -> dict[str, Any]:
    """A configuration for `logging.config.dictConfig`, which uvicorn hands on to its workers."""
    formatter: dict[str, Any] = {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}
    if log_format == "json":
        formatter = {"()": "modelwatch.server.logs.JsonLines"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": formatter},
        "filters": {"without_ids": {"()": "modelwatch.server.logs.WithoutIds"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines", "stream": "ext://sys.stderr"}},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "modelwatch": {"level": "DEBUG" if debug else "INFO"},
            # Its news at start and stop is told by `serve` itself.
            "uvicorn": {"level": "INFO" if debug else "WARNING"},
            "uvicorn.access": {"filters": ["without_ids"]},
        },
    }
