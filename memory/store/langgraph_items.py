"""Items of a store: values under a path of names, in one hash of the user's."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from onionskin.memory.errors import CorruptValueError, InvalidInputError
from onionskin.memory.store import keys
from onionskin.memory.store.encryption.ciphers import Cipher
from onionskin.memory.store.encryption.keyring import Argument
from onionskin.memory.store.redis.connection import Script
from onionskin.memory.store.script_io import without_revision
from onionskin.memory.store.store import RedisStore
from onionskin.memory.types.messages import User

_ITEMS = Script("items")
_PAGE = 500
Namespace: TypeAlias = tuple[str, ...]


class Content(msgspec.Struct, array_like=True, frozen=True):
    """What is packed of an item; what later versions add comes last, with a default.

    Attributes:
        value: plain data.
        updated: Unix seconds.
        vectors: of its texts: each a tag of what made it, and float16 values.
    """

    value: dict[str, Any]
    updated: float
    vectors: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item as it is stored; `began` in Unix seconds."""

    namespace: Namespace
    name: str
    began: float
    content: Content


_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Content)


async def put_items(
    store: RedisStore,
    user: User,
    items: Sequence[tuple[Namespace, str, Content | None]],
    *,
    now: float,
) -> None:
    """Store items, all at once; None deletes.

    Raises:
        InvalidInputError: a value is no plain data.
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
            values += (field, cipher.seal(f"items:{field}", data or b""))
        return values

    await store.keyring.run_write(user, _ITEMS, arguments)


async def get_item(
    store: RedisStore, user: User, namespace: Namespace, name: str
) -> StoredItem | None:
    """One item; None where there is none."""
    found = await _read(store, user, [keys.item(namespace, name)])
    return found[0] if found else None


async def list_paths(store: RedisStore, user: User) -> list[tuple[Namespace, str]]:
    """The namespaces and names of all items."""
    call, commands = store.connection.call, store.connection.commands
    return [keys.parse_item(one.decode()) for one in await call(commands.hkeys(keys.items(user)))]


async def read_items(
    store: RedisStore, user: User, paths: Sequence[tuple[Namespace, str]]
) -> list[StoredItem]:
    """The items of some paths; those that are gone are left out."""
    kept: list[StoredItem] = []
    for start in range(0, len(paths), _PAGE):
        page = [keys.item(*path) for path in paths[start : start + _PAGE]]
        kept += await _read(store, user, page)
    return kept


async def _read(store: RedisStore, user: User, fields: list[str]) -> list[StoredItem]:
    call, commands = store.connection.call, store.connection.commands
    values = await call(commands.hmget(keys.items(user), fields))
    cipher = await store.keyring.cipher_for(user, [without_revision(one) for one in values])
    kept: list[StoredItem] = []
    for field, value in zip(fields, values, strict=True):
        if value:
            packed = cipher.open(f"items:{field}", without_revision(value))
            namespace, name = keys.parse_item(field)
            began = float(value.partition(b" ")[0])
            kept.append(StoredItem(namespace, name, began, _unpacked(packed)))
    return kept


def _unpacked(data: bytes) -> Content:
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptValueError(f"A stored item does not decode: {error}.") from error
