"""What Schemathesis does not know by itself: how JSON lines are sent."""

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def json_lines(_context: object, value: object) -> bytes:
    """As it is."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
