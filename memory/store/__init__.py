"""Where everything is kept: Redis, and nothing but Redis."""

from memory.store.connection import Connection
from memory.store.redis import Continuity, ImportStep, RedisStore

__all__ = ["Connection", "Continuity", "ImportStep", "RedisStore"]
