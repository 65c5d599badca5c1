"""Ids that clients give to messages: a message with a known id is not stored again for a day."""

from collections.abc import Sequence

from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.repository import Repository
from onionskin.memory.store.transcripts import IDEMPOTENCY_SECONDS
from onionskin.memory.types.messages import User

_FIND = Script.inline("""
-- The positions of messages by their client ids; -1 for an id that is not stored.
-- KEYS[1] the user's prefix   ARGV 1 session id   2.. digests of the ids
local prefix, positions = KEYS[1], {}
local length = redis.call('LLEN', prefix .. 'messages:' .. ARGV[1])
for index = 2, #ARGV do
  local position = -1
  local nonce, offset = string.match(
    redis.call('GET', prefix .. 'once:message:' .. ARGV[index]) or '', '^(%S+) (%d+)$')
  if nonce then
    local commit = redis.call('GET', prefix .. 'once:' .. nonce) or ''
    local sid, first = string.match(commit, '^(%S+) (%d+)')
    if sid == ARGV[1] and tonumber(first) + tonumber(offset) < length then
      position = tonumber(first) + tonumber(offset)
    end
  end
  positions[index - 1] = position
end
return positions
""")
_ANNOUNCE = Script.inline("""
-- Note the client ids of messages before the commit that stores them. They count once it has.
-- KEYS[1] the user's prefix   ARGV 1 nonce of the commit   2 seconds   3.. digest, offset, ...
for index = 3, #ARGV, 2 do
  local value = ARGV[1] .. ' ' .. ARGV[index + 1]
  redis.call('SET', KEYS[1] .. 'once:message:' .. ARGV[index], value, 'EX', ARGV[2])
end
return 1
""")


class ClientIds(Repository):
    """The client ids of a user's messages."""

    async def positions(
        self, user: User, session_id: str, client_ids: Sequence[str]
    ) -> list[int | None]:
        """The position of each message in the session; None for one that is not stored."""
        if not client_ids:
            return []
        found = await self._keyring.run_write(
            user,
            _FIND,
            lambda cipher: (
                session_id,
                *(cipher.blind_index("message", f"{session_id} {one}") for one in client_ids),
            ),
        )
        return [None if position < 0 else position for position in found]

    async def announce(
        self, user: User, session_id: str, nonce: str, offsets: Sequence[tuple[str, int]]
    ) -> None:
        """Note the ids of messages that the commit under `nonce` is going to store.

        Args:
            user: The owner of the session.
            session_id: The session.
            nonce: The nonce of the commit.
            offsets: Each id with the place of its message in the commit.
        """
        await self._keyring.run_write(
            user,
            _ANNOUNCE,
            lambda cipher: (
                *(nonce, IDEMPOTENCY_SECONDS),
                *(
                    part
                    for one, offset in offsets
                    for part in (cipher.blind_index("message", f"{session_id} {one}"), offset)
                ),
            ),
        )
