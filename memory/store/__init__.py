"""Where everything is kept: Redis, and nothing but Redis."""

from memory.store.connection import Connection
from memory.store.continuity import Continuity
from memory.store.redis import RedisStore

__all__ = ["Connection", "Continuity", "RedisStore"]
