"""Which collections outside hold vectors of a user, and how far they have read the change log."""

from onionskin.memory.store import keys
from onionskin.memory.store.redis.connection import Script
from onionskin.memory.store.store import RedisStore
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import User

_NOTE = Script("outside")


async def read_cursor(store: RedisStore, user: User, collection: str) -> Cursor:
    """Up to where a collection is filled; an empty cursor where it is not."""
    call, commands = store.connection.call, store.connection.commands
    found = await call(commands.hget(keys.outside(user), collection))
    epoch, _, sequence = (found or b"").decode().partition(" ")
    return Cursor(epoch, int(sequence or 0))


async def write_cursor(store: RedisStore, user: User, collection: str, cursor: Cursor) -> bool:
    """Note up to where a collection is filled; False where the user was erased meanwhile."""
    prefix = keys.prefix(user)
    noted = await store.connection.run(_NOTE, prefix, collection, cursor.epoch, cursor.sequence)
    return bool(noted)


async def delete_cursor(store: RedisStore, user: User, collection: str) -> None:
    """Note that a collection holds nothing."""
    call, commands = store.connection.call, store.connection.commands
    await call(commands.hdel(keys.outside(user), collection))


async def list_collections(store: RedisStore, user: User) -> list[str]:
    """The collections that hold vectors of a user, those of embedders before, too."""
    call, commands = store.connection.call, store.connection.commands
    return [one.decode() for one in await call(commands.hkeys(keys.outside(user)))]
