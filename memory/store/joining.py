"""The Redis of a data directory, for a command beside the service that may be running."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from memory.store.embedded import EmbeddedRedis, answers, socket_path


@asynccontextmanager
async def joined_redis(directory: Path) -> AsyncGenerator[str]:
    """The URL of a data directory's Redis: the running one, or one that is started for a while.

    Raises:
        EmbeddedRedisError: it cannot be started.
    """
    socket = socket_path(directory.resolve())
    if socket.exists() and await answers(socket):
        yield f"unix://{socket}"
        return
    async with EmbeddedRedis(directory) as redis:
        yield redis.url
