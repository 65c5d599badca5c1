"""A client of Strata's service: typed, asynchronous and synchronous, on httpx alone."""

from client.asynchronous import StrataClient
from client.errors import StrataApiError, UnreachableError
from client.results import Token
from client.synchronous import SyncStrataClient

__all__ = ["StrataApiError", "StrataClient", "SyncStrataClient", "Token", "UnreachableError"]
