"""Reading what is stored at one's leisure: sessions, transcripts, everything of a user.

Reading a turn again: what was said, and what its prompt had shown.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from onionskin.memory.errors import UnknownSessionError, UnknownTurnError
from onionskin.memory.store import keys
from onionskin.memory.store import script_io as decode
from onionskin.memory.store.store import RedisStore
from onionskin.memory.types.messages import Entry, Session, User
from onionskin.memory.types.prompt_trace import LayerTrace, unpack_trace

_PAGE = 1000


async def get_session(store: RedisStore, user: User, session_id: str) -> Session:
    """One session's metadata.

    Raises:
        UnknownSessionError: the user has no such session, or it is past its time.
    """
    fields = await store.connection.call(
        store.connection.commands.hmget(keys.session(user, session_id), list(decode.SESSION_FIELDS))
    )
    if fields[0] is None or float(fields[1]) <= store.retention.horizon(user):
        raise UnknownSessionError(session_id)
    return decode.session(session_id, fields, await store.keyring.cipher_for(user, fields))


async def is_kept(store: RedisStore, user: User, session_id: str) -> bool:
    """Whether there is a session, and it is not past its time."""
    name = keys.session(user, session_id)
    active = await store.connection.call(store.connection.commands.hget(name, "active"))
    return active is not None and float(active) > store.retention.horizon(user)


async def list_sessions(
    store: RedisStore, user: User, *, after: tuple[float, str] | None, count: int
) -> list[Session]:
    """Sessions by last activity, the latest first; `after` is the last one of the page before.

    A session that becomes active between two pages moves to the front; none is skipped.
    """
    call, commands = store.connection.call, store.connection.commands
    name, start = keys.sessions(user), 0
    if after:
        active, last = after
        if await call(commands.zscore(name, last)) == active:
            start = await call(commands.zrevrank(name, last)) + 1
        else:
            start = await call(commands.zcount(name, f"({active!r}", "+inf"))
    sessions: list[Session] = []
    for session_id in await call(commands.zrange(name, start, start + count - 1, desc=True)):
        try:
            sessions.append(await get_session(store, user, session_id.decode()))
        except UnknownSessionError:
            continue  # deleted between the two reads
    return sessions


async def read_messages(
    store: RedisStore, user: User, session_id: str, *, start: int, count: int
) -> tuple[Entry, ...]:
    """`messages[start:start + count]` of a session, oldest first, without vectors."""
    packed = await store.connection.call(
        store.connection.commands.lrange(keys.messages(user, session_id), start, start + count - 1)
    )
    cipher = await store.keyring.cipher_for(user, packed)
    return decode.entries(session_id, start, packed, cipher=cipher)


async def read_everything(store: RedisStore, user: User) -> AsyncIterator[tuple[Entry, ...]]:
    """Every message of the user with its vector, a page at a time, for a view filled anew."""
    commands, call = store.connection.commands, store.connection.call
    for found in await call(commands.zrange(keys.sessions(user), 0, -1)):
        session_id, start = found.decode(), 0
        if not await _is_recalled(store, user, session_id):
            continue
        while True:
            packed = await call(
                commands.lrange(keys.messages(user, session_id), start, start + _PAGE - 1)
            )
            if not packed:
                break
            fields = [f"{session_id}:{start + offset}" for offset in range(len(packed))]
            vectors = await call(commands.hmget(keys.vectors(user), fields))
            yield decode.entries(
                session_id,
                start,
                packed,
                vectors,
                cipher=await store.keyring.cipher_for(user, [*packed, *vectors]),
                embedder_tag=store.embedder_tag,
            )
            start += len(packed)


async def _is_recalled(store: RedisStore, user: User, session_id: str) -> bool:
    """Whether anything was said in it since the horizon; a copy of old messages has nothing."""
    call, commands = store.connection.call, store.connection.commands
    last = int(await call(commands.hget(keys.session(user, session_id), "length")) or 0) - 1
    packed = await call(commands.lrange(keys.messages(user, session_id), last, last))
    cipher = await store.keyring.cipher_for(user, packed)
    said = decode.entries(session_id, last, packed, cipher=cipher)
    return bool(said) and said[0].message.at > store.retention.horizon(user)


async def import_progress(store: RedisStore, user: User, import_id: str) -> int:
    """How many lines of an import are stored."""
    lines = await store.connection.call(
        store.connection.commands.hget(keys.import_progress(user, import_id), "lines")
    )
    return int(lines or 0)


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
    cipher = await store.keyring.cipher_for(user, packed)
    entries = decode.entries(session_id, first, packed, cipher=cipher)
    if not entries or entries[0].message.role != "user":
        raise UnknownTurnError(turn_id)
    if not await is_kept(store, user, session_id):
        raise UnknownTurnError(turn_id)
    kept = entries[0].message.at > store.retention.trace_horizon(user)
    trace = await call(commands.get(keys.shown(user, turn_id))) if kept else None
    cipher = await store.keyring.cipher_for(user, [trace])
    layers = unpack_trace(cipher.open(f"shown:{turn_id}", trace)) if trace else None
    return StoredTurn(entries[0], entries[1] if len(entries) > 1 else None, layers)


async def read_entries(store: RedisStore, user: User, ids: Sequence[str]) -> dict[str, Entry]:
    """Messages by their ids; those that are gone are left out."""
    found: dict[str, Entry] = {}
    sessions = {one.partition(":")[0] for one in ids}
    kept = {one for one in sessions if await is_kept(store, user, one)}
    for one in dict.fromkeys(ids):
        session_id, _, position = one.partition(":")
        if session_id not in kept:
            continue
        packed = await store.connection.call(
            store.connection.commands.lrange(
                keys.messages(user, session_id), int(position), int(position)
            )
        )
        if packed:
            cipher = await store.keyring.cipher_for(user, packed)
            found[one] = decode.entries(session_id, int(position), packed, cipher=cipher)[0]
    return found
