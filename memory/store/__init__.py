"""Where everything is kept: Redis, and nothing but Redis."""

from onionskin.memory.store.redis.connection import Connection
from onionskin.memory.store.store import Continuity, RedisStore

__all__ = ["Connection", "Continuity", "RedisStore"]
