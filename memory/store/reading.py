"""Reading what is stored at one's leisure: sessions, transcripts, everything of a user."""

from collections.abc import AsyncIterator

from memory.errors import UnknownSessionError
from memory.store import decode, keys
from memory.store.redis import RedisStore
from memory.types import Entry, Session, User

_PAGE = 1000


async def get_session(store: RedisStore, user: User, session_id: str) -> Session:
    """One session's metadata.

    Raises:
        UnknownSessionError: the user has no such session.
    """
    fields = await store.connection.call(
        store.connection.commands.hmget(keys.session(user, session_id), list(decode.SESSION_FIELDS))
    )
    if fields[0] is None:
        raise UnknownSessionError(session_id)
    return decode.session(session_id, fields, await store.keyring.cipher(user, fields))


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
    cipher = await store.keyring.cipher(user, packed)
    return decode.entries(session_id, start, packed, cipher=cipher)


async def read_everything(store: RedisStore, user: User) -> AsyncIterator[tuple[Entry, ...]]:
    """Every message of the user with its vector, a page at a time, for a view filled anew."""
    commands, call = store.connection.commands, store.connection.call
    for found in await call(commands.zrange(keys.sessions(user), 0, -1)):
        session_id, start = found.decode(), 0
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
                cipher=await store.keyring.cipher(user, [*packed, *vectors]),
                embedder_tag=store.embedder_tag,
            )
            start += len(packed)


async def import_progress(store: RedisStore, user: User, import_id: str) -> int:
    """How many lines of an import are stored."""
    lines = await store.connection.call(
        store.connection.commands.hget(keys.import_progress(user, import_id), "lines")
    )
    return int(lines or 0)
