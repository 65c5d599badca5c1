"""What there is of a user, by id, in one order; and each as it is stored."""

from memory.records import Record
from memory.store import decode, keys
from memory.store.decode import SEALED_FIELDS
from memory.store.redis import RedisStore
from memory.store.users import scan_keys
from memory.types import User


async def session_ids(store: RedisStore, user: User) -> list[str]:
    """The ids of the user's sessions, sorted."""
    found = await store.connection.call(
        store.connection.commands.zrange(keys.sessions(user), 0, -1)
    )
    return sorted(one.decode() for one in found)


async def session_fields(store: RedisStore, user: User, session_id: str) -> dict[str, bytes]:
    """All that a session's hash holds, opened; nothing if there is no such session."""
    found = await store.connection.call(
        store.connection.commands.hgetall(keys.session(user, session_id))
    )
    cipher = await store.keyring.cipher(user, list(found.values()))
    return {
        name.decode(): cipher.open(f"session:{session_id}:{name.decode()}", value)
        if name.decode() in SEALED_FIELDS
        else value
        for name, value in found.items()
    }


async def memory_ids(store: RedisStore, user: User) -> list[str]:
    """The ids of the user's records, and of deleted ones that have a history yet, sorted."""
    held = await store.connection.call(store.connection.commands.hkeys(keys.records(user)))
    found = {one.decode() for one in held}
    beginning = keys.history(user, "")
    async for name in scan_keys(store, f"{beginning}*"):
        found.add(name.removeprefix(beginning))
    return sorted(found)


async def read_record(store: RedisStore, user: User, record_id: str) -> Record | None:
    """A record as it is stored, expired or not; None if there is none."""
    packed = await store.connection.call(
        store.connection.commands.hget(keys.records(user), record_id)
    )
    if not packed:
        return None
    cipher = await store.keyring.cipher(user, [decode.without_revision(packed)])
    return decode.record(record_id, packed, cipher)
