"""What can go wrong with a chat model. In every case nothing of the turn is stored."""

import math
from datetime import timedelta

from onionskin.memory.errors import OnionskinError


class ModelError(OnionskinError):
    """The model failed, broke off, or answered nothing that could be used.

    Attributes:
        outage: whether the next call is likely to fail as well, whatever it asks.
    """

    code = "model_failed"

    def __init__(self, message: str, *, outage: bool = True) -> None:
        super().__init__(message)
        self.outage = outage


class ModelTimeoutError(ModelError):
    """The model took too long."""

    code = "model_timeout"


class ModelUnavailableError(ModelError):
    """The model is left alone for a while: it failed too often, or asked for it."""

    code = "model_unavailable"

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__(
            "The chat model cannot be asked at the moment; the turn was not stored. Try again in "
            f"{math.ceil(retry_after.total_seconds())} seconds."
        )
        self.retry_after = retry_after
