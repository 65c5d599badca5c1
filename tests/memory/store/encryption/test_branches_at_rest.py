"""Branches of an encrypted session: replaced, restored and copied like plain ones."""

from onionskin.memory.store import RedisStore
from onionskin.memory.store.redis.connection import Connection
from onionskin.memory.types.messages import Message, Session, User
from tests.memory.store.encryption.encrypted_stores import masters, store_with

_SESSION = Session("s_0123456789abcdef", created=1.0, active=1.0, title="first words")


async def _say(store: RedisStore, user: User, *texts: str, replaces_from: int | None) -> None:
    messages = [
        (Message("assistant" if place % 2 else "user", text, 10.0), None)
        for place, text in enumerate(texts)
    ]
    await store.transcripts.commit(
        user, _SESSION, messages, create=True, replaces_from=replaces_from
    )


async def test_branches_of_an_encrypted_session(connection: Connection, user: User) -> None:
    store = store_with(connection, masters("k1"))
    await _say(store, user, "Rex", "hi Rex", replaces_from=None)
    await _say(store, user, "Max", "hi Max", replaces_from=0)
    copy = await store.sessions.fork(user, _SESSION.id, now=12.0)
    copied = await store.transcripts.read(user, copy.id, start=0, count=9)
    assert [entry.message.content for entry in copied] == ["Max", "hi Max"]
    pending = await store.transcripts.load_turn(
        user, _SESSION.id, now=11.0, since=None, replaces_from=3
    )
    assert [entry.message.content for entry in pending.unfolded] == ["Max"]
    await store.branches.restore(user, _SESSION.id, 0)
    session = await store.sessions.get(user, _SESSION.id)
    live = await store.transcripts.read_live(user, session)
    assert [entry.message.content for entry in live] == ["Rex", "hi Rex"]
