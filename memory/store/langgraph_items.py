"""Items of LangGraph's store: values under a path of names, in one hash per user."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from onionskin.memory.errors import CorruptValueError, InvalidInputError
from onionskin.memory.store import keys
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.store.redis.scripts import Script
from onionskin.memory.store.repository import Repository
from onionskin.memory.store.script_io import without_revision
from onionskin.memory.types.messages import User

_PUT_ITEMS = Script.inline("""
-- Store or delete items, in order; the creation time of an existing item stays.
-- KEYS[1] the user's prefix   ARGV 1 epoch for a new user   2 now   3.. field, packed or ''
local items = KEYS[1] .. 'items'
for at = 3, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('HDEL', items, ARGV[at])
  else
    local stored = redis.call('HGET', items, ARGV[at])
    local created = stored and string.match(stored, '^%S+') or ARGV[2]
    redis.call('HSET', items, ARGV[at], created .. ' ' .. ARGV[at + 1])
    redis.call('HSETNX', KEYS[1] .. 'user', 'epoch', ARGV[1])
  end
end
return redis.call('EXISTS', items)
""")
_PAGE = 500
Namespace: TypeAlias = tuple[str, ...]


class ItemContent(msgspec.Struct, array_like=True, frozen=True):
    """The packed part of an item. New fields are added at the end, with a default.

    Attributes:
        value: Plain data.
        updated: Unix seconds.
        vectors: The vectors of its texts: each an embedder tag followed by float16 values.
    """

    value: dict[str, Any]
    updated: float
    vectors: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item as it is stored; `began` is its creation time in Unix seconds."""

    namespace: Namespace
    name: str
    began: float
    content: ItemContent


_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(ItemContent)


class LangGraphItems(Repository):
    """The items of a user."""

    async def put(
        self,
        user: User,
        items: Sequence[tuple[Namespace, str, ItemContent | None]],
        *,
        now: float,
    ) -> None:
        """Store items, all at once; None deletes one.

        Raises:
            InvalidInputError: A value is not plain data.
        """
        try:
            packed = [
                (keys.item(namespace, name), content and _encoder.encode(content))
                for namespace, name, content in items
            ]
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"An item of a store is plain data, as JSON is: {error}."
            ) from error
        epoch = secrets.token_hex(8)

        def arguments(cipher: Cipher) -> Sequence[Argument]:
            values: list[Argument] = [epoch, now]
            for field, data in packed:
                values += (field, cipher.encrypt(f"items:{field}", data or b""))
            return values

        await self._keyring.run_write(user, _PUT_ITEMS, arguments)

    async def get(self, user: User, namespace: Namespace, name: str) -> StoredItem | None:
        """One item; None if there is none."""
        items = await self._read(user, [keys.item(namespace, name)])
        return items[0] if items else None

    async def paths(self, user: User) -> list[tuple[Namespace, str]]:
        """The namespaces and names of all items."""
        fields = await self._call(self._commands.hkeys(keys.items(user)))
        return [keys.parse_item(field.decode()) for field in fields]

    async def read(self, user: User, paths: Sequence[tuple[Namespace, str]]) -> list[StoredItem]:
        """The items of some paths, without those that were deleted."""
        items: list[StoredItem] = []
        for start in range(0, len(paths), _PAGE):
            page = [keys.item(*path) for path in paths[start : start + _PAGE]]
            items += await self._read(user, page)
        return items

    async def _read(self, user: User, fields: list[str]) -> list[StoredItem]:
        values = await self._call(self._commands.hmget(keys.items(user), fields))
        cipher = await self._keyring.cipher_for(user, [without_revision(value) for value in values])
        items: list[StoredItem] = []
        for field, value in zip(fields, values, strict=True):
            if value:
                packed = cipher.decrypt(f"items:{field}", without_revision(value))
                namespace, name = keys.parse_item(field)
                began = float(value.partition(b" ")[0])
                items.append(StoredItem(namespace, name, began, _unpack(packed)))
        return items


def _unpack(data: bytes) -> ItemContent:
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptValueError(f"A stored item does not decode: {error}.") from error
