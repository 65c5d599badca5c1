"""Context variables of the current request or task, for logs and spans."""

from contextvars import ContextVar

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the current request."""
TRACE_ID: ContextVar[str] = ContextVar("trace_id", default="")
"""Id of the current trace; empty without traces."""
PSEUDONYM: ContextVar[str] = ContextVar("pseudonym", default="")
"""Pseudonym of the user of the current request or task; empty until the user is known."""
