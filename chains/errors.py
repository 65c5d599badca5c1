"""Errors of a chat model. The user's message is stored nevertheless, without an answer."""

import math
from datetime import timedelta
from typing import Any

from onionskin.memory.errors import OnionskinError

_TOO_MANY_REQUESTS, _SERVER_ERROR, _UNAVAILABLE = 429, 500, 503
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


def translate_provider_error(error: Exception) -> ModelError:
    """One of our errors for any provider's; its text is dropped, as it may hold prompts and keys.

    A timeout is recognised by its class name, and everything else by its HTTP status. A 4xx means
    that the provider is up; only outages count towards the circuit breaker.
    """
    if isinstance(error, ModelError):
        return error
    if any("Timeout" in kind.__name__ for kind in type(error).__mro__):
        return ModelTimeoutError("The chat model took too long. Try again.")
    status = getattr(error, "status_code", None)
    is_busy = status in (_TOO_MANY_REQUESTS, _UNAVAILABLE)
    retry_after = _retry_after(error) if is_busy else None
    if retry_after is not None:
        return ModelUnavailableError(retry_after)
    is_refused = isinstance(status, int) and status < _SERVER_ERROR and not is_busy
    return ModelError(
        f"The chat model failed ({type(error).__name__}). "
        "Try again; if it keeps failing, check ONIONSKIN_MODEL and its key.",
        outage=not is_refused,
    )


def _retry_after(error: Exception) -> timedelta | None:
    """The provider's Retry-After header in seconds, at most a minute; dates are ignored."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(timedelta(seconds=seconds), _MAX_RETRY_AFTER) if 0 < seconds < math.inf else None
