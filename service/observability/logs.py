"""Structured logs: one line per event with ids and figures, without texts and user ids."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

from onionskin.service.observability.request_context import PSEUDONYM, REQUEST_ID, TRACE_ID

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """The formatted line."""
        return json.dumps(_fields(record), ensure_ascii=False, default=repr)


class TextLines(logging.Formatter):
    """Formats a record as a line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The formatted line."""
        fields = _fields(record)
        head = [fields.pop(name) for name in ("time", "level", "event")]
        rest = [f"{name}={value}" for name, value in fields.items() if name != "logger"]
        return " ".join([*head, *rest])


def configure(form: Literal["auto", "json", "text"], level: str) -> None:
    """Send the log to standard error, as text to a terminal and as JSON elsewhere."""
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextLines() if as_text else JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("onionskin").setLevel(level.upper())


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "event": record.getMessage(),
        "logger": record.name,
    }
    if request_id := REQUEST_ID.get():
        fields["request_id"] = request_id
    if trace_id := TRACE_ID.get():
        fields["trace_id"] = trace_id
    if user := PSEUDONYM.get():
        fields["user"] = user
    fields |= {name: value for name, value in vars(record).items() if name not in _PLAIN}
    if record.exc_info and record.exc_info[0]:
        trace = record.exc_info[2]
        while trace and trace.tb_next:
            trace = trace.tb_next
        fields["error"] = record.exc_info[0].__name__
        if trace:  # only the place: the text of an error may hold user data
            fields["at"] = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
    return fields
