"""Logging with the id of the request that a line belongs to, as text or as JSON."""

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""Id of the request being served; ``-`` outside of one, as in the engine's thread."""

FIELDS = ("job_id", "client", "method", "path", "status", "duration_ms")
"""What a line may carry in ``extra``, for JSON."""

_JOB = re.compile(r"\bjob ([0-9a-f]{32})\b")


class _RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line. Fields that a line has no value for are left out."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
        }
        if (request := getattr(record, "request_id", "-")) != "-":
            line["request_id"] = request
        # The worker's lines name their job in words, and an id cannot be mistaken.
        if named := _JOB.search(message):
            line["job_id"] = named[1]
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(log_format: Literal["text", "json"] = "text") -> None:
    """Everything at INFO and above to stderr, one format for the service and uvicorn."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_RequestIdFilter())
    if log_format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s")
        )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
