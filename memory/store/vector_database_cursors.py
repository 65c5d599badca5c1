"""Cursors of external vector databases: how far each collection has read a user's change log."""

from onionskin.memory.store import keys
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.repository import Repository
from onionskin.memory.types.change_log import Cursor
from onionskin.memory.types.messages import User

_NOTE_CURSOR = Script.inline("""
-- Store the cursor of a collection, unless the user was erased in between.
-- KEYS[1] the user's prefix   ARGV 1 collection   2 epoch   3 sequence
if redis.call('HGET', KEYS[1] .. 'user', 'epoch') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1] .. 'outside', ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
return 1
""")


class VectorDatabaseCursors(Repository):
    """The cursor of each collection that holds vectors of a user."""

    async def get(self, user: User, collection: str) -> Cursor:
        """The cursor of a collection; an empty one if the collection holds nothing."""
        field = await self._call(
            self._commands.hget(keys.vector_database_cursors(user), collection)
        )
        epoch, _, sequence = (field or b"").decode().partition(" ")
        return Cursor(epoch, int(sequence or 0))

    async def save(self, user: User, collection: str, cursor: Cursor) -> bool:
        """Store the cursor of a collection; False if the user was erased in between."""
        position = (collection, cursor.epoch, cursor.sequence)
        return bool(await self._connection.run(_NOTE_CURSOR, keys.prefix(user), *position))

    async def delete(self, user: User, collection: str) -> None:
        """Note that a collection holds nothing of the user."""
        await self._call(self._commands.hdel(keys.vector_database_cursors(user), collection))

    async def collections(self, user: User) -> list[str]:
        """The collections that hold vectors of a user, including those of earlier embedders."""
        names = await self._call(self._commands.hkeys(keys.vector_database_cursors(user)))
        return [name.decode() for name in names]
