"""Python client for the Onionskin service: typed, asynchronous and synchronous, built on httpx."""

from onionskin.client.async_client import OnionskinClient
from onionskin.client.errors import OnionskinApiError, UnreachableError
from onionskin.client.results import (
    Appended,
    Context,
    ErasureReceipt,
    ImportResult,
    LayerUse,
    Memory,
    MemoryHit,
    Message,
    MessageHit,
    Page,
    PromptMessage,
    Recalled,
    Reply,
    Session,
    StoredMessage,
    Token,
    ToolCall,
    ToolResult,
    Usage,
    UserFigures,
)
from onionskin.client.sync_client import SyncOnionskinClient

__all__ = [
    "Appended",
    "Context",
    "ErasureReceipt",
    "ImportResult",
    "LayerUse",
    "Memory",
    "MemoryHit",
    "Message",
    "MessageHit",
    "OnionskinApiError",
    "OnionskinClient",
    "Page",
    "PromptMessage",
    "Recalled",
    "Reply",
    "Session",
    "StoredMessage",
    "SyncOnionskinClient",
    "Token",
    "ToolCall",
    "ToolResult",
    "UnreachableError",
    "Usage",
    "UserFigures",
]
