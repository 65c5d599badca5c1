"""Reading a turn again: what was said, and what its prompt had shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from memory.errors import UnknownTurnError
from memory.store import decode, keys
from memory.store.redis import RedisStore
from memory.traces import LayerTrace, unpack_trace
from memory.types import Entry, User


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn.

    Attributes:
        said, replied: its messages; `replied` is None where an import left it out.
        layers: what its prompt showed; None once that is no longer kept.
    """

    said: Entry
    replied: Entry | None
    layers: tuple[LayerTrace, ...] | None


async def read_turn(store: RedisStore, user: User, turn_id: str) -> StoredTurn:
    """A turn by its id.

    Raises:
        UnknownTurnError: the user has no such turn.
    """
    session_id, _, position = turn_id.partition(".")
    call, commands, first = store.connection.call, store.connection.commands, int(position)
    packed = await call(commands.lrange(keys.messages(user, session_id), first, first + 1))
    cipher = await store.keyring.cipher(user, packed)
    entries = decode.entries(session_id, first, packed, cipher=cipher)
    if not entries or entries[0].message.role != "user":
        raise UnknownTurnError(turn_id)
    trace = await call(commands.get(keys.shown(user, turn_id)))
    cipher = await store.keyring.cipher(user, [trace])
    layers = unpack_trace(cipher.open(f"shown:{turn_id}", trace)) if trace else None
    return StoredTurn(entries[0], entries[1] if len(entries) > 1 else None, layers)


async def read_entries(store: RedisStore, user: User, ids: Sequence[str]) -> dict[str, Entry]:
    """Messages by their ids; those that are gone are left out."""
    found: dict[str, Entry] = {}
    for one in dict.fromkeys(ids):
        session_id, _, position = one.partition(":")
        packed = await store.connection.call(
            store.connection.commands.lrange(
                keys.messages(user, session_id), int(position), int(position)
            )
        )
        if packed:
            cipher = await store.keyring.cipher(user, packed)
            found[one] = decode.entries(session_id, int(position), packed, cipher=cipher)[0]
    return found
