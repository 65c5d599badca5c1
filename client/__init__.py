"""Python client for the Onionskin service: typed, asynchronous and synchronous, built on httpx."""

from onionskin.client.async_client import OnionskinClient
from onionskin.client.errors import OnionskinApiError, UnreachableError
from onionskin.client.results import (
    ErasureReceipt,
    ImportResult,
    LayerUse,
    Memory,
    MemoryHit,
    Message,
    Page,
    Recalled,
    Reply,
    Session,
    Token,
    Usage,
    UserFigures,
)
from onionskin.client.sync_client import SyncOnionskinClient

__all__ = [
    "ErasureReceipt",
    "ImportResult",
    "LayerUse",
    "Memory",
    "MemoryHit",
    "Message",
    "OnionskinApiError",
    "OnionskinClient",
    "Page",
    "Recalled",
    "Reply",
    "Session",
    "SyncOnionskinClient",
    "Token",
    "UnreachableError",
    "Usage",
    "UserFigures",
]
