"""Errors of a chat model. The user's message is stored nevertheless, without an answer."""

import math
import re
from datetime import timedelta
from typing import Any

from onionskin.memory.errors import OnionskinError

_BAD_REQUEST, _REQUEST_TIMEOUT, _TOO_MANY_REQUESTS, _SERVER_ERROR, _UNAVAILABLE = (
    *(400, 408, 429),
    *(500, 503),
)
_LOST_CONNECTIONS = ("APIConnectionError", "TransportError", "RemoteProtocolError", "ConnectError")
_LONGEST_REASON = 300
_SECRET = re.compile(r"\b(?:sk|pk|key|Bearer)[-_ ][\w*.-]{4,}|\b[A-Za-z0-9_-]{32,}\b")
_MAX_RETRY_AFTER = timedelta(minutes=1)


class ModelError(OnionskinError):
    """The model failed, broke off, or returned no usable answer.

    Attributes:
        outage: Whether the next call is likely to fail too, whatever it asks.
        session_id, turn_id: Where the user's message is kept, unanswered; empty if it is not.
    """

    code = "model_failed"

    def __init__(self, message: str, *, outage: bool = True) -> None:
        super().__init__(message)
        self.outage, self.session_id, self.turn_id = outage, "", ""

    def note_kept(self, session_id: str, turn_id: str) -> None:
        """Note where the user's message is kept."""
        self.session_id, self.turn_id = session_id, turn_id
        self.args = (f"{self} The message is kept as turn {turn_id!r}, unanswered.",)


class ModelTimeoutError(ModelError):
    """The model exceeded its time limit."""

    code = "model_timeout"


class ModelUnavailableError(ModelError):
    """The model is not called for a while: it failed too often, or asked for a pause."""

    code = "model_unavailable"

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(
            "The chat model is unavailable. Try again in "
            f"{math.ceil(retry_after.total_seconds())} seconds."
        )
        self.retry_after = retry_after


class ModelRequestError(ModelError):
    """The provider refused the request: the same request would be refused again.

    Attributes:
        status: The provider's HTTP status, 400 to 499.
    """

    code = "model_refused"

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(
            f"The provider of the chat model refused the request with {status}: {reason}",
            outage=False,
        )
        self.status = status


def translate_provider_error(error: Exception) -> ModelError:
    """One of our errors for any provider's; prompts and keys in its text are left out.

    A timeout and a lost connection are recognised by their class names, and everything else by its
    HTTP status. Only those, 429 and 5xx are signs of an outage. An error of the SDK or of this
    process says nothing about the provider.
    """
    if isinstance(error, ModelError):
        return error
    kinds = [kind.__name__ for kind in type(error).__mro__]
    if any("Timeout" in name for name in kinds):
        return ModelTimeoutError("The chat model took too long. Try again.")
    status = getattr(error, "status_code", None)
    is_busy = status in (_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS, _UNAVAILABLE)
    retry_after = _retry_after(error) if is_busy else None
    if retry_after is not None:
        return ModelUnavailableError(retry_after)
    if isinstance(status, int) and _BAD_REQUEST <= status < _SERVER_ERROR and not is_busy:
        return ModelRequestError(status, _reason(error))
    is_lost = isinstance(error, OSError) or any(name in _LOST_CONNECTIONS for name in kinds)
    is_outage = is_busy or is_lost or (isinstance(status, int) and status >= _SERVER_ERROR)
    return ModelError(
        f"The chat model failed ({type(error).__name__}). "
        "Try again; if it keeps failing, check ONIONSKIN_MODEL and its key.",
        outage=is_outage,
    )


def _reason(error: Exception) -> str:
    """The provider's message, bounded and without what looks like a key."""
    body: Any = getattr(error, "body", None)
    parts: Any = body.get("error", body) if isinstance(body, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    message: Any = parts.get("message") if isinstance(parts, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(message, str) or not message.strip():
        return "it gave no reason."
    text = _SECRET.sub("[key]", " ".join(message.split()))
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"


def _retry_after(error: Exception) -> timedelta | None:
    """The provider's Retry-After header in seconds, at most a minute; dates are ignored."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(timedelta(seconds=seconds), _MAX_RETRY_AFTER) if 0 < seconds < math.inf else None
