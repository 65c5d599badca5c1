"""ASGI middleware: request log, timeouts, trusted hosts."""
