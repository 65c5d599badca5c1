"""The reply of a stored turn is rebuilt from the stored messages."""

import pytest

from onionskin.chains.turn import stored_reply
from onionskin.memory.store import RedisStore
from onionskin.memory.types.messages import Message, Session, User

_SESSION = Session("s_0000000000000001", 1.0, 1.0, profile="layered")


@pytest.mark.parametrize(
    ("stored", "expected"),
    [("window", "window"), ("", "layered")],
    ids=["named", "of an older version"],
)
async def test_a_reply_names_its_own_memory_or_that_of_its_session(
    store: RedisStore, user: User, stored: str, expected: str
) -> None:
    message = Message("user", "Hi.", 1.0)
    answer = Message("assistant", "Hello.", 1.0, profile=stored)
    await store.transcripts.commit(
        user, _SESSION, [(message, None), (answer, None)], create=True, nonce="one"
    )
    reply = await stored_reply(store, user, "one")
    assert reply
    assert (reply.reply, reply.profile, reply.is_new_session) == ("Hello.", expected, True)
    assert await stored_reply(store, user, "another") is None
