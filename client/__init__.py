"""A client of Onionskin's service: typed, asynchronous and synchronous, on httpx alone."""

from onionskin.client.asynchronous import OnionskinClient
from onionskin.client.errors import OnionskinApiError, UnreachableError
from onionskin.client.results import Token
from onionskin.client.synchronous import SyncOnionskinClient

__all__ = [
    "OnionskinApiError",
    "OnionskinClient",
    "SyncOnionskinClient",
    "Token",
    "UnreachableError",
]
