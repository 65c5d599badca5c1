"""What can go wrong with a chat model. In every case nothing of the turn is stored."""

from memory.errors import StrataError


class ModelError(StrataError):
    """The model failed, broke off, or answered nothing that could be used."""

    code = "model_failed"


class ModelTimeoutError(ModelError):
    """The model took too long."""

    code = "model_timeout"
