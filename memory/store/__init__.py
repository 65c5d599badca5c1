"""The store: all data in Redis, and everything that talks to Redis.

Exports are loaded on first use, so that a command that needs only a connection starts quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onionskin.memory.store.aof_rewrite import AofRewrite
    from onionskin.memory.store.api_keys import ApiKey, ApiKeyRegistry
    from onionskin.memory.store.codec import pack_record, pack_vector, unpack_vector
    from onionskin.memory.store.commit_request import entries_of
    from onionskin.memory.store.deletion import ErasureResult
    from onionskin.memory.store.deployment import Deployment
    from onionskin.memory.store.encryption.keyring import Keyring, MasterKeyRegistry
    from onionskin.memory.store.encryption.master_keys import (
        MasterKeys,
        configured_master_keys,
        generate_master_key,
        read_master_keys,
    )
    from onionskin.memory.store.encryption.migrations import EncryptionProgress, RotationProgress
    from onionskin.memory.store.idempotency import Attempt, StoredResponse
    from onionskin.memory.store.langgraph_checkpoints import (
        ChannelVersion,
        CheckpointRow,
        CheckpointWrite,
        Thread,
    )
    from onionskin.memory.store.langgraph_items import ItemContent, StoredItem
    from onionskin.memory.store.locks import LEASE_TIMEOUT
    from onionskin.memory.store.records import ExtractionRange, RecordWrite
    from onionskin.memory.store.redis.connection import Connection, unavailable
    from onionskin.memory.store.redis.diagnostics import RedisFacts, inspect_redis
    from onionskin.memory.store.redis.durability import Durability
    from onionskin.memory.store.redis.embedded import EmbeddedRedis, attach_or_start, socket_path
    from onionskin.memory.store.repository import StoreContext
    from onionskin.memory.store.script_io import SESSION_FIELDS, new_session_id
    from onionskin.memory.store.sessions import Sessions
    from onionskin.memory.store.store import RedisStore, TranscriptsFactory
    from onionskin.memory.store.task_queue import Backoff, DeadTask, TaskQueue, kind_of, task_digest
    from onionskin.memory.store.transcripts import (
        BRIEF_SECONDS,
        Continuity,
        StoredTurn,
        Transcripts,
    )
    from onionskin.memory.store.transfer import (
        MessagesPiece,
        Piece,
        RecordPiece,
        SessionPiece,
        StepPiece,
        StoredUploads,
    )
    from onionskin.memory.store.users import ModelUsage, StorageUsage, UserStats

__all__ = [
    "BRIEF_SECONDS",
    "LEASE_TIMEOUT",
    "SESSION_FIELDS",
    "AofRewrite",
    "ApiKey",
    "ApiKeyRegistry",
    "Attempt",
    "Backoff",
    "ChannelVersion",
    "CheckpointRow",
    "CheckpointWrite",
    "Connection",
    "Continuity",
    "DeadTask",
    "Deployment",
    "Durability",
    "EmbeddedRedis",
    "EncryptionProgress",
    "ErasureResult",
    "ExtractionRange",
    "ItemContent",
    "Keyring",
    "MasterKeyRegistry",
    "MasterKeys",
    "MessagesPiece",
    "ModelUsage",
    "Piece",
    "RecordPiece",
    "RecordWrite",
    "RedisFacts",
    "RedisStore",
    "RotationProgress",
    "SessionPiece",
    "Sessions",
    "StepPiece",
    "StorageUsage",
    "StoreContext",
    "StoredItem",
    "StoredResponse",
    "StoredTurn",
    "StoredUploads",
    "TaskQueue",
    "Thread",
    "Transcripts",
    "TranscriptsFactory",
    "UserStats",
    "attach_or_start",
    "configured_master_keys",
    "entries_of",
    "generate_master_key",
    "inspect_redis",
    "kind_of",
    "new_session_id",
    "pack_record",
    "pack_vector",
    "read_master_keys",
    "socket_path",
    "task_digest",
    "unavailable",
    "unpack_vector",
]

_MODULES = {
    "aof_rewrite": ("AofRewrite",),
    "api_keys": ("ApiKey", "ApiKeyRegistry"),
    "codec": ("pack_record", "pack_vector", "unpack_vector"),
    "commit_request": ("entries_of",),
    "deletion": ("ErasureResult",),
    "deployment": ("Deployment",),
    "encryption.keyring": ("Keyring", "MasterKeyRegistry"),
    "encryption.master_keys": (
        "MasterKeys",
        "configured_master_keys",
        "generate_master_key",
        "read_master_keys",
    ),
    "encryption.migrations": ("EncryptionProgress", "RotationProgress"),
    "idempotency": ("Attempt", "StoredResponse"),
    "langgraph_checkpoints": ("ChannelVersion", "CheckpointRow", "Thread", "CheckpointWrite"),
    "langgraph_items": ("ItemContent", "StoredItem"),
    "locks": ("LEASE_TIMEOUT",),
    "records": ("ExtractionRange", "RecordWrite"),
    "redis.connection": ("Connection", "unavailable"),
    "redis.diagnostics": ("RedisFacts", "inspect_redis"),
    "redis.durability": ("Durability",),
    "redis.embedded": ("EmbeddedRedis", "attach_or_start", "socket_path"),
    "repository": ("StoreContext",),
    "script_io": ("SESSION_FIELDS", "new_session_id"),
    "sessions": ("Sessions",),
    "store": ("RedisStore", "TranscriptsFactory"),
    "task_queue": ("Backoff", "DeadTask", "TaskQueue", "kind_of", "task_digest"),
    "transcripts": ("BRIEF_SECONDS", "Continuity", "StoredTurn", "Transcripts"),
    "transfer": (
        *("MessagesPiece", "Piece", "RecordPiece", "SessionPiece", "StepPiece", "StoredUploads"),
    ),
    "users": ("ModelUsage", "StorageUsage", "UserStats"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load an export (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    exported: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = exported
    return exported
